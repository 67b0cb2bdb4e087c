# SPDX-License-Identifier: Apache-2.0
"""How long things may take, as job and device say it: every written form becomes whole seconds here.

The forms are those of spec job-format §3.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Meta

from executor.errors import JobError
from executor.model.problem import Path, Problem

DEFAULT_SECONDS = 30  # of an action, and of one operation on a console
MAX_SECONDS = 366 * 86400  # longer is a slip of the pen, and would overflow clocks

UNITS = {"days": 86400, "hours": 3600, "minutes": 60, "seconds": 1}
_SHORT = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SCALAR = re.compile(r"\s*(\d{1,9})\s*([smhd]?)\s*\Z")

# Old names of actions; the right side is what plans show (spec: job-format §13, action-pipeline §2).
ACTION_ALIASES = {
    "uboot-retry": "uboot-commands",
    "uboot-overlay": "bootloader-overlay",
    "u-boot-commands": "bootloader-commands",
    "u-boot-interrupt": "bootloader-interrupt",
}
_EXPECTED = "a map such as {minutes: 5}, or text such as 2m"


def action_name(name: str) -> str:
    """The name as plans show it: `_` and `-` are equal, and old names stand for today's."""
    name = name.replace("_", "-")
    return ACTION_ALIASES.get(name, name)


def read_timeout(value: object) -> tuple[int, str]:
    """(seconds, fault). Units are summed, a sum of zero is the default; `fault` is "" when all is well."""
    if isinstance(value, bool) or value is None:
        return DEFAULT_SECONDS, f"{_shown(value)} is no timeout"
    if isinstance(value, int):
        return _bounded(value)
    if isinstance(value, str):
        match = _SCALAR.match(value)
        if match is None:
            return DEFAULT_SECONDS, f"{_shown(value)} is no timeout"
        return _bounded(int(match[1]) * _SHORT.get(match[2], 1))
    if not isinstance(value, Mapping):
        return DEFAULT_SECONDS, f"{_shown(value)} is no timeout"
    total = 0
    for unit, amount in value.items():
        if unit == "skip":
            if not isinstance(amount, bool):
                return DEFAULT_SECONDS, f"skip is true or false, not {_shown(amount)}"
            continue
        if unit not in UNITS:
            near = difflib.get_close_matches(str(unit), UNITS, 1)
            guess = f", did you mean {near[0]!r}?" if near else ""
            return DEFAULT_SECONDS, f"unknown unit {_shown(unit)}{guess}"
        if isinstance(amount, bool) or not isinstance(amount, int):
            return DEFAULT_SECONDS, f"{unit} takes a whole number, not {_shown(amount)}"
        if amount < 0:
            return DEFAULT_SECONDS, f"{unit} is negative"
        total += amount * UNITS[unit]
    return _bounded(total)


def parse_timeout(value: object) -> int:
    """Seconds of a timeout in any form of spec job-format §3. Raises JobError for what is none."""
    seconds, fault = read_timeout(value)
    if fault:
        raise JobError(f"bad timeout: {fault}", f"write {_EXPECTED}")
    return seconds


def parse_skip(value: object) -> bool:
    """Whether a timeout says `skip: true`: on expiry the job goes on with the next block."""
    return isinstance(value, Mapping) and value.get("skip") is True


def is_timeout(value: object) -> bool:
    """Whether `value` reads as a timeout and not as a map of named timeouts."""
    return not read_timeout(value)[1]


def timeout_problem(value: object, path: Path, *, error_type: str = "Job") -> Problem | None:
    """The fault of a timeout as a Problem, None when it has none."""
    fault = read_timeout(value)[1]
    return (
        Problem(f"bad timeout: {fault}", error_type=error_type, path=path, expected=_EXPECTED)
        if fault
        else None
    )


