# SPDX-License-Identifier: Apache-2.0
"""A job's way into the queue: what the master reads of it, where it could run, and what of it may be shown.

The checking itself is a `Check` that is handed in: the pipeline's planner, or something smaller in tests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import yaml

from executor.errors import ConfigurationError
from executor.master import states
from executor.master.configs import Device, DeviceConfigs
from executor.master.render import render
from executor.master.settings import Settings
from executor.model.problem import Problem
from executor.schema.loader import Document, load_yaml
from executor.schema.words import nearest
from executor.wire.messages import Submit

MASK = "[MASKED]"
MAX_TRIED = 4  # devices of different configuration that a job is planned against


class Summary(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the master itself must know of a job (spec: job-format §1)."""

    name: str = ""
    device_type: str = ""
    priority: int = 50
    tags: list[str] = []
    context: dict[str, Any] = {}
    device: str = ""
    worker: str = ""
    queue_seconds: int = 0  # how long it may wait for a device; 0: as long as the master allows
    secrets: dict[str, str] = {}


@dataclass(frozen=True)
class Question:
    """One question to a Check. Without a device only the job by itself is looked at."""

    text: str
    filename: str
    device: dict[str, Any] | None = None
    strict: bool = False  # a timeout longer than the job's is an error
    lax: bool = False  # unknown keys are warnings


@dataclass(frozen=True)
class Answer:
    """`summary` is None when the text could not even be read as a job."""

    problems: list[Problem] = field(default_factory=list)
    summary: Summary | None = None


Check = Callable[[Question], Answer]


@dataclass(frozen=True)
class Accepted:
    """A job that can be stored. `shown` is its text without secret values."""

    summary: Summary
    shown: str
    warnings: list[Problem]


@dataclass(frozen=True)
class Refused:
    problems: list[Problem]


@dataclass(frozen=True)
class Site:
    """What a submission is held against: a snapshot, so that another thread may work with it."""

    configs: DeviceConfigs
    healths: Mapping[str, str]  # of devices
    settings: Settings
    submitter: str


def examine(ask: Submit, site: Site, check: Check) -> Accepted | Refused:
    """Read a job, find devices that could run it, and plan it against them. All problems at once."""
    strict = ask.strict or site.settings.strict
    question = Question(ask.text, ask.filename, None, strict, ask.lax)
    first = check(question)
    summary = first.summary
    if summary is None:
        return Refused(first.problems)
    document = load_yaml(ask.text, ask.filename)
    summary = _with_overrides(summary, ask)
    fitting, problems = _fitting(summary, ask, site, document)
    if summary.priority > site.settings.user(site.submitter).priority:
        allowed = site.settings.user(site.submitter).priority
        problems.append(_problem(document, f"your priority is at most {allowed}", ("priority",)))
    planned = list(first.problems)
    if fitting:
        planned = _plan(question, summary, fitting, check)
    problems = _merged(first.problems, planned, problems)
    if _errors(problems):
        return Refused(problems)
    return Accepted(summary, masked(ask.text, document, {**summary.secrets, **ask.secrets}), problems)


def _with_overrides(summary: Summary, ask: Submit) -> Summary:
    return msgspec.structs.replace(
        summary,
        priority=summary.priority if ask.priority is None else max(0, min(100, ask.priority)),
        device=ask.device or summary.device,
    )


def _fitting(
    summary: Summary, ask: Submit, site: Site, document: Document
) -> tuple[list[Device], list[Problem]]:
    """Devices in service that the job could get, busy or not; or why there are none (spec: fleet §4)."""
    of_type = [d for d in site.configs.devices.values() if d.device_type == summary.device_type]
    if not of_type:
        near = nearest(summary.device_type, site.configs.device_types())
        text = f"there is no device of type {summary.device_type!r}"
        return [], [_problem(document, text, ("device_type",), near=near)]
    problems = []
    known = set[str]().union(*(device.tags for device in site.configs.devices.values()))
    for index, tag in enumerate(summary.tags):
        if tag not in known:
            text = f"no device has the tag {tag!r}"
            problems.append(_problem(document, text, ("tags", index), near=nearest(tag, known)))
    names = {device.name for device in of_type}
    if summary.device and summary.device not in names:
        text = f"there is no device {summary.device!r} of type {summary.device_type}"
        problems.append(_problem(document, text, ("device",), near=nearest(summary.device, names)))
    if problems:
        return [], problems
    fitting = [
        device
        for device in of_type
        if set(summary.tags) <= device.tags
        and summary.device in ("", device.name)
        and (not summary.worker or device.worker in ("", summary.worker))
        and site.healths.get(device.name, states.GOOD) != states.RETIRED
    ]
    if fitting:
        return fitting, []
    wanted = [f"tags {', '.join(summary.tags)}"] if summary.tags else []
    wanted += [f"worker {summary.worker}"] if summary.worker else []
    text = f"no device of type {summary.device_type} has {' and '.join(wanted) or 'a place in service'}"
    return [], [_problem(document, text, ("tags",) if summary.tags else ("device_type",))]


def _plan(question: Question, summary: Summary, fitting: list[Device], check: Check) -> list[Problem]:
    """The problems on the device that fits best; none when one device takes the job as it is."""
    best: list[Problem] | None = None
    tried: list[dict[str, Any]] = []
    for device in fitting:
        try:
            rendered = render(device, summary.context)
        except ConfigurationError as error:
            problems = [Problem(error.message, "Configuration", hint=error.hint)]
        else:
            form = {key: value for key, value in rendered.items() if key != "hostname"}
            if form in tried:
                continue
            tried.append(form)
            problems = check(replace(question, device=rendered)).problems
        if not _errors(problems):
            return problems
        if best is None or len(problems) < len(best):
            best = problems
        if len(tried) >= MAX_TRIED:
            break
    return best or []


def _errors(problems: list[Problem]) -> bool:
    return any(problem.severity == "error" for problem in problems)


def _merged(*lists: list[Problem]) -> list[Problem]:
    out: list[Problem] = []
    for problems in lists:
        out.extend(problem for problem in problems if problem not in out)
    return sorted(out, key=lambda problem: (problem.file, problem.line, problem.column))


def _problem(document: Document, message: str, path: tuple[str | int, ...], near: str = "") -> Problem:
    return document.locate(Problem(message, "Job", path, near=near))


def masked(text: str, document: Document, secrets: Mapping[str, str]) -> str:
    """The job's text without its secret values: the `secrets` block is written anew, and values that stand
    elsewhere are replaced, unless they are shorter than 4 characters."""
    data = document.data
    if isinstance(data, dict) and isinstance(data.get("secrets"), dict) and data["secrets"]:
        block = yaml.safe_dump({"secrets": dict.fromkeys(map(str, data["secrets"]), MASK)})
        lines = text.splitlines(keepends=True)
        tops = sorted(document.mark((key,)) for key in data)
        line, column = document.mark(("secrets",))
        after = [top for top in tops if top[0] > line]
        if column == 1 and sum(top[0] == line for top in tops) == 1 and all(top[1] == 1 for top in tops):
            end = after[0][0] - 1 if after else len(lines)
            text = "".join([*lines[: line - 1], block, *lines[end:]])
        else:
            hidden = {**data, "secrets": dict.fromkeys(map(str, data["secrets"]), MASK)}
            text = yaml.safe_dump(hidden, sort_keys=False, allow_unicode=True)
    values = {value for value in secrets.values() if len(value) >= 4}
    for value in sorted(values, key=len, reverse=True):
        text = text.replace(value, MASK)
    return text
