# SPDX-License-Identifier: Apache-2.0
"""A submission for several devices, checked as its jobs will be: split, then one job of each role held
against a device (spec: multinode §1, §2).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import yaml

from executor.errors import ConfigurationError, ExitCode
from executor.model.job import Role
from executor.model.problem import Problem
from executor.pipeline.check import Checked, as_error, check_job
from executor.pipeline.world import World
from executor.schema.job import ParsedJob, parse_job
from executor.schema.split import Part, split

# What a job that only connects to the host's device is told of it (spec: multinode §2, scheduling).
_SHARED = ("hostname", "devicetype", "device_type", "constants", "timeouts")

FindDevice = Callable[[Role], tuple[dict[str, Any], str]]  # (rendered device, its name for messages)


@dataclass
class RoleChecked:
    """What came out for the jobs of a role."""

    role: Role
    device: str
    checked: Checked


@dataclass
class GroupChecked:
    """What came out for a submission. `problems` point into it; `roles` is empty when it cannot be split."""

    parsed: ParsedJob
    problems: list[Problem] = field(default_factory=list)
    roles: list[RoleChecked] = field(default_factory=list)
    sources: dict[str, str] = field(default_factory=dict)

    @property
    def errors(self) -> list[Problem]:
        return [p for p in self.problems if p.severity == "error"]

    @property
    def exit_code(self) -> ExitCode:
        """That of a job with the same problems."""
        error = as_error(self.errors)
        return error.exit_code if error is not None else ExitCode.OK


def check_group(
    text: str,
    find_device: FindDevice,
    *,
    filename: str = "job.yaml",
    strict: bool = True,
    refuse_long_timeouts: bool = False,
    world: World | None = None,
) -> GroupChecked:
    """Everything that is wrong with a submission and with the jobs that it becomes.

    Raises what `find_device` raises for a role that no device fits.
    """
    parsed = parse_job(text, filename, strict=strict, refuse_long_timeouts=refuse_long_timeouts)
    done = GroupChecked(parsed, list(parsed.problems), sources={filename: text})
    if parsed.errors or parsed.job is None or parsed.job.multinode is None:
        return done
    roles = parsed.job.multinode.roles
    first = {part.role: part for part in reversed(split(parsed, "group"))}
    for role in roles.values():
        if role.name not in first:
            continue  # count: 0
        device, name = find_device(roles[role.host_role] if role.connection and role.host_role else role)
        part = first[role.name]
        checked = check_job(
            yaml.safe_dump(part.data, sort_keys=False, allow_unicode=True),
            shared_device(device) if role.connection else device,
            filename=filename,
            device_filename=name,
            strict=strict,
            world=world,
        )
        done.roles.append(RoleChecked(role, name, checked))
        for problem in checked.problems:
            found = _in_submission(problem, part, done)
            if found not in done.problems:
                done.problems.append(found)
    return done


def _in_submission(problem: Problem, part: Part, done: GroupChecked) -> Problem:
    """The same problem with its place in what was written."""
    document = done.parsed.document
    if document is None or problem.file != document.filename:
        return problem
    path = part.origin(problem.path)
    return document.locate(msgspec.structs.replace(problem, path=path, file="", line=0, column=0, action=""))


def shared_device(host: dict[str, Any]) -> dict[str, Any]:
    """The host's device as a job sees it that has only a connection to it: without power and consoles.

    Raises ConfigurationError when the device has no actions.
    """
    actions = host.get("actions")
    if not isinstance(actions, dict):
        raise ConfigurationError("the device file has no actions")
    return {
        **{key: host[key] for key in _SHARED if key in host},
        "parameters": {},
        "actions": {
            section: {key: own[key] for key in ("connections", "methods") if key in own}
            for section in ("deploy", "boot")
            if isinstance(own := actions.get(section), dict)
        },
    }