class JobTimeouts(msgspec.Struct, omit_defaults=True):
    """`timeouts` of a job, in seconds; None where the job says nothing.

    `actions` and `connections` are by canonical action name, with names that stood flat below `timeouts` or
    nested below `action` folded in.
    """

    job: Annotated[int | None, Meta(description="of the whole job, without waiting for a device")] = None
    action: Annotated[int | None, Meta(description="of each action that has no limit of its own")] = None
    test: Annotated[int | None, Meta(description="the same for the actions of test blocks")] = None
    connection: Annotated[int | None, Meta(description="of one operation on a console")] = None
    queue: Annotated[int | None, Meta(description="how long the job may wait for a device")] = None
    actions: Annotated[dict[str, int], Meta(description="of single actions, by name")] = {}
    connections: Annotated[
        dict[str, int], Meta(description="of one operation on a console, by the action's name")
    ] = {}

    @classmethod
    def read(cls, data: object, path: Path = ("timeouts",)) -> tuple[JobTimeouts, list[Problem]]:
        """From the `timeouts` map of a job. Bad entries are reported and left out."""
        reader = _Reader(path, "Job")
        out = cls()
        if not isinstance(data, Mapping):
            if data is not None:
                reader.report(
                    f"timeouts is a map, not {_shown(data)}", path, "a map such as {job: {minutes: 15}}"
                )
            return out, reader.problems
        for key, value in data.items():
            here = (*path, key)
            if key in ("job", "test", "connection", "queue"):
                seconds = reader.one(value, here)
                if seconds is not None:
                    setattr(out, str(key), seconds)
            elif key == "action":
                out.action = reader.action(value, here)
            elif key in ("actions", "connections"):
                reader.named(value, here, str(key))
            else:
                reader.flat(key, value, here)
        out.actions, out.connections = reader.actions, reader.connections
        return out, reader.problems


class DeviceTimeouts(msgspec.Struct, omit_defaults=True):
    """`timeouts` of a device, in seconds by canonical action name; old files list the names directly."""

    actions: dict[str, int] = {}
    connections: dict[str, int] = {}

    @classmethod
    def read(cls, data: object, path: Path = ("timeouts",)) -> tuple[DeviceTimeouts, list[Problem]]:
        """From the `timeouts` map of a device. Bad entries are reported and left out."""
        reader = _Reader(path, "Configuration")
        if not isinstance(data, Mapping):
            if data is not None:
                reader.report(
                    f"timeouts is a map, not {_shown(data)}", path, "a map with actions and connections"
                )
            return cls(), reader.problems
        for key, value in data.items():
            here = (*path, key)
            if key in ("actions", "connections"):
                reader.named(value, here, str(key))
            else:
                reader.flat(key, value, here)
        return cls(reader.actions, reader.connections), reader.problems


_GENERAL = ("job", "action", "actions", "test", "connection", "connections", "queue")


class _Reader:
    """Collects named limits; a name in today's form wins over an old name for the same action."""

    def __init__(self, path: Path, error_type: str) -> None:
        self.path, self.error_type = path, error_type
        self.problems: list[Problem] = []
        self.actions: dict[str, int] = {}
        self.connections: dict[str, int] = {}
        self._current: set[tuple[str, str]] = set()

    def report(
        self, message: str, path: Path, expected: str = "", near: str = "", severity: str = "error"
    ) -> None:
        self.problems.append(Problem(message, self.error_type, path, expected, near, severity=severity))

    def one(self, value: object, path: Path) -> int | None:
        problem = timeout_problem(value, path, error_type=self.error_type)
        if problem is not None:
            self.problems.append(problem)
            return None
        return read_timeout(value)[0]

    def action(self, value: object, path: Path) -> int | None:
        """`action` is a timeout, a map of named timeouts, or both in one map."""
        if not isinstance(value, Mapping) or not any(isinstance(v, Mapping) for v in value.values()):
            return self.one(value, path)
        own = {}
        for name, limit in value.items():
            if isinstance(limit, Mapping):
                self._add("actions", name, limit, (*path, name))
            else:
                own[name] = limit
        return self.one(own, path) if own else None

    def named(self, value: object, path: Path, group: str) -> None:
        if value is None:
            return
        if not isinstance(value, Mapping):
            self.report(
                f"{group} is a map, not {_shown(value)}",
                path,
                "a map such as {lava-test-shell: {minutes: 1}}",
            )
            return
        for name, limit in value.items():
            self._add(group, name, limit, (*path, name))

    def flat(self, key: object, value: object, path: Path) -> None:
        """An action's name directly below `timeouts`; likely slips of the general names are pointed out."""
        near = difflib.get_close_matches(str(key), _GENERAL, 1, 0.85)
        if near:
            self.report(f"{key!r} is taken as the name of an action", path, near=near[0], severity="warning")
        self._add("actions", key, value, path)

    def _add(self, group: str, name: object, value: object, path: Path) -> None:
        if not isinstance(name, str):
            self.report(f"the name of an action is text, not {_shown(name)}", path)
            return
        seconds = self.one(value, path)
        if seconds is None:
            return
        known = action_name(name)
        current = known == name
        if not current and (group, known) in self._current:
            return
        if current:
            self._current.add((group, known))
        getattr(self, group)[known] = seconds


def _bounded(seconds: int) -> tuple[int, str]:
    if seconds < 0:
        return DEFAULT_SECONDS, "the time is negative"
    if seconds > MAX_SECONDS:
        return DEFAULT_SECONDS, "longer than a year"
    return seconds or DEFAULT_SECONDS, ""


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
