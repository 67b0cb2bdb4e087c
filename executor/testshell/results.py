# SPDX-License-Identifier: Apache-2.0
"""From events to `results` records: expected cases, provenance, definitions that never ended (spec: test-
shell §6, results-and-logs §2).

Pure bookkeeping: records go to `emit`, log lines to `note`, time comes from `clock`. A bad signal costs at
most itself; only what the spec calls a TestError or JobError ends the block.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from executor.errors import JobError, LavaExecError, TestError
from executor.testshell import events
from executor.testshell.events import FAIL, PASS, UNKNOWN, Event
from executor.testshell.placed import PlacedDefinition

MAX_MARKS = 1000
DID_NOT_RUN = "the case was expected, and all that the device reported shows that it did not run"
NOT_KNOWN = "the case was expected; whether it ran is not known, because signals were lost"
UNLISTED = "the case is not among the expected ones"

Emit = Callable[[dict[str, Any]], object]
Note = Callable[[str, str], object]  # level of the journal, text


class Record(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One `results` record (spec: results-and-logs §2)."""

    definition: str
    case: str
    result: str
    set: str | None = None
    measurement: float | None = None
    units: str | None = None
    reference: str | None = None
    starttc: int | None = None
    endtc: int | None = None
    level: str | None = None
    duration: str | None = None
    namespace: str | None = None
    uuid: str | None = None
    repository: str | None = None
    path: str | None = None
    revision: str | None = None
    commit_id: str | None = None
    extra: dict[str, Any] | None = None

    def as_map(self) -> dict[str, Any]:
        """Only what is known."""
        fields = ((name, getattr(self, name)) for name in self.__struct_fields__)
        return {name: value for name, value in fields if value is not None}


class _Run(msgspec.Struct):
    """A definition of the stage."""

    placed: PlacedDefinition
    seen: set[str] = msgspec.field(default_factory=set)
    settled: bool = False
    started: float | None = None  # on `clock`
    recorded: bool = False  # its record in suite `lava` is written


