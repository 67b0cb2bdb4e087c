# SPDX-License-Identifier: Apache-2.0
"""A job held against a device, the same way everywhere: at the command line, in the master, in the runner.

Parse both, plan, validate; every problem has its file, line and column (spec: job-format §12).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from executor.errors import (
    Bug,
    ConfigurationError,
    ExitCode,
    InfrastructureError,
    JobError,
    LavaExecError,
    TestError,
)
from executor.model.problem import Path, Problem
from executor.pipeline.planner import Plan, plan, validate
from executor.schema.device import parse_device
from executor.schema.job import ParsedJob, parse_job

if TYPE_CHECKING:
    from executor.model.device import Device
    from executor.model.job import Job
    from executor.pipeline.world import World
    from executor.schema.rewrite import Rewrite

# By whom must act first; the first that occurs names the whole.
_CLASSES: tuple[tuple[str, type[LavaExecError], str], ...] = (
    ("Bug", Bug, "planning failed"),
    ("Configuration", ConfigurationError, "invalid device"),
    ("Infrastructure", InfrastructureError, "the job cannot run here"),
    ("Job", JobError, "invalid job data"),
    ("Test", TestError, "invalid test"),
)


@dataclass
class Checked:
    """What came out. `planned` may be there beside errors; it is only to be run when there are none."""

    parsed: ParsedJob
    problems: list[Problem] = field(default_factory=list)  # in document order, each once
    device: Device | None = None
    device_data: dict[str, Any] = field(default_factory=dict)  # the device as a plain map
    device_at_fault: bool = False  # the device file was found bad before anything was planned
    planned: Plan | None = None
    sources: dict[str, str] = field(default_factory=dict)  # text of each file, by its name in the problems

    @property
    def job(self) -> Job | None:
        return self.parsed.job

    @property
    def rewrites(self) -> list[Rewrite]:
        return self.parsed.rewrites

    @property
    def errors(self) -> list[Problem]:
        return [p for p in self.problems if p.severity == "error"]

    @property
    def warnings(self) -> list[Problem]:
        return [p for p in self.problems if p.severity != "error"]

    @property
    def error(self) -> LavaExecError | None:
        """All errors as one, of the class that weighs most (spec: action-pipeline §1, validate)."""
        return as_error(self.errors)

    @property
    def exit_code(self) -> ExitCode:
        """0 valid, 2 invalid, 3 device or lab at fault, 70 our own fault (design §5)."""
        error = self.error
        return error.exit_code if error is not None else ExitCode.OK


def as_error(found: list[Problem]) -> LavaExecError | None:
    """Problems as one error, of the class that weighs most; None of none."""
    if not found:
        return None
    text = "; ".join(f"{p.action or p.where or p.file}: {p.message}".removeprefix(": ") for p in found)
    kinds = {p.error_type for p in found}
    for name, kind, head in _CLASSES:
        if name in kinds:
            return kind(f"{head}: {text}", found[0].hint)
    return JobError(text)


def check_job(
    text: str,
    device: str | Mapping[str, Any] | None,
    *,
    filename: str = "job.yaml",
    device_filename: str = "device.yaml",
    strict: bool = True,
    scheduled: bool = False,
    refuse_long_timeouts: bool = False,
    world: World | None = None,
) -> Checked:
    """Everything that is wrong with a job on a device. Never raises for bad input.

    `device` is YAML text or a rendered map; None when there is none yet, then the job alone is checked.
    `strict`, `scheduled` and `refuse_long_timeouts` are those of `parse_job`; `world` answers the questions
    of validation, the ideal one by default.
    """
    parsed = parse_job(
        text, filename, strict=strict, scheduled=scheduled, refuse_long_timeouts=refuse_long_timeouts
    )
    done = Checked(parsed, list(parsed.problems), sources={filename: text})
    if device is not None:
        _read_device(done, device, device_filename)
    if parsed.job is not None and done.device is not None:
        done.planned = plan(parsed.job, done.device)
        found = list(done.planned.problems)
        if not done.planned.errors:
            found += validate(done.planned, world)
        done.problems += [parsed.locate(p) for p in found if not _is_consequence(p, done)]
    done.problems = _in_order(done.problems, filename)
    return done


def _read_device(done: Checked, device: str | Mapping[str, Any], filename: str) -> None:
    found = parse_device(device, filename)
    done.device = found.device
    done.problems += found.problems
    done.device_at_fault = bool(found.errors)
    if isinstance(device, str):
        done.sources[filename] = device
        data = found.document.data if found.document is not None else None
        done.device_data = dict(data) if isinstance(data, dict) else {}
    else:
        done.device_data = dict(device)


def _is_consequence(problem: Problem, done: Checked) -> bool:
    """Is something missing or odd only because of a fault that has been told already?

    What was bad has been taken out of the job and the device before they were planned.
    """
    if problem.error_type == "Configuration":
        return done.device_at_fault
    path = done.parsed.locate(problem).path
    errors = done.parsed.errors
    blocks = done.job.blocks if done.job is not None else []
    if any(block.path == path for block in blocks):
        return any(error.path[: len(path)] == path for error in errors)
    return any(error.path == path or error.path == _there(path, done) for error in errors)


def _there(path: Path, done: Checked) -> Path:
    """How far a path exists in the document: what is said of a missing key stands where it is missing."""
    node: Any = done.parsed.document.data if done.parsed.document is not None else None
    for length, step in enumerate(path):
        try:
            node = node[step]
        except (LookupError, TypeError):
            return path[:length]
    return path


def _in_order(problems: list[Problem], job: str) -> list[Problem]:
    """Each once, also when copies of a repeat block have it: the job's file first, then by line; what has no
    place comes last.
    """
    once: dict[Problem, Problem] = {}
    for problem in problems:
        action = "" if problem.line else problem.action
        once.setdefault(msgspec.structs.replace(problem, action=action), problem)
    return sorted(once.values(), key=lambda p: (p.file != job, not p.line, p.line, p.column))
