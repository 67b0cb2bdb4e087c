# SPDX-License-Identifier: Apache-2.0
"""Results that are drawn from a console without helpers on the device: the suite of a monitor or a script."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from executor.testshell.events import FAIL
from executor.testshell.signals import Result

if TYPE_CHECKING:
    from executor.pipeline.run import Run

UNLISTED = "the case is not among the expected ones"
MISSING = "the case was expected, and the console did not show it"


class Suite:
    """Books the cases of suite `name`. With `expected` others count as fail, and so do those that are missing
    when it is closed (spec: job-format §7, `expected`). `earlier`: copies of the block with the same suite.
    """

    def __init__(self, run: Run, name: str, expected: Sequence[str] = (), *, earlier: int = 0) -> None:
        self.name = name
        self._attempt = run.outer + earlier
        self._run, self._expected = run, expected
        self._seen: set[str] = set()

    def book(self, result: Result, *, line: int | None = None, seconds: float | None = None) -> None:
        """One case. `line`: the journal's number of the console line that tells it."""
        self._seen.add(result.case)
        verdict, reason = result.result, ""
        if self._expected and result.case not in self._expected:
            self._run.log.warning(f"{self.name}: {result.case}: {UNLISTED}, so it counts as fail")
            verdict, reason = FAIL, UNLISTED
        self._write(
            case=result.case,
            result=verdict,
            measurement=result.measurement,
            units=result.units or None,
            starttc=line,
            endtc=line,
            duration=None if seconds is None else f"{seconds:.2f}",
            extra={"reason": reason} if reason else None,
        )

    def close(self) -> None:
        """Nothing more will come."""
        for case in self._expected:
            if case not in self._seen:
                self._run.log.warning(f"{self.name}: {case}: {MISSING}")
                self._seen.add(case)
                self._write(case=case, result=FAIL, extra={"reason": MISSING})

    def _write(self, *, case: str, result: str, **fields: Any) -> None:
        run = self._run
        run.context.cases[result] = run.context.cases.get(result, 0) + 1
        run.log.result(
            definition=self.name,
            case=case,
            result=result,
            level=run.action.level,
            attempt=self._attempt if self._attempt > 1 else None,
            **fields,
        )
