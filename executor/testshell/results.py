# SPDX-License-Identifier: Apache-2.0
"""From events to `results` records: suites, sets, expected cases, definitions that never ended (spec: test-shell §6).

Pure bookkeeping: the journal is reached through `emit`, time through `clock`, and whatever a signal may look like, a
bad one costs at most itself. Only what the spec calls a TestError ends the block.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from executor.errors import JobError, LavaExecError, TestError
from executor.testshell import stream
from executor.testshell.overlay import PlacedDefinition
from executor.testshell.stream import Event, Signal, SignalStream

RESULTS = ("pass", "fail", "skip", "unknown")
MISSING = "the case was expected, and the device's own file shows that it did not run"
NOT_KNOWN = "the case was expected, and whether it ran is not known: the device's file could not be read back"

Emit = Callable[[dict[str, Any]], object]
Note = Callable[[str, str], object]  # level, text


class _Run(msgspec.Struct):
    """A definition that has started."""

    run_id: str
    suite: str
    uuid: str
    started: float
    definition: PlacedDefinition | None
    seen: set[str] = msgspec.field(default_factory=set)
    ended: bool = False


class Bookkeeper:
    """One test block. `emit` gets each record as a map, `note` what is worth a log line."""

    def __init__(
        self,
        signals: SignalStream,
        definitions: Iterable[PlacedDefinition],
        *,
        namespace: str,
        emit: Emit,
        note: Note,
        stage: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.exited = False
        self.attached = False  # files wait on the device
        self.failure: LavaExecError | None = None  # an install that failed: raised at the end of the block
        self._signals = signals
        self._placed = {d.run_id: d for d in definitions}
        self._namespace, self._emit, self._note, self._stage, self._clock = (
            namespace,
            emit,
            note,
            stage,
            clock,
        )
        self._runs: dict[str, _Run] = {}
        self._marks: dict[tuple[str, str], dict[str, int]] = {}  # (run, case) -> starttc, endtc

    def take(self, event: Event, seq: int) -> None:
        """Book one event that the journal shows at record `seq`. Raises TestError or JobError."""
        if isinstance(event, Signal):
            handler = getattr(self, f"_on_{event.name.lower()}", None)
            if handler is None:
                self._note("debug", f"signal {event.name} is not known, ignored")
            else:
                handler(event, seq)
        elif isinstance(event, stream.Found):
            self._found(event, seq)
        elif isinstance(event, stream.Lost):
            self._lost(event)
        elif isinstance(event, stream.Damaged):
            self._note("warning", f"damaged signal: {event.reason}: {event.text}")
        elif isinstance(event, stream.InstallFail):
            self._note(
                "error", f"unable to start stage {self._stage}: an install script failed, the log says why"
            )
            self._emit({"definition": "lava", "case": f"stage_{self._stage}", "result": "fail"})
            self.failure = TestError(
                "the install script of a test definition failed", "its output is in the log"
            )
        elif isinstance(event, stream.Exit):
            self.exited = True

    def finish(self, *, whole: bool) -> None:
        """End of the block. `whole`: the device's file was read back, or nothing was missing."""
        for run in self._runs.values():
            self._expect(run, whole)
            if not run.ended:
                run.ended = True
                self._definition_record(run, "fail")
        for run_id, placed in self._placed.items():
            if run_id not in self._runs and _expected(placed):
                self._expect(_Run(run_id, run_id, placed.uuid, self._clock(), placed), whole)

    # -- signals ------------------------------------------------------------------------------------------------

    def _on_startrun(self, signal: Signal, seq: int) -> None:
        words = signal.params.split()
        if len(words) < 2:
            raise TestError(
                f"malformed STARTRUN signal: {signal.params!r}", "did kernel messages overwrite it?"
            )
        run_id, uuid = words[0], words[1]
        placed = self._placed.get(run_id)
        self._runs[run_id] = _Run(run_id, run_id, uuid, self._clock(), placed)
        self._note("info", f"starting definition {run_id}")
        pattern = placed.definition.pattern if placed is not None else ""
        self._signals.set_pattern(re.compile(pattern, re.MULTILINE) if pattern else None)

    def _on_endrun(self, signal: Signal, seq: int) -> None:
        words = signal.params.split()
        run = self._runs.get(words[0]) if words else None
        if run is None:
            run_id = words[0] if words else "unknown"
            placed = self._placed.get(run_id)
            run = self._runs[run_id] = _Run(
                run_id, run_id, words[1] if len(words) > 1 else "", self._clock(), placed
            )
        self._signals.set_pattern(None)
        if not run.ended:
            run.ended = True
            run.uuid = words[1] if len(words) > 1 else run.uuid
            self._definition_record(run, "pass")

    def _on_starttc(self, signal: Signal, seq: int) -> None:
        self._marks.setdefault((signal.run, signal.params.strip()), {})["starttc"] = seq

    def _on_endtc(self, signal: Signal, seq: int) -> None:
        self._marks.setdefault((signal.run, signal.params.strip()), {})["endtc"] = seq

    def _on_testcase(self, signal: Signal, seq: int) -> None:
        fields: dict[str, str] = {}
        for word in signal.params.split():
            key, equals, value = word.partition("=")
            if not equals:
                self._note(
                    "error", f"ignoring malformed parameter {word!r} in a test case signal: {signal.params}"
                )
                return
            fields[key.lower()] = value
        self._case(signal, fields, seq)

    def _on_testreference(self, signal: Signal, seq: int) -> None:
        words = signal.params.split()
        if len(words) != 3:
            raise TestError(
                f"malformed TESTREFERENCE signal: {signal.params!r}", "ID, result and URL are wanted"
            )
        self._case(signal, {"test_case_id": words[0], "result": words[1], "reference": words[2]}, seq)

    def _on_testset(self, signal: Signal, seq: int) -> None:
        words = signal.params.split()
        if words[:1] == ["START"] and len(words) < 2:
            raise JobError("lava-test-set start without a name")

    def _on_testsuite(self, signal: Signal, seq: int) -> None:
        run = self._runs.get(signal.run)
        if run is not None and signal.params.strip():
            run.suite = signal.params.split()[0]
            self._note("info", f"suite of {run.run_id} is now called {run.suite}")

    def _on_testraise(self, signal: Signal, seq: int) -> None:
        raise TestError(signal.params.strip() or "lava-test-raise without a message")

    def _on_testevent(self, signal: Signal, seq: int) -> None:
        self._note("event", signal.params)

    def _on_testfeedback(self, signal: Signal, seq: int) -> None:
        self._note("debug", f"feedback of namespace {signal.params.strip()!r} is in the log as it comes")

    def _on_attached(self, signal: Signal, seq: int) -> None:
        self.attached = True

    def _on_start_metadata_capture(self, signal: Signal, seq: int) -> None:
        self._note("debug", f"metadata {signal.params.strip()} begins")

    def _on_end_metadata_capture(self, signal: Signal, seq: int) -> None:
        self._note("debug", f"metadata {signal.params.strip()} ends")

    # -- cases --------------------------------------------------------------------------------------------------

    def _found(self, event: stream.Found, seq: int) -> None:
        fields = {key: value for key, value in event.groups.items() if value is not None}
        case = fields.get("test_case_id", "").strip()
        if " " in case:
            self._note("debug", f"the parse pattern found a case with blanks in its name, skipped: {case!r}")
            return
        fields["test_case_id"] = case.replace("/", "_")
        signal = Signal("TESTCASE", "", event.run, event.set)
        if fields.get("measurement") and _number(fields["measurement"]) is None:
            raise TestError(f"invalid measurement {fields['measurement']!r} for {case}")
        self._case(signal, fields, seq)

    def _case(self, signal: Signal, fields: dict[str, str], seq: int) -> None:
        run = self._runs.get(signal.run)
        if run is None:
            raise TestError(
                "a test case was reported before any test definition had started",
                "the STARTRUN signal was lost on the console, most often to kernel messages",
            )
        case, result = fields.get("test_case_id", ""), fields.get("result", "")
        if not case or not result:
            what = "an id" if not case else "a result"
            self._note("error", f"test case without {what}: {signal.params or fields}")
            return
        fixup = run.definition.definition.fixup if run.definition is not None else {}
        result = fixup.get(result, result)
        if result not in RESULTS:
            self._note(
                "error", f"test case {case}: bad result {result!r}, dropped; {', '.join(RESULTS)} are known"
            )
            return
        record: dict[str, Any] = {"definition": run.suite, "case": case, "result": result}
        if fields.get("measurement"):
            number = _number(fields["measurement"])
            if number is None:
                self._note(
                    "error", f"test case {case}: measurement {fields['measurement']!r} is no number, dropped"
                )
                return
            record["measurement"] = number
            if fields.get("units"):
                record["units"] = fields["units"]
        if fields.get("reference"):
            record["reference"] = fields["reference"]
        marks = self._marks.pop((signal.run, case), {})
        record["starttc"] = marks.get("starttc", seq)
        record["endtc"] = marks.get("endtc", seq)
        if signal.restored:
            record["restored"] = True
        expected = _expected(run.definition)
        if expected and case not in expected:
            self._note(
                "warning", f"{run.suite}: case {case} is not among the expected ones, reported as fail"
            )
            record["result"] = "fail"
        self._book(run, record, signal.set)

    def _lost(self, event: stream.Lost) -> None:
        run = self._runs.get(event.run) or _Run(event.run, event.run or "unknown", "", self._clock(), None)
        self._note("warning", f"{run.suite}: result of {event.case} is unknown: {event.reason}")
        record = {
            "definition": run.suite,
            "case": event.case,
            "result": "unknown",
            "extra": {"reason": event.reason},
        }
        self._book(run, record, event.set)

    def _book(self, run: _Run, record: dict[str, Any], set_: str) -> None:
        run.seen.add(record["case"])
        if set_:
            record["set"] = set_
        self._emit(record)

    def _expect(self, run: _Run, whole: bool) -> None:
        missing = [case for case in _expected(run.definition) if case not in run.seen]
        for case in missing:
            record = {
                "definition": run.suite,
                "case": case,
                "result": "fail" if whole else "unknown",
                "extra": {"reason": MISSING if whole else NOT_KNOWN},
            }
            self._book(run, record, "")

    def _definition_record(self, run: _Run, result: str) -> None:
        placed = run.definition
        record: dict[str, Any] = {
            "definition": "lava",
            "case": run.run_id,
            "result": result,
            "uuid": run.uuid,
            "duration": f"{self._clock() - run.started:.2f}",
            "namespace": self._namespace,
        }
        if placed is not None:
            record |= {
                "repository": placed.repository or None,
                "path": placed.path or None,
                "revision": placed.revision or "unspecified",
            }
            if placed.commit_id:
                record["commit_id"] = placed.commit_id
        self._emit({k: v for k, v in record.items() if v is not None})


def _expected(placed: PlacedDefinition | None) -> list[str]:
    if placed is None:
        return []
    return placed.expected or placed.definition.expected


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
