# SPDX-License-Identifier: Apache-2.0
"""A job held against a device: every problem with its place, and the plan when there is none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from executor.errors import ConfigurationError, ExitCode, UsageError
from executor.model.problem import Problem

if TYPE_CHECKING:
    from executor.model.device import Device
    from executor.pipeline.planner import Plan
    from executor.pipeline.world import World
    from executor.schema.job import ParsedJob


@dataclass
class Checked:
    """What came out. `sources` holds the text of each file by the name that problems use."""

    problems: list[Problem] = field(default_factory=list)
    parsed: ParsedJob | None = None
    device: Device | None = None
    planned: Plan | None = None
    sources: dict[str, str] = field(default_factory=dict)
    device_data: dict[str, Any] = field(default_factory=dict)  # the device as a plain map

    @property
    def errors(self) -> list[Problem]:
        return [p for p in self.problems if p.severity == "error"]

    @property
    def warnings(self) -> list[Problem]:
        return [p for p in self.problems if p.severity != "error"]

    @property
    def exit_code(self) -> ExitCode:
        """0 valid, 2 invalid, 3 device or lab at fault (design §5)."""
        kinds = {p.error_type for p in self.errors}
        if not kinds:
            return ExitCode.OK
        return ExitCode.INFRASTRUCTURE if kinds & {"Configuration", "Infrastructure"} else ExitCode.JOB_ERROR


def read_text(path: str) -> tuple[str, str]:
    """(text, name for messages) of a file, or of stdin for `-`. Raises UsageError."""
    if path == "-":
        import sys

        return sys.stdin.read(), "stdin"
    try:
        return Path(path).read_text(encoding="utf-8"), path
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text: {error.reason} at byte {error.start}") from None
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None


def check_job(
    text: str,
    filename: str,
    device: str | Mapping[str, Any],
    device_name: str,
    *,
    strict: bool = True,
    refuse_long_timeouts: bool = False,
    world: World | None = None,
) -> Checked:
    """Parse both, plan, validate. `device` is YAML text or a rendered map. Never raises for bad input."""
    from executor.pipeline.planner import plan, validate
    from executor.schema.device import parse_device
    from executor.schema.job import parse_job

    parsed = parse_job(text, filename, strict=strict, refuse_long_timeouts=refuse_long_timeouts)
    parsed_device = parse_device(device, device_name)
    done = Checked([*parsed.problems, *parsed_device.problems], parsed, parsed_device.device)
    done.sources = {filename: text}
    if isinstance(device, str):
        done.sources[device_name] = device
        data = parsed_device.document.data if parsed_device.document is not None else None
        done.device_data = dict(data) if isinstance(data, dict) else {}
    else:
        done.device_data = dict(device)
    if parsed.job is not None and parsed_device.device is not None:
        planned = plan(parsed.job, parsed_device.device)
        found = list(planned.problems)
        if not planned.errors and not done.errors:
            found += validate(planned, world)
        done.problems += [parsed.locate(p) if p.path and not p.line else p for p in found]
        done.planned = planned
    done.problems = _unique(done.problems)
    return done


def find_device(name: str, job_text: str, filename: str, configs: Path | None) -> tuple[Any, str]:
    """(text or rendered map, name for messages) for `--device NAME|FILE`, or by the job's device_type.

    Raises UsageError when there is nothing to choose from, ConfigurationError when the files are wrong.
    """
    if name and (Path(name).is_file() or "/" in name or name.endswith((".yaml", ".yml"))):
        return read_text(name)
    if configs is None:
        what = f"there is no file {name}" if name else "no device was named"
        raise UsageError(
            f"{what}, and there is no directory device-configs here",
            "Say --device FILE, or name the directory with LAVA_EXEC_DEVICE_CONFIGS.",
        )
    from executor.master.configs import load_configs
    from executor.master.render import render
    from executor.schema.job import parse_job
    from executor.schema.words import nearest

    loaded = load_configs(configs)
    job = parse_job(job_text, filename).job
    context = dict(job.context) if job is not None else {}
    if name:
        device = loaded.devices.get(name)
        if device is None:
            near = nearest(name, loaded.devices)
            hint = (
                f"Did you mean {near!r}?"
                if near
                else f"Known: {', '.join(sorted(loaded.devices)) or 'none'}."
            )
            raise UsageError(f"there is no device {name!r} in {configs}, nor a file of that name", hint)
        return render(device, context), device.name
    kind = (job.device_type if job is not None else "") or ""
    fitting = [
        d for d in loaded.devices.values() if d.device_type == kind and set(job.tags if job else []) <= d.tags
    ]
    if not fitting:
        known = ", ".join(sorted(loaded.device_types())) or "none"
        raise UsageError(f"no device of type {kind!r} in {configs}", f"Types with a device: {known}.")
    broken = [d for d in fitting if d.problem]
    good = [d for d in fitting if not d.problem]
    if not good:
        raise ConfigurationError(broken[0].problem)
    return render(good[0], context), good[0].name


def _unique(problems: Iterable[Problem]) -> list[Problem]:
    seen: list[Problem] = []
    for problem in problems:
        if problem not in seen:
            seen.append(problem)
    return seen
