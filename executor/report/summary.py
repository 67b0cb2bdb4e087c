# SPDX-License-Identifier: Apache-2.0
"""What a journal says about its job, small enough to keep: header, cases, actions, end, first cause.

Everything that people and programs are shown about results is drawn from a Summary, so that all of it agrees.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from executor.model.journal import End, Header


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

    def sentence(self) -> str:
        """`the test writer: kernel panic … (boot 2.3 auto-login-action, log line 812)`."""
        places = []
        if self.action:
            places.append(f"{self.level} {self.action}".strip())
        if self.line >= 0:
            places.append(f"log line {self.line}")
        what = " ".join(self.what.split())
        where = f" ({', '.join(places)})" if places else ""
        return f"{self.who}: {what}{where}" if self.who else f"{what}{where}"


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
    def unseen_definitions(self) -> list[str]:
        """Definitions of the job that left no record (spec: results-and-logs §2)."""
        seen = {case.name for case in self.cases if case.suite == "lava"}
        return [name for name in self.header.definitions if name not in seen]

    @property
    def exit_code(self) -> int | None:
        """The end record's; None when there is none."""
        return self.end.exit_code if self.end is not None else None

    def cause(self) -> Cause | None:
        """The first cause; None for a job that passed, or that still runs and has met no error."""
        end = self.end
        if end is None:
            line, text = self.last_error
            return Cause("", text, line=line) if text else None
        if end.error_type or end.error_msg:
            return Cause(
                end.who, end.error_msg, end.error_type, end.hint, end.action, end.level, self.end_line
            )
        bad = [case for case in self.tests if case.result in ("fail", "unknown")]
        if not bad:
            return None
        shown = ", ".join(case.address for case in bad[:3]) + (" …" if len(bad) > 3 else "")
        total = len(self.tests)
        what = f"{len(bad)} of {total} test cases did not pass: {shown}"
        first = bad[0]
        line = first.start_line if first.start_line >= 0 else first.line
        return Cause("", what, line=line)
