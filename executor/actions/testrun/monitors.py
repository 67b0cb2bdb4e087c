# SPDX-License-Identifier: Apache-2.0
"""What reads the console for monitors: results by a pattern, between start and end.

Spec: job-format §7.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from executor.actions.testrun.suite import Suite
from executor.console.expect import FLAGS
from executor.console.reader import MIN_WINDOW
from executor.testshell.events import PASS
from executor.testshell.signals import result_of

if TYPE_CHECKING:
    from executor.console.reader import Console
    from executor.model.testblocks import Monitor
    from executor.pipeline.run import Run

_NOT_A_WORD = re.compile(r"\W+")
_KEPT = 1024  # characters of lines that nothing matched, for patterns over several lines


def suite_name(monitor: Monitor) -> str:
    """The suite's name: lower case, without blanks."""
    return monitor.name.lower().replace(" ", "-")


class MonitorReader:
    """Sits in the console's reading thread, for one monitor after the other.

    A pattern sees whole lines, so a result is never taken from the half of one; a dot in it does not leave
    its line, so `.*` takes what the same line says.
    """

    def __init__(self, monitors: list[Monitor], run: Run, console: Console) -> None:
        self._run, self._console = run, console
        copies = run.action.block.iteration or 0 if run.action.block is not None else 0
        self._due = [
            (monitor, Suite(run, suite_name(monitor), monitor.expected, earlier=copies))
            for monitor in monitors
        ]
        self._begun = False  # the first of those has
        self._text = "\n"  # not used yet; its first character is there for `^`
        self._new = 0  # where in it the text at hand begins
        self._tell("waiting for its start")

    @property
    def missing(self) -> str:
        """What has not come, for messages."""
        if not self._due:
            return ""
        monitor, _ = self._due[0]
        what, pattern = ("end", monitor.end) if self._begun else ("start", monitor.start)
        return f"the {what} of {monitor.name!r}, {pattern!r}, did not come"

    def feed(self, text: str) -> bool:
        self._new = len(self._text)
        self._text += text
        while self._due and (self._results() if self._begun else self._start()):
            pass
        return not self._due

    def close(self) -> None:
        """Nothing more will come; the console's last line may have no end."""
        if self._due and self._begun:
            self._match(*self._due[0], len(self._text), len(self._text))
        for _, suite in self._due:
            suite.close()

    def _start(self) -> bool:
        found = re.compile(self._due[0][0].start, FLAGS).search(self._text, 1)
        self._drop(found.end() if found else len(self._text) - MIN_WINDOW)
        self._begun = found is not None
        if found:
            self._tell("reading")
        return self._begun

    def _results(self) -> bool:
        monitor, suite = self._due[0]
        ended = re.compile(monitor.end, FLAGS).search(self._text, 1)
        whole = ended.end() if ended else self._text.rfind("\n") + 1
        self._match(monitor, suite, whole, ended.start() if ended else whole)
        if ended is None:
            return False
        suite.close()
        del self._due[0]
        self._begun = False
        self._tell("waiting for its start")
        return True

    def _match(self, monitor: Monitor, suite: Suite, whole: int, before: int) -> None:
        """Book what is found in the first `whole` characters and begins `before` the end marker."""
        at = whole - _KEPT if before == whole else whole
        for match in re.compile(monitor.pattern, re.MULTILINE).finditer(self._text, 1, whole):
            if match.start() >= before:
                break
            if match.group():
                at = max(at, match.end())
                self._book(match, monitor, suite)
        self._drop(at)

    def _book(self, match: re.Match[str], monitor: Monitor, suite: Suite) -> None:
        groups = {name: value.strip() if value else None for name, value in match.groupdict().items()}
        groups["test_case_id"] = _NOT_A_WORD.sub("_", (groups.get("test_case_id") or "").lower())
        if "result" not in groups and groups.get("measurement"):
            groups["result"] = PASS
        try:
            result = result_of(groups, monitor.fixupdict)
        except ValueError as error:
            self._run.log.error(f"{suite.name}: {match.group().strip()!r} is ignored: {error}")
            return
        suite.book(result, line=self._console.seq_at(max(0, match.end() - self._new)))

    def _drop(self, end: int) -> None:
        """What stands before `end` is done with, but for one character."""
        if end > 1:
            self._text, self._new = self._text[end - 1 :], self._new - end + 1

    def _tell(self, what: str) -> None:
        if self._due:
            self._run.log.info(f"monitor {self._due[0][0].name}: {what}")
