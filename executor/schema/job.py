# SPDX-License-Identifier: Apache-2.0
"""A job file becomes a `Job`: all faults at once with their places, old forms as today's, repeats expanded.

What a single method wants is not looked at here but when the plan is made, by the method's own struct; the
keys that all blocks have are (spec: job-format §1, §2, §12, §13).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

from executor.model.job import PRIORITIES, Block, Job
from executor.model.parameters import BlockParameters
from executor.model.problem import Path, Problem
from executor.model.testblocks import TestItems
from executor.model.timeouts import JobTimeouts
from executor.schema.blocks import read_blocks
from executor.schema.calls import check_calls
from executor.schema.check import check
from executor.schema.document import JobDocument
from executor.schema.loader import Document, load_yaml
from executor.schema.multinode import Multinodes, read_multinode
from executor.schema.normalise import Normaliser
from executor.schema.rewrite import RawBlock, Rewrite, as_map, origin
from executor.schema.rules import across_blocks, too_long
from executor.schema.timeoutforms import tell_timeouts
from executor.schema.words import shown

COMPATIBILITY = 10  # level that jobs may ask for; every level up to it means nothing today


@dataclass
class ParsedJob:
    """`job` is None when nothing sensible can be made of the text; it may be there beside errors.

    With errors it is only good for finding more of them: keys with bad values are left out of it.
    """

    job: Job | None
    problems: list[Problem] = field(default_factory=list)
    rewrites: list[Rewrite] = field(default_factory=list)
    document: Document | None = None
    moved: dict[Path, Path] = field(default_factory=dict)

    @property
    def errors(self) -> list[Problem]:
        return [p for p in self.problems if p.severity == "error"]

    def locate(self, problem: Problem) -> Problem:
        """A problem found later (by a method's struct) with file, line, column and path in the document."""
        if self.document is None:
            return problem
        path = origin(problem.path, self.moved)
        return self.document.locate(msgspec.structs.replace(problem, path=path))


def parse_job(
    text: str,
    filename: str = "job.yaml",
    *,
    strict: bool = True,
    scheduled: bool = False,
    refuse_long_timeouts: bool = False,
) -> ParsedJob:
    """Read a job. Never raises for bad input.

    `strict`: unknown keys are errors, else warnings. `scheduled`: the job must say what a scheduler needs to
    know (device_type or roles); without it, that is a warning, since a device may be given by hand.
    `refuse_long_timeouts`: a timeout longer than the job's is an error and not a warning.
    """
    document = load_yaml(text, filename)
    parsed = ParsedJob(None, list(document.problems), document=document)
    if document.failed:
        return parsed
    data = document.data
    reader = _Reader(strict, scheduled, refuse_long_timeouts)
    if data is None:
        reader.add("the job is empty", ())
    elif not isinstance(data, dict):
        reader.add(f"the job is {shown(data)}", (), "a map with job_name, device_type, timeouts and actions")
    else:
        parsed.job = reader.job(data)
    parsed.rewrites, parsed.moved = reader.normaliser.rewrites, reader.normaliser.moved
    parsed.problems += [parsed.locate(p) for p in reader.problems]
    parsed.problems.sort(key=lambda p: (p.line, p.column))
    return parsed


class _Reader:
    def __init__(self, strict: bool, scheduled: bool, refuse_long_timeouts: bool) -> None:
        self.strict, self.scheduled, self.refuse_long = strict, scheduled, refuse_long_timeouts
        self.problems: list[Problem] = []
        self.normaliser = Normaliser()

    def add(
        self, message: str, path: Path, expected: str = "", hint: str = "", severity: str = "error"
    ) -> None:
        self.problems.append(Problem(message, path=path, expected=expected, hint=hint, severity=severity))

    def job(self, original: dict[Any, Any]) -> Job:
        data = {k: _copy(v) for k, v in original.items()}
        found = check(JobDocument, data, strict=self.strict)
        self.problems += found
        _drop(data, found, ())
        timeouts = self._timeouts(data)
        multinode = read_multinode(data.get("protocols", {}), strict=self.strict)
        self.problems += multinode.problems
        self.normaliser.arch = data.get("context", {}).get("arch")
        blocks = self._blocks(data.get("actions", []), data)
        for block in (b for b in blocks if not b.iteration):
            self.problems += check_calls(
                block.parameters.get("protocols"),
                (*block.path, "protocols"),
                data.get("protocols", {}),
                strict=self.strict,
            )
        self.problems += multinode.check(data, blocks)
        self._device_type(data, multinode)
        self.problems += across_blocks(blocks)
        self.problems += too_long(timeouts, blocks, self.refuse_long)
        if data.get("compatibility", 0) > COMPATIBILITY:
            self.add(
                f"compatibility {data['compatibility']} is beyond what this executor has",
                ("compatibility",),
                f"at most {COMPATIBILITY}",
            )
        priority = data.get("priority", "medium")
        return Job(
            job_name=data.get("job_name", ""),
            device_type=data.get("device_type"),
            target=data.get("target"),
            timeouts=timeouts,
            visibility=data.get("visibility", "public"),
            priority=PRIORITIES[priority] if isinstance(priority, str) else priority,
            blocks=blocks,
            context=data.get("context", {}),
            environment={**data.get("environment", {}), **multinode.environment},
            secrets={k: str(v) for k, v in data.get("secrets", {}).items()},
            metadata=data.get("metadata", {}),
            tags=data.get("tags", []),
            notify=data.get("notify"),
            protocols=data.get("protocols", {}),
            device=data.get("device"),
            worker=data.get("worker"),
            multinode=multinode.submission,
            member=multinode.member,
            compatibility=data.get("compatibility", 0),
            reboot_to_fastboot=data.get("reboot_to_fastboot", True),
            strict=self.strict,
            raw={str(k): v for k, v in data.items()},
        )

    def _timeouts(self, data: dict[Any, Any]) -> JobTimeouts:
        given = data.get("timeouts", {})
        timeouts, problems = JobTimeouts.read(given)
        self.problems += problems
        if timeouts.job is None and not any(p.path[:2] == ("timeouts", "job") for p in problems):
            path: Path = ("timeouts",) if "timeouts" in data else ()
            hint = "such as timeouts: {job: {minutes: 15}}"
            self.add("the job has no timeout", path, "timeouts.job", hint, severity="warning")
        tell_timeouts(given, self.normaliser)
        if "timeouts" in data:
            data["timeouts"] = _canonical(timeouts)
        return timeouts

    def _blocks(self, actions: list[Any], data: dict[Any, Any]) -> list[Block]:
        items, problems = read_blocks(actions)
        self.problems += problems
        once: dict[int, RawBlock] = {}
        for item in items:
            once.setdefault(id(item.parameters), RawBlock(item.section, item.parameters, item.path))
        raw = list(once.values())
        for block in raw:
            self.normaliser.block(block)
        self.normaliser.across(raw)
        self.problems += self.normaliser.problems
        for block in raw:
            common = {k: v for k, v in block.parameters.items() if k in _COMMON}
            found = check(BlockParameters, common, block.path)  # strict: an unknown unit of time is no hint
            self.problems += found
            _drop(block.parameters, found, block.path)
            if block.section == "test":
                self.problems += check(TestItems, block.parameters, block.path, strict=self.strict)
                _items_as_maps(block.parameters)
        blocks, tests = [], 0
        for index, item in enumerate(items):
            tests += item.section == "test"
            label = item.parameters.get("name") if item.section != "command" else None
            blocks.append(
                Block(
                    section=item.section,
                    index=index,
                    parameters=item.parameters,
                    namespace=item.parameters.get("namespace", "common"),
                    path=item.path,
                    iteration=item.iteration,
                    label=label or (f"test {tests}" if item.section == "test" else ""),
                )
            )
        data["actions"] = [{b.section: b.parameters} for b in blocks]
        return blocks

    def _device_type(self, data: dict[Any, Any], multinode: Multinodes) -> None:
        if multinode.submission is not None or "device_type" in data or multinode.named:
            return
        if multinode.member is not None or "target" in data:
            return
        severity = "error" if self.scheduled else "warning"
        self.add("device_type is missing", (), "device_type, or protocols.lava-multinode", severity=severity)


_COMMON = frozenset(BlockParameters.__struct_encode_fields__)


def _copy(value: Any) -> Any:
    """A deep copy in which aliases are spelled out; the loader has bounded depth and size."""
    if isinstance(value, dict):
        return {k: _copy(v) for k, v in value.items()}
    return [_copy(v) for v in value] if isinstance(value, list) else value


def _drop(data: dict[Any, Any], problems: list[Problem], path: Path) -> None:
    """Leave out keys that hold something bad: it has been said, and later stages can go on."""
    for problem in problems:
        if problem.severity == "error" and len(problem.path) > len(path):
            data.pop(problem.path[len(path)], None)


def _items_as_maps(parameters: dict[str, Any]) -> None:
    """What is no list of maps has been told of; what follows may count on it."""
    for key in TestItems.__struct_encode_fields__:
        if parameters.get(key) is not None:
            items = parameters[key] if isinstance(parameters[key], list) else []
            parameters[key] = [item if isinstance(item, dict) else {} for item in items]


def _canonical(timeouts: JobTimeouts) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name in ("job", "action", "test", "connection", "queue"):
        seconds = getattr(timeouts, name)
        if seconds is not None:
            out[name] = as_map(seconds)
    for name in ("actions", "connections"):
        if group := getattr(timeouts, name):
            out[name] = {key: as_map(seconds) for key, seconds in group.items()}
    return out
