# SPDX-License-Identifier: Apache-2.0
"""What each signal means: from its name and parameters to events (spec: test-shell §6).

Here nothing is doubted any more; whether a signal can be believed is decided before (stream, doubt).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from executor.testshell import events
from executor.testshell.events import Event
from executor.testshell.runs import DefinitionRun, Move, StreamDefinition
from executor.testshell.signals import Result, Trailer, parse_result, result_of

MAX_PATTERN_LINE = 4096  # characters of a line that a parse pattern is tried on
MAX_OPEN = 100
_RUN_NAME = re.compile(r"(\d+)_[-\w.]+\Z")
# Signals that say one thing: event and its field.
_SIMPLE: dict[str, tuple[Callable[..., Event], str]] = {
    "ENDTC": (events.CaseEnded, "case"),
    "TESTRAISE": (events.Raised, "message"),
    "TESTFEEDBACK": (events.Feedback, "namespace"),
    "TESTEVENT": (events.Announced, "message"),
    "START_METADATA_CAPTURE": (events.MetadataStarted, "name"),
    "END_METADATA_CAPTURE": (events.MetadataEnded, "name"),
}


class Held(msgspec.Struct, frozen=True):
    """A result whose suite or set is not known yet."""

    run: DefinitionRun
    context: int | None  # None: where plain results of the run belong
    result: Result
    seq: int
    line: int


class Interpreter:
    """Knows which definition runs and where results belong. `give` takes the events; they bear `line` and
    `restored` as these stand here."""

    def __init__(self, definitions: Sequence[StreamDefinition], give: Callable[[Event], None]) -> None:
        self.line = -1
        self.restored = False
        self.runs = {d.index: DefinitionRun(d) for d in definitions}
        self.known = bool(definitions)
        self.current: DefinitionRun | None = None
        self.held: list[Held] = []
        self.number = 0  # the highest number of a signal that has come
        self.open: dict[str, tuple[int, int]] = {}  # cases that began and have no result -> line, number
        self.begun = False  # has any definition begun?
        self._give = give
        self._nameless: DefinitionRun | None = None

    def emit(self, kind: Callable[..., Event], line: int | None = None, **fields: Any) -> None:
        """Give away an event, of the present line unless another is given."""
        self._give(kind(line=self.line if line is None else line, restored=self.restored, **fields))

    # -- signals -----------------------------------------------------------------------------------------

    def act(self, match: re.Match[str], checked: Trailer | None) -> None:
        """Carry out a signal that is believed."""
        run = self._run_of(checked)
        if match["runner"] == "INSTALL_FAIL":
            if run is not None and checked:
                run.announced = True  # it will not begin any more
            self.emit(events.InstallFailed, definition=run.name if run is not None and checked else "")
        elif match["api"]:
            self.emit(
                events.Multinode, api=match["api"].lower(), arguments=(match["arguments"] or "").strip()
            )
        elif match["name"]:
            self._signal(match["name"], match["parameters"].strip(), run, checked)

    def act_late(self, match: re.Match[str], run: DefinitionRun | None, line: int) -> None:
        """Carry out a plain signal that is only believed now; `run` and `line` are those of its time."""
        now, self.line = self.line, line
        self._signal(match["name"], match["parameters"].strip(), run, None)
        self.line = now

    def _signal(self, name: str, given: str, run: DefinitionRun | None, checked: Trailer | None) -> None:
        match name:
            case "STARTRUN":
                self._start(given.split(), checked)
            case "ENDRUN":
                self._end(given.split(), run, checked)
            case "TESTCASE" | "TESTREFERENCE":
                self._result(name, given, run, checked)
            case "TESTSET":
                self._set(given.split(), run, checked)
            case "TESTSUITE":
                self._suite(given, run, checked)
            case "STARTTC":
                self._open(given)
            case "ATTACHED":
                size, _, file = given.partition(" ")
                self.emit(events.Attached, name=file, size=int(size) if size.isdecimal() else 0)
            case _ if name in _SIMPLE:
                kind, field = _SIMPLE[name]
                self.emit(kind, None, **{field: given})
            case _:
                self.emit(events.Ignored, name=name, parameters=given)

    # -- definitions -------------------------------------------------------------------------------------

    def _run_of(self, checked: Trailer | None) -> DefinitionRun | None:
        """The definition that a signal belongs to: what its trailer says, else the one that runs."""
        if checked is None or checked.index < 0:
            return self.current
        return self.runs.get(checked.index)

    def ensure_started(self, checked: Trailer) -> None:
        """A signal of a definition came: so it has begun, even if its STARTRUN was lost."""
        run = self.runs.get(checked.index)
        if run is not None and not run.started:
            self._begin(run, inferred=True)

    def _start(self, words: list[str], checked: Trailer | None) -> None:
        if len(words) < 2:
            if checked is None:
                self.emit(events.Broken, error_type="Test", message="STARTRUN without name and uuid")
            return
        name, uuid = words[0], words[1]
        number = _RUN_NAME.match(name)
        if checked is not None:
            run = self.runs.get(checked.index)
            if run is None:
                run = self.runs[checked.index] = DefinitionRun(StreamDefinition(checked.index, name, uuid))
            self._begin(run, inferred=False)
            return
        run = next((r for r in self.runs.values() if r.name == name), None)
        if run is None and not self.known and number is not None and len(words) == 2:
            run = self.runs[int(number[1])] = DefinitionRun(StreamDefinition(int(number[1]), name, uuid))
        if run is not None:
            self._begin(run, inferred=False)
        else:
            self.damaged_start(" ".join(words))

    def damaged_start(self, text: str) -> None:
        """A definition begins, but noise lies over its name: its number may still tell, else its end will."""
        self.emit(events.Malformed, reason="the start of a definition was destroyed", text=text)
        number = re.match(r"(\d+)_", text)
        run = self.runs.get(int(number[1])) if number is not None else None
        if run is not None and not run.started:
            self._begin(run, inferred=True)
        else:
            self.current = self._nameless = DefinitionRun(StreamDefinition(-1, ""))
            self.begun = True

    def _begin(self, run: DefinitionRun, *, inferred: bool) -> None:
        if run.started:
            run.announced = run.announced or not inferred
            return
        run.started, run.announced = True, not inferred
        self.current, self.begun = run, True
        self.emit(events.RunStarted, definition=run.name, uuid=run.uuid, inferred=inferred)

    def _end(self, words: list[str], run: DefinitionRun | None, checked: Trailer | None) -> None:
        if checked is None:
            run = next((r for r in self.runs.values() if words and r.name == words[0]), None)
            nameless = self._nameless
            if nameless is not None and nameless is self.current and len(words) == 2:
                run = self._name(nameless, run, words)
        if run is None or not run.started:
            self.emit(events.Malformed, reason="the end of no definition that runs", text=" ".join(words))
            return
        if run.ended:
            return
        run.ended = True
        if self.current is run:
            self.current = None
        self.emit(events.RunEnded, definition=run.name, uuid=run.uuid)

    def _name(self, nameless: DefinitionRun, known: DefinitionRun | None, words: list[str]) -> DefinitionRun:
        """The end of a definition tells what its destroyed start should have told."""
        number = _RUN_NAME.match(words[0])
        run = known
        if run is None:
            index = int(number[1]) if number is not None else -1
            run = self.runs[index] = DefinitionRun(StreamDefinition(index, words[0], words[1]))
        self._nameless = None
        self._begin(run, inferred=True)
        self.held = [
            msgspec.structs.replace(held, run=run, context=None) if held.run is nameless else held
            for held in self.held
        ]
        self.place_held()
        return run

    # -- results -----------------------------------------------------------------------------------------

    def _open(self, case: str) -> None:
        if len(self.open) < MAX_OPEN:
            self.open[case] = (self.line, self.number)
        self.emit(events.CaseStarted, case=case)

    def _result(self, name: str, parameters: str, run: DefinitionRun | None, checked: Trailer | None) -> None:
        try:
            result = parse_result(name, parameters, run.fixups if run is not None else {})
        except ValueError as error:
            if name == "TESTREFERENCE" and checked is None:
                self.emit(events.Broken, error_type="Test", message=str(error))
            else:
                self.emit(events.Malformed, reason=str(error), text=parameters)
            return
        if checked is not None:
            self.report(run, checked.context, result, checked.seq)
        else:
            self.report(run, None, result)

    def report(
        self,
        run: DefinitionRun | None,
        context: int | None,
        result: Result,
        seq: int = 0,
        line: int | None = None,
    ) -> None:
        """Give away a result, or hold it until it is known where it belongs."""
        self.open.pop(result.case, None)
        if run is None:
            if self.begun:
                self.emit(events.Malformed, reason="a result while no definition ran", text=result.case)
            else:
                self.emit(events.CaseResult, run="", definition="", case=result.case, result=result.result)
            return
        place = run.place if context is None else run.at(context)
        if place is None or not place.suite:
            self.held.append(Held(run, context, result, seq, self.line if line is None else line))
            return
        run.cut_cases.pop(result.case, None)
        self.emit(
            events.CaseResult,
            line,
            run=run.name,
            definition=place.suite,
            set=place.set,
            case=result.case,
            result=result.result,
            measurement=result.measurement,
            units=result.units,
            reference=result.reference,
            seq=seq,
        )

    def place_held(self) -> None:
        """Something more is known: try again with what was held."""
        held, self.held = self.held, []
        for one in held:
            self.report(one.run, one.context, one.result, one.seq, one.line)

    def output(self, text: str) -> None:
        """A line of output, tried on the parse pattern of the definition that runs."""
        run = self.current
        if run is None or run.pattern is None:
            return
        for match in run.pattern.finditer(text[:MAX_PATTERN_LINE]):
            groups = match.groupdict()
            case = (groups.get("test_case_id") or "").strip()
            if not case or any(c.isspace() for c in case):
                continue
            try:
                result = result_of({**groups, "test_case_id": case.replace("/", "_")}, run.fixups)
            except ValueError as error:
                self.emit(events.Malformed, reason=str(error), text=match.group())
                continue
            self.report(run, None, result)

    # -- where results belong ----------------------------------------------------------------------------

    def _set(self, words: list[str], run: DefinitionRun | None, checked: Trailer | None) -> None:
        action = words[0].upper() if words else ""
        if action == "START" and len(words) < 2:
            self.emit(events.Broken, error_type="Job", message="lava-test-set start without a name")
            return
        if action not in ("START", "STOP"):
            self.emit(
                events.Malformed, reason="a test set is neither started nor stopped", text=" ".join(words)
            )
            return
        if run is None:
            return
        kind, name = ("start", words[1]) if action == "START" else ("stop", "")
        self._move(run, kind, name, checked)
        if kind == "start":
            self.emit(events.SetStarted, definition=run.name, name=name)
        else:
            self.emit(events.SetStopped, definition=run.name)

    def _suite(self, name: str, run: DefinitionRun | None, checked: Trailer | None) -> None:
        if run is not None and name:
            self._move(run, "suite", run.suite_name(name), checked)
            self.emit(events.SuiteRenamed, definition=run.name, name=run.suite_name(name))

    def _move(self, run: DefinitionRun, kind: str, name: str, checked: Trailer | None) -> None:
        if checked is not None and checked.seq:
            run.moved(checked.seq, Move(checked.context, kind, name))
        else:
            run.moved_plainly(kind, name)
