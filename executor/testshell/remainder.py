# SPDX-License-Identifier: Apache-2.0
"""What becomes, at the end, of all that did not arrive: `unknown`, with the reason, under its name if known.

A definition whose end may be among the lost signals is unknown too; one that certainly did not get there has
failed.
"""

from __future__ import annotations

from collections.abc import Iterable

from executor.testshell import events
from executor.testshell.doubt import Doubt, Plain
from executor.testshell.events import FAIL, PASS, UNKNOWN
from executor.testshell.interpret import Interpreter
from executor.testshell.ledger import Ledger
from executor.testshell.runs import DefinitionRun
from executor.testshell.signals import case_of_fragment

MAX_LOST = 100  # lost signals that get a result of their own; the rest shares one


class Remainder:
    """Remembers what is left of damaged signals, and settles everything at the end."""

    def __init__(self, does: Interpreter, ledger: Ledger, doubt: Doubt) -> None:
        self._does = does
        self._ledger = ledger
        self._doubt = doubt
        self._cut: list[tuple[int, str]] = []  # (number before it, case) of damaged TESTCASE signals

    def remember(self, text: str, before: int) -> str:
        """The case that a damaged signal was about; it names what is missing after number `before`."""
        case = case_of_fragment(text)
        if case:
            self._cut.append((before, case))
            del self._cut[:-MAX_LOST]
        return case

    def settle(
        self, reason: str, *, exited: bool, tail_known: bool, numbered: bool, kept: Iterable[tuple[int, str]]
    ) -> None:
        """Say of each definition how it ended, and of each open question that nobody can answer it.

        `numbered`: the device's helpers number their signals. `kept`: (number, text) of those read back.
        """
        whole = exited and tail_known and not self._ledger.missing
        for plain in self._doubt.rest(kept):
            self._unbelieved(plain)
        held, self._does.held = self._does.held, []
        for one in held:
            self._unknown(one.run, one.result.case, f"its test set or suite is not known: {reason}", one.line)
        owners = self._lost(reason)
        current = self._does.current
        if current is not None and numbered and not exited:
            for case, (line, _) in list(self._does.open.items()):
                self._unknown(current, case, f"it had begun, and no result came: {reason}", line)
        for run in self._does.runs.values():
            if run.settled:
                continue
            run.settled = True
            if not numbered:
                for case, line in run.cut_cases.items():
                    self._unknown(run, case, "its signal was cut", line)
            in_doubt = exited and numbered and (run.index in owners or not tail_known)
            self._does.emit(
                events.RunSettled,
                -1,
                definition=run.name,
                accounted=whole if numbered else exited and not run.hurt,
                outcome=_outcome(run, in_doubt),
            )
        self._ledger.missing.clear()

    def _unbelieved(self, plain: Plain) -> None:
        """A plain signal that may be the rest of a lost one: then it tells the lost one's name."""
        case = case_of_fragment(plain.text)
        if not case:
            return
        told = {before for before, _ in self._cut}
        for number in range(plain.after + 1, plain.before or self._ledger.top + 1):
            if number in self._ledger.missing and number - 1 not in told:
                self.remember(plain.text, number - 1)
                return
        self._unknown(plain.run, case, "its signal came without its checksum", plain.line)

    def _lost(self, reason: str) -> set[int]:
        """A result for each signal that is known to be missing; the definitions to which they belong."""
        runs = self._does.runs
        starts = {index for index, run in runs.items() if run.started and not run.announced}
        owners = set()
        told = 0
        for number, owner in sorted(self._ledger.missing.items()):
            owners.add(owner)
            if owner in starts:
                starts.remove(owner)  # it was that definition's STARTRUN
                continue
            told += 1
            if told <= MAX_LOST:
                self._unknown(runs.get(owner), self._name(number), f"signal {number} was lost: {reason}", -1)
        if told > MAX_LOST:
            self._unknown(None, "lost-signals", f"{told - MAX_LOST} more signals were lost: {reason}", -1)
        return owners

    def _name(self, number: int) -> str:
        """The case that a missing signal was about, as far as anything tells."""
        for before, case in self._cut:
            if before == number - 1:
                return case
        for case, (_, before) in self._does.open.items():
            if before == number - 1:
                del self._does.open[case]
                return case
        return f"lost-signal-{number}"

    def _unknown(self, run: DefinitionRun | None, case: str, reason: str, line: int) -> None:
        if run is None:
            run = self._does.current or next(iter(self._does.runs.values()), None)
        if run is None or not run.name:
            return
        self._does.open.pop(case, None)
        place = run.place
        self._does.emit(
            events.CaseResult,
            line,
            run=run.name,
            definition=place.suite if place is not None and place.suite else run.name,
            case=case,
            result=UNKNOWN,
            reason=reason,
        )


def _outcome(run: DefinitionRun, in_doubt: bool) -> str:
    if run.ended:
        return PASS
    if not run.started:
        return ""
    return UNKNOWN if in_doubt else FAIL
