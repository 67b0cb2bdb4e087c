# SPDX-License-Identifier: Apache-2.0
"""What a journal says about its job, small enough to keep: header, cases, actions, end, first cause.

Everything that people and programs are shown about results is drawn from a Summary, so that all of it agrees.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from executor.errors import JobCanceled, who_acts
from executor.model.journal import End, Header

TESTED = "the developers of what was tested"  # has to act when the lab and the job did their part


@dataclass(slots=True)
class Case:
    """One result as recorded; attempts stay apart. Lines are log lines from 0, -1 = not known."""

    suite: str
    name: str
    result: str
    record: dict[str, Any]
    seq: int
    line: int
    dt: str
    set: str = ""
    measurement: float | str | None = None
    units: str = ""
    level: str = ""
    duration: float | None = None  # seconds
    attempt: int = 0  # of the action around it that may be tried again; 0 = it cannot be
    start_line: int = -1
    end_line: int = -1
    excerpt: str = ""  # log lines start_line..end_line of a failed case, when they were asked for

    @property
    def address(self) -> str:
        """`suite/set/case` or `suite/case` (spec: results-and-logs §5)."""
        return "/".join(part for part in (self.suite, self.set, self.name) if part)


@dataclass(slots=True)
class ActionNode:
    """One attempt of one action. Seconds; `end_dt` is empty while it runs."""

    name: str
    level: str
    attempt: int = 1
    max_attempts: int = 1
    start_dt: str = ""
    end_dt: str = ""
    timeout: float = 0.0
    duration: float = 0.0
    result: str = ""
    error_type: str = ""
    error_msg: str = ""
    section: str = ""
    namespace: str = "common"
    line: int = -1  # log line at its start
    children: list[ActionNode] = field(default_factory=list)


@dataclass(frozen=True)
class Cause:
    """Why a job did not end well: who has to act, what happened, where in the log."""

    who: str
    what: str
    error_type: str = ""
    hint: str = ""
    action: str = ""
    level: str = ""
    line: int = -1
    attempt: int = 0  # of the action, or of the one around it that is tried again; 0 = there was only one
    attempts: int = 0

    def sentence(self) -> str:
        """`for the test writer: kernel panic … (2.3 login-action, attempt 2 of 3, log line 812)`."""
        where = f" ({self.where})" if self.where else ""
        return f"{self.lead}{': ' if self.lead else ''}{self.what_line}{where}"

    @property
    def lead(self) -> str:
        """`for the lab admin`: who has to act; empty where nobody can say."""
        if self.who == JobCanceled.who:
            return f"{self.who} has to act"
        return f"for {self.who}" if self.who else ""

    @property
    def what_line(self) -> str:
        """What happened, in one line whatever the message holds."""
        return " ".join(self.what.split())

    @property
    def where(self) -> str:
        """Action, attempt and log line, as far as they are known."""
        places = []
        if self.action:
            places.append(f"{self.level} {self.action}".strip())
        if self.attempts > 1:
            places.append(f"attempt {self.attempt} of {self.attempts}")
        if self.line >= 0:
            places.append(f"log line {self.line}")
        return ", ".join(places)


@dataclass
class Summary:
    """Everything but the log itself."""

    header: Header = field(default_factory=Header)
    end: End | None = None  # None: still running, or the runner died
    cases: list[Case] = field(default_factory=list)
    actions: list[ActionNode] = field(default_factory=list)
    pipeline: list[dict[str, Any]] = field(default_factory=list)
    lines: int = 0  # of the field's log
    records: int = 0
    first_dt: str = ""
    last_dt: str = ""
    last_error: tuple[int, str] = (-1, "")  # log line and text of the last exception or error
    end_line: int = -1  # log line of the cause that the end record names
    bad: int = 0
    missing: int = 0
    torn: bool = False
    warnings: list[str] = field(default_factory=list)

    @property
    def tests(self) -> list[Case]:
        """Cases outside suite `lava`."""
        return [case for case in self.cases if case.suite != "lava"]

    @property
    def counts(self) -> dict[str, int]:
        """Result -> number of test cases outside suite `lava`, attempts counted each."""
        counts: dict[str, int] = {}
        for case in self.tests:
            counts[case.result] = counts.get(case.result, 0) + 1
        return counts

    @property
    def suites(self) -> dict[str, list[Case]]:
        """Cases by suite, both in order of appearance."""
        suites: dict[str, list[Case]] = {}
        for case in self.cases:
            suites.setdefault(case.suite, []).append(case)
        return suites

    @property
    def repeated(self) -> set[str]:
        """Addresses with more than one result: only with its attempt does a result of theirs say anything."""
        seen = Counter(case.address for case in self.cases)
        return {address for address, count in seen.items() if count > 1}

    @property
    def unseen_definitions(self) -> list[str]:
        """Definitions of the job that left no record (spec: results-and-logs §2)."""
        seen = {case.name for case in self.cases if case.suite == "lava"}
        return [name for name in self.header.definitions if name not in seen]

    @property
    def exit_code(self) -> int | None:
        """The end record's; None when there is none."""
        return self.end.exit_code if self.end is not None else None

    def conclude(self, health: str, exit_code: int, error_type: str, error_msg: str) -> None:
        """How the job ended by the master's word, for a journal whose runner and agent could not say it."""
        if self.end is None:
            hint = (
                "The log ends where the worker was lost; its own copy may have more." if self.records else ""
            )
            self.end = End(
                health,
                exit_code,
                error_type=error_type,
                error_msg=error_msg or f"the job ended: {health}",
                who=who_acts(error_type),
                hint=hint if self.records and error_type != JobCanceled.error_type else "",
                cases=self.counts,
                seconds=seconds_between(self.first_dt, self.last_dt),
            )

    def cause(self) -> Cause | None:
        """The first cause; None for a job that passed, or that still runs and has met no error."""
        end = self.end
        if end is None:
            line, text = self.last_error
            return Cause("", text, line=line) if text else None
        if end.error_type or end.error_msg:
            return self._error_of(end)
        bad = [case for case in self.tests if case.result in ("fail", "unknown")]
        return self._of_tests(bad) if bad else None

    def path_to(self, level: str, name: str, line: int) -> list[ActionNode]:
        """The attempts that led to what an action said at a log line, from the top; empty if unknown."""
        found: list[ActionNode] = []
        for path in _paths(self.actions):
            node = path[-1]
            if (node.level, node.name) == (level, name) and (line < 0 or node.line <= line):
                found = path
        return found

    def _error_of(self, end: End) -> Cause:
        action, level, line = end.action, end.level, self.end_line
        path = self.path_to(level, action, line) if action else _open_path(self.actions)
        if path and not action:  # the runner died in there
            action, level = path[-1].name, path[-1].level
        tried = next((node for node in reversed(path) if node.max_attempts > 1), None)
        attempt, attempts = (tried.attempt, tried.max_attempts) if tried is not None else (0, 0)
        what = end.error_msg or f"the job ended: {end.health}"
        return Cause(end.who, what, end.error_type, end.hint, action, level, line, attempt, attempts)

    def _of_tests(self, bad: list[Case]) -> Cause:
        shown = ", ".join(map(_address_and_attempt, bad[:3])) + (" …" if len(bad) > 3 else "")
        what = f"{len(bad)} of {len(self.tests)} test cases did not pass: {shown}"
        first = bad[0]
        line = first.start_line if first.start_line >= 0 else first.line
        return Cause(TESTED, what, line=line)


def _address_and_attempt(case: Case) -> str:
    return f"{case.address} in attempt {case.attempt}" if case.attempt else case.address


def _paths(nodes: list[ActionNode], above: tuple[ActionNode, ...] = ()) -> Iterator[list[ActionNode]]:
    """Every node with those above it, in order of time."""
    for node in nodes:
        yield [*above, node]
        yield from _paths(node.children, (*above, node))


def _open_path(nodes: list[ActionNode]) -> list[ActionNode]:
    """The actions that never ended, from the top."""
    path: list[ActionNode] = []
    while nodes and not nodes[-1].end_dt:
        path.append(nodes[-1])
        nodes = nodes[-1].children
    return path


def seconds_between(first: str, last: str) -> float:
    """Between two times of records; 0 when one of them is none."""
    try:
        return max(0.0, (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds())
    except (ValueError, TypeError):
        return 0.0