class Bookkeeper:
    """One attempt at one test block. `level` is that of the action; records with `extra` need it."""

    def __init__(
        self,
        definitions: Iterable[PlacedDefinition],
        *,
        namespace: str,
        emit: Emit,
        note: Note,
        stage: int = 0,
        level: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.attached = False  # files wait on the device
        self.failure: LavaExecError | None = None  # to be raised at the end of the block
        self._runs = {placed.run_id: _Run(placed) for placed in definitions}
        self._namespace, self._emit, self._note = namespace, emit, note
        self._stage, self._level, self._clock = stage, level, clock
        self._marks: dict[str, tuple[int | None, int | None]] = {}  # case -> starttc, endtc
        self._broken = False

    def take(self, event: Event) -> None:
        """Book one event. Raises TestError or JobError where the spec ends the block."""
        handler = _HANDLERS.get(type(event))
        if handler is not None:
            handler(self, event)

    @property
    def running(self) -> str:
        """The definition that has begun and not ended, for messages; "" when there is none."""
        return next((name for name, r in self._runs.items() if r.started is not None and not r.recorded), "")

    def finish(self) -> None:
        """The end of the block, also of one that an error ended: whatever has begun gets its record."""
        for name, run in self._runs.items():
            if not run.settled:
                self._settle(name, run, FAIL, accounted=False)

    # -- definitions -------------------------------------------------------------------------------------

    def _run_started(self, event: events.RunStarted) -> None:
        run = self._runs.get(event.definition)
        if run is None:
            definition = _unplaced(event.definition, event.uuid)
            run = self._runs[event.definition] = _Run(definition)
        run.started = self._clock()
        self._note("info", f"starting definition {event.definition}")

    def _run_ended(self, event: events.RunEnded) -> None:
        run = self._runs.get(event.definition)
        if run is not None and not run.recorded and not self._broken:
            self._record_run(event.definition, run, PASS, uuid=event.uuid)
            self._note("debug", f"definition {event.definition} ended")

    def _run_settled(self, event: events.RunSettled) -> None:
        run = self._runs.get(event.definition)
        if run is not None:
            outcome = FAIL if self._broken or event.outcome == PASS else event.outcome
            self._settle(event.definition, run, outcome, event.accounted)

    def _settle(self, name: str, run: _Run, outcome: str, accounted: bool) -> None:
        run.settled = True
        for case in run.placed.expected_cases:
            if case not in run.seen:
                self._missing(name, run, case, accounted)
        if run.started is not None and not run.recorded:
            self._record_run(name, run, outcome)

    def _missing(self, name: str, run: _Run, case: str, accounted: bool) -> None:
        run.seen.add(case)
        reason = DID_NOT_RUN if accounted else NOT_KNOWN
        self._note("warning", f"{name}: {case}: {reason}")
        self._write(
            Record(
                definition=name,
                case=case,
                result=FAIL if accounted else UNKNOWN,
                level=self._level,
                extra={"reason": reason},
            )
        )

    def _record_run(self, name: str, run: _Run, result: str, uuid: str = "") -> None:
        """The definition itself as a case of suite `lava`."""
        placed, run.recorded = run.placed, True
        began = run.started if run.started is not None else self._clock()
        self._write(
            Record(
                definition="lava",
                case=name,
                result=result,
                duration=f"{self._clock() - began:.2f}",
                namespace=self._namespace,
                uuid=uuid or placed.uuid,
                repository=placed.repository or None,
                path=placed.path or None,
                revision=placed.revision or "unspecified",
                commit_id=placed.commit_id or None,
            )
        )

    def _install_failed(self, event: events.InstallFailed) -> None:
        which = f" of {event.definition}" if event.definition else ""
        self._note("error", f"the install script{which} failed, its tests are left out; the log says why")
        if self.failure is None:
            self._write(Record(definition="lava", case=f"stage_{self._stage}", result=FAIL))
            self.failure = TestError(
                f"the install script{which} failed", "its output is in the log before this line"
            )

    # -- cases -------------------------------------------------------------------------------------------

    def _case_started(self, event: events.CaseStarted) -> None:
        if len(self._marks) < MAX_MARKS:
            self._marks[event.case] = (event.line, None)

    def _case_ended(self, event: events.CaseEnded) -> None:
        if event.case in self._marks or len(self._marks) < MAX_MARKS:
            self._marks[event.case] = (self._marks.get(event.case, (None, None))[0], event.line)

    def _case_result(self, event: events.CaseResult) -> None:
        run = self._runs.get(event.run)
        if run is None:
            raise TestError(
                "a test case was reported before any test definition had started",
                "the STARTRUN signal was lost on the console, most often to kernel messages",
            )
        run.seen.add(event.case)
        result, reason = event.result, event.reason
        expected = run.placed.expected_cases
        if expected and event.case not in expected and not reason:
            self._note("warning", f"{event.definition}: {event.case}: {UNLISTED}, so it counts as fail")
            result, reason = FAIL, UNLISTED
        if event.reason:
            self._note("warning", f"{event.definition}: {event.case} is unknown: {event.reason}")
        line = event.line if event.line >= 0 else None
        start, end = self._marks.pop(event.case, (None, None))
        self._write(
            Record(
                definition=event.definition,
                case=event.case,
                result=result,
                set=event.set or None,
                measurement=event.measurement,
                units=event.units or None,
                reference=event.reference or None,
                starttc=start if start is not None else line,
                endtc=end if end is not None else line,
                level=self._level if reason else None,
                extra={"reason": reason} if reason else None,
            )
        )

    def _write(self, record: Record) -> None:
        self._emit(record.as_map())

    # -- the rest ----------------------------------------------------------------------------------------

    def _raised(self, event: events.Raised) -> None:
        self._broken = True
        raise TestError(event.message, "the test asked for it with lava-test-raise")

    def _broken_signal(self, event: events.Broken) -> None:
        self._broken = True
        raise (JobError if event.error_type == "Job" else TestError)(event.message)

    def _multinode(self, event: events.Multinode) -> None:
        self._broken = True
        call = f"lava-{event.api.replace('_', '-')}"
        raise TestError(
            f"the test calls {call} {event.arguments}, but this job is not part of a group",
            "only jobs of a group, `protocols: lava-multinode`, can wait for each other",
        )

    def _malformed(self, event: events.Malformed) -> None:
        self._note("error", f"damaged or malformed signal, {event.reason}: {event.text[:300]}")

    def _ignored(self, event: events.Ignored) -> None:
        self._note("debug", f"signal {event.name} is not known, ignored")

    def _announced(self, event: events.Announced) -> None:
        self._note("event", event.message)

    def _attached(self, event: events.Attached) -> None:
        self.attached = True
        self._note("debug", f"attached: {event.name}, {event.size} bytes")

    def _set_started(self, event: events.SetStarted) -> None:
        self._note("debug", f"test set {event.name} begins")

    def _suite_renamed(self, event: events.SuiteRenamed) -> None:
        self._note("info", f"results of {event.definition} now belong to suite {event.name}")


def _unplaced(name: str, uuid: str) -> PlacedDefinition:
    """A definition that the job does not know; another dispatcher's overlay may be on the device."""
    from executor.testshell.definition import TestDefinition

    return PlacedDefinition(index=-1, name=name, uuid=uuid, definition=TestDefinition(name=name))


_HANDLERS: dict[type[Event], Callable[[Bookkeeper, Any], None]] = {
    events.RunStarted: Bookkeeper._run_started,
    events.RunEnded: Bookkeeper._run_ended,
    events.RunSettled: Bookkeeper._run_settled,
    events.InstallFailed: Bookkeeper._install_failed,
    events.CaseStarted: Bookkeeper._case_started,
    events.CaseEnded: Bookkeeper._case_ended,
    events.CaseResult: Bookkeeper._case_result,
    events.Raised: Bookkeeper._raised,
    events.Broken: Bookkeeper._broken_signal,
    events.Malformed: Bookkeeper._malformed,
    events.Multinode: Bookkeeper._multinode,
    events.Ignored: Bookkeeper._ignored,
    events.Announced: Bookkeeper._announced,
    events.Attached: Bookkeeper._attached,
    events.SetStarted: Bookkeeper._set_started,
    events.SuiteRenamed: Bookkeeper._suite_renamed,
}
