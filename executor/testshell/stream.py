# SPDX-License-Identifier: Apache-2.0
"""The reader of the console during a test block: text in, events out; no I/O, no clock.

Signals of our helpers bear a number and a checksum, so each is either right or known to be damaged, and a
missing one leaves a gap. What noise destroyed is mended where the checksum proves it, else restored from the
file that the device kept, else it becomes `unknown` with the reason: never a wrong result (design §9, Noise).
Plain signals of others are read as ever (spec: test-shell §6).

    stream = SignalStream(definitions, run="k7", locate=console.seq_at)
    events = stream.feed(text)                  # until stream.exited
    if not stream.complete:                     # lava-signals R/<stage> LIMIT <stream.wanted()>
        events = stream.restore(answer)         # or stream.give_up("the console ended")
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from executor.testshell import events
from executor.testshell.doubt import Doubt, Plain
from executor.testshell.events import Event
from executor.testshell.interpret import Interpreter
from executor.testshell.kept import parse_kept
from executor.testshell.ledger import Ledger
from executor.testshell.mend import Mender, expected_signals
from executor.testshell.remainder import Remainder
from executor.testshell.runs import StreamDefinition
from executor.testshell.scanner import Scanner
from executor.testshell.signals import TOKEN, Trailer, parse_result

_RESULTS = ("TESTCASE", "TESTREFERENCE")
_MARKS = ("STARTTC", "ENDTC", "START_METADATA_CAPTURE", "END_METADATA_CAPTURE")
_MOVES = ("TESTSET", "TESTSUITE")
NOT_ASKED = "the device was not asked again"


class SignalStream:
    """One attempt at one test block.

    `definitions`: those of the stage, in order; without them names are taken as they come. `run`: the word
    given to lava-test-runner; "" when another dispatcher's helpers may be on the device, then it is learnt.
    `locate(offset)`: the journal's number of the line that ends at `offset` of the text being fed; without it
    lines count from 0.
    """

    def __init__(
        self,
        definitions: Sequence[StreamDefinition] = (),
        *,
        run: str = "",
        locate: Callable[[int], int] | None = None,
    ) -> None:
        self.exited = False  # the runner has ended
        self._events: list[Event] = []
        self._does = Interpreter(definitions, self._give)
        self._scanner = Scanner(self, locate)
        self._ledger = Ledger()
        self._mender = Mender()
        self._doubt = Doubt(self._ledger)
        self._run = run
        if run:
            self._scanner.expect(run)
        self._trailers = 0  # trailers of this run that were seen, damaged ones included
        self._tail_known = False  # is the number of the last signal known?
        self._latest = -1  # definition of the last numbered signal
        self._unnumbered: dict[str, None] = {}
        self._remainder = Remainder(self._does, self._ledger, self._doubt)
        self._kept: list[tuple[int, str]] = []

    def _give(self, event: Event) -> None:
        self._events.append(event)

    # -- what the action asks ----------------------------------------------------------------------------

    def feed(self, text: str) -> list[Event]:
        """What happened in the next piece of console text."""
        self._events = []
        self._scanner.feed(text)
        return self._events

    @property
    def complete(self) -> bool:
        """Has the runner ended, and is everything known that it said?"""
        return self.exited and self._tail_known and not self._open_questions

    def wanted(self) -> str:
        """Numbers to ask the device for, in the form that lava-signals takes; "" when nothing is missing."""
        return self._ledger.ranges(not self._tail_known)

    def restore(
        self, text: str, *, final: bool = True, reason: str = "the device's file does not have it"
    ) -> list[Event]:
        """Take what lava-signals printed. With `final`, what is still not known becomes `unknown` for that
        `reason`.
        """
        self._events = []
        kept = parse_kept(text, self._run)
        self._does.restored, self._does.line = True, -1
        for signal, found in kept.signals:
            if found.seq and self._ledger.has(found.seq):
                continue
            match = TOKEN.fullmatch(signal)
            if match is not None:
                self._kept.append((found.seq, signal))
                self._checked(match, found, restored=True)
        if kept.last >= 0:
            self._tail_known = True
            if kept.last > self._ledger.top:
                self._ledger.reach(kept.last, self._owner(None))
        if final:
            self._settle(reason)
        elif self.complete:
            self._settle("")
        self._does.restored = False
        return self._events

    def give_up(self, reason: str = NOT_ASKED) -> list[Event]:
        """Nothing more will come: what is not known becomes `unknown` for that `reason`."""
        self._events = []
        self._scanner.end()
        self._does.line = -1
        self._settle(reason)
        return self._events

    # -- what the scanner tells --------------------------------------------------------------------------

    @property
    def wants_output(self) -> bool:
        run = self._does.current
        return run is not None and run.pattern is not None

    def output(self, text: str, line: int) -> None:
        if not self.exited:
            self._does.line = line
            self._does.output(text)

    def token(self, match: re.Match[str], checked: Trailer | None, *, exact: bool, line: int) -> None:
        self._does.line = line
        if match["chat"] is not None:
            if match["chat"].strip() == "exiting":
                self._exit(numbered=False)
            return
        if match["other"] is not None:
            return
        if checked is None:
            if not self.exited:
                self._plain(match, exact)
        elif not self._ours(match, checked):
            return
        elif checked.fits(match.group()):
            self._checked(match, checked)
        else:
            self._damaged(match.group(), checked)

    def cut_trailer(self, match: re.Match[str], line: int) -> None:
        self._does.line = line
        self._trailers += 1
        self._mender.note(match.group())
        self._remainder.remember(match.group(), self._ledger.top)
        self._malformed("the checksum was cut off", match.group())

    def fragment(self, text: str, line: int) -> None:
        self._does.line = line
        run = self._does.current
        case = self._remainder.remember(text, self._ledger.top)
        if run is not None and case:
            run.cut_cases[case] = line
        if text.startswith("<LAVA_SIGNAL_STARTRUN ") and not self._trusts_numbers:
            self._does.damaged_start(text.removeprefix("<LAVA_SIGNAL_STARTRUN "))
            return
        self._malformed("a signal was cut", text)
        if run is not None:
            run.hurt = True
        self._mender.note(text)

    def lonely(self, before: str, found: Trailer, line: int) -> None:
        self._does.line = line
        if found.run == self._run:
            self._damaged(before, found)

    # -- belief ------------------------------------------------------------------------------------------

    @property
    def _trusts_numbers(self) -> bool:
        """Do the helpers on the device number their signals, as far as we know?"""
        return bool(self._run)

    @property
    def _open_questions(self) -> bool:
        return bool(self._ledger.missing or self._does.held or self._doubt.pending)

    def _ours(self, match: re.Match[str], found: Trailer) -> bool:
        """Is this trailer of the run that we read? The first right one tells the run where nobody did."""
        if not self._run and found.fits(match.group()):
            self._run = found.run
            self._scanner.expect(found.run)
        return found.run == self._run

    def _checked(self, match: re.Match[str], found: Trailer, *, restored: bool = False) -> None:
        """A signal that is right beyond doubt."""
        text = match.group()
        self._trailers += 1
        if found.seq:
            if not self._ledger.take(found.seq, self._owner(found), restored=restored):
                return
        elif not self._first_time(found.unnumbered):
            return
        self._doubt.checked(text, found.seq)
        for plain in self._doubt.settled():
            self._believe(plain)
        if match["runner"] == "EXIT":
            self._tail_known = True
            self._exit(numbered=True)
            return
        if match["name"] and match["name"] != "STARTRUN":
            self._does.ensure_started(found)
        if not self._doubt.was_believed(text) or match["name"] in _MOVES:
            self._does.act(match, found)
        if self._does.held:
            self._does.place_held()
        if self.exited and self.complete:
            self._settle("")

    def _damaged(self, before: str, found: Trailer) -> None:
        """A trailer with something wrong before it."""
        self._trailers += 1
        if found.seq and self._ledger.has(found.seq):
            return  # a repetition
        signal = self._mender.mend(before, found, expected_signals(self._does))
        match = TOKEN.fullmatch(signal) if signal else None
        if match is not None:
            self._checked(match, found)
            return
        self._malformed("the checksum is not that of the signal", before + found.body)
        self._remainder.remember(before, found.seq - 1 if found.seq else self._ledger.top)

    def _malformed(self, reason: str, text: str) -> None:
        self._does.emit(events.Malformed, reason=reason, text=text)

    def _plain(self, match: re.Match[str], exact: bool) -> None:
        """A signal without trailer."""
        name, text = match["name"] or "", match.group()
        if match["runner"] == "EXIT":
            self._exit(numbered=False)
            return
        if not self._trusts_numbers or name in _MARKS:
            self._does.number = self._ledger.top
            self._does.act(match, None)
            return
        self._mender.note(text)
        if self._doubt.is_repetition(text):
            return
        if name not in _RESULTS and name not in _MOVES:
            if not self._doubt.was_believed(text):
                self._doubt.believe(text)
                self._does.act(match, None)
            return
        run = self._does.current
        if name in _RESULTS:
            try:
                parse_result(name, match["parameters"].strip(), {} if run is None else run.fixups)
            except ValueError as error:
                self._malformed(str(error), text)
                return
        plain = Plain(match, run, self._does.line, exact, self._ledger.top)
        for believed in self._doubt.add(plain):
            self._believe(believed)

    def _believe(self, plain: Plain) -> None:
        self._does.act_late(plain.match, plain.run, plain.line)

    def _owner(self, found: Trailer | None) -> int:
        """The definition that a gap before this signal belongs to: the one before, unless that had ended."""
        latest = self._does.runs.get(self._latest)
        owner = found.index if found is not None else -1
        if latest is not None and not latest.ended:
            owner = self._latest
        if found is not None and found.index >= 0:
            self._latest = found.index
        return owner

    def _first_time(self, unnumbered: str) -> bool:
        if unnumbered in self._unnumbered:
            return False
        self._unnumbered[unnumbered] = None
        if len(self._unnumbered) > 1000:
            del self._unnumbered[next(iter(self._unnumbered))]
        return True

    # -- the end -----------------------------------------------------------------------------------------

    def _exit(self, *, numbered: bool) -> None:
        self.exited = True
        if not numbered and not self._trailers:
            self._tail_known = True  # no helpers of ours: there is no file to ask
            for plain in self._doubt.all():
                self._believe(plain)
        complete = self.complete
        if complete:
            self._settle("")
        self._does.emit(events.Exit, complete=complete)

    def _settle(self, reason: str) -> None:
        """Nothing more will come."""
        if not self._trailers:
            for plain in self._doubt.all():
                self._believe(plain)
        self._remainder.settle(
            reason,
            exited=self.exited,
            tail_known=self._tail_known,
            numbered=self._trailers > 0,
            kept=self._kept,
        )
