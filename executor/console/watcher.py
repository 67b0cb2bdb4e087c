# SPDX-License-Identifier: Apache-2.0
"""Looks for faults of the kernel in everything that a console shows, in every phase, at next to no cost.

Fed with complete lines a chunk at a time. A chunk without any trigger costs a few substring searches;
only chunks with one, or while a trace is being collected, are looked at line by line. Has no thread and
no lock: the console's reader calls it (spec: action-pipeline §6; design §9, Kernel faults).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from enum import Enum

from executor.console.faults import (
    ALWAYS_FATAL,
    END_MARKS,
    END_OF_TRACE,
    NEEDLES,
    RESET,
    STAMPED_LINE,
    Fault,
    Kind,
    begins,
    kind_of,
    kind_of_block,
)

MAX_TRACE = 64 * 1024  # characters
MAX_FAULTS = 100
MAX_TAILS = 8  # traces that are collected side by side
MAX_STRAY = 5  # lines in a row without a time stamp, after which a stamped trace is over
QUIET = 2.0  # seconds of silence after which a trace without an end marker is taken as ended
LONGEST = 10.0  # seconds that such a trace may go on


class Mode(Enum):
    """Which rules hold."""

    OFF = "off"  # nothing is looked for: bootloader, or the job said `ignore_kernel_messages`
    BOOT = "boot"  # from the kernel's start to the prompt; `failure_message` holds
    TEST = "test"  # tests run; what they print at the beginning of a line is read with more care


class _Trace:
    """A fault whose lines are still coming in."""

    def __init__(self, fault: Fault, now: float, end: re.Pattern[str], *, muted: bool = False) -> None:
        self.fault = fault
        self.end = end
        self.muted = muted  # a fault shown a second time: its lines are passed over
        self.begun = self.last = now
        self._lines: list[str] = []
        self._size = 0
        self._stamped = STAMPED_LINE.search(fault.message) is not None
        self._stray = 0

    def add(self, line: str, now: float) -> None:
        self.last = now
        self._stray = 0 if not self._stamped or STAMPED_LINE.search(line) else self._stray + 1
        self._size += len(line) + 1
        if self._size <= MAX_TRACE and not self.muted:
            self._lines.append(line)

    def due(self) -> float:
        return min(self.last + QUIET, self.begun + LONGEST)

    @property
    def full(self) -> bool:
        return self._size > MAX_TRACE

    @property
    def over(self) -> bool:
        """Has the kernel stopped to speak of it?"""
        return self.full or self._stray > MAX_STRAY

    @property
    def text(self) -> str:
        """The lines, without those at the end that the kernel did not print."""
        return "\n".join(self._lines[: max(1, len(self._lines) - self._stray)])


class Watcher:
    """Finds faults. `on_fault` is called for each one that does not end the job; `fatal` holds the one
    that does.
    """

    def __init__(self, on_fault: Callable[[Fault], None]) -> None:
        self.mode = Mode.OFF
        self.faults: list[Fault] = []  # at most MAX_FAULTS
        self.not_kept: Counter[Kind] = Counter()  # what came after that
        self.fatal: Fault | None = None
        self._on_fault = on_fault
        self._start: re.Pattern[str] | None = None
        self._failure: re.Pattern[str] | None = None
        self._fatal_kinds: frozenset[Kind] = ALWAYS_FATAL
        self._reset_expected = False
        self._stamped = False  # has a line with a time stamp been seen since the last reset?
        self._block: _Trace | None = None  # a fault with an end marker; what begins inside belongs to it
        self._tails: list[_Trace] = []  # the rest of traces whose message is one line
        self._seen: set[str] = set()  # first lines, to know a fault again when a log is shown

    def set(
        self,
        mode: Mode,
        *,
        start: re.Pattern[str] | None = None,
        failure: re.Pattern[str] | None = None,
        fatal: Collection[str] = (),
    ) -> None:
        """From now on (with `start`: from the line after one that matches it) these rules hold."""
        self.mode = mode
        self._start = start
        self._failure = failure
        self._fatal_kinds = ALWAYS_FATAL | {Kind(kind) for kind in fatal}
        self._reset_expected = False
        if mode is Mode.OFF:
            self._block = None
            self._tails = []

    def expect_reset(self) -> None:
        """The device is about to start anew: what was fatal is over, and bootloader banners mean nothing."""
        self.fatal = None
        self._reset_expected = True
        self._stamped = False
        self._seen.clear()
        self._block = None
        self._tails = []

    def feed(self, lines: Sequence[str], text: str, seq: int, now: float) -> None:
        """Look at complete lines. `text` holds the same characters (cheaper to search); `seq` is of the
        first line.
        """
        if self.mode is Mode.OFF or not lines:
            return
        if self._start is not None:
            lines, seq = self._after_start(lines, text, seq)
            if not lines:
                return
        if not self._stamped:
            self._stamped = (
                STAMPED_LINE.match(lines[0]) is not None or STAMPED_LINE.match(lines[-1]) is not None
            )
        if self._block is None and not self._tails and not self._suspicious(text):
            return
        for offset, line in enumerate(lines):
            self._line(line, seq + offset, now)

    def due(self) -> float | None:
        """When `tick` has something to do, on the clock of `now`."""
        times = [trace.due() for trace in self._open()]
        return min(times) if times else None

    def tick(self, now: float) -> None:
        """Close what has been silent for too long."""
        if self._block is not None and now >= self._block.due():
            self._close_block(complete=False)
        self._tails = [
            tail for tail in self._tails if now < tail.due() or self._close_tail(tail, complete=False)
        ]

    def end(self) -> None:
        """Nothing more will come, or nobody will wait any longer."""
        if self._block is not None:
            self._close_block(complete=False)
        for tail in self._tails:
            self._close_tail(tail, complete=False)
        self._tails = []

    @property
    def panicking(self) -> Fault | None:
        """A panic that has begun and whose trace is being collected."""
        block = self._block
        return (
            block.fault if block is not None and block.fault.kind is Kind.PANIC and not block.muted else None
        )

    def went_on(self) -> None:
        """A prompt came after the line of a panic that has not ended: so the kernel lives, and a program
        printed it.
        """
        if self.panicking is not None and self._block is not None:
            self._block.fault.fatal = False
            self._close_block(complete=False)

    # -- line by line ------------------------------------------------------------------------------------

    def _line(self, line: str, seq: int, now: float) -> None:
        if not self._stamped and STAMPED_LINE.match(line):
            self._stamped = True
        found = begins(line, self._stamped, self.mode is Mode.BOOT)
        if self._tails:
            self._add_to_tails(line, now, panics=found is not None and kind_of(found) is Kind.PANIC)
        if self._failure is not None and self._failure.search(line):
            self._one_line(Kind.CUSTOM, line, seq, now)
        block = self._block
        if block is not None:
            if found is None or kind_of(found) is not Kind.PANIC or block.fault.kind is Kind.PANIC:
                self._in_block(block, line, seq, now)
                return
            self._close_block(complete=False)  # whatever it was, it became a panic
        if found is not None:
            self._begin(kind_of(found), line, seq, now)
        elif RESET.match(line) and not self._reset_expected:
            self._one_line(Kind.RESET, line, seq, now)

    def _in_block(self, block: _Trace, line: str, seq: int, now: float) -> None:
        if RESET.match(line) and not self._reset_expected:
            self._close_block(complete=False)
            if self.fatal is None:
                self._one_line(Kind.RESET, line, seq, now)
            return
        block.add(line, now)
        if block.end.search(line):
            self._close_block(complete=True)
        elif block.full:
            self._close_block(complete=False)

    def _begin(self, kind: Kind, line: str, seq: int, now: float) -> None:
        shown_again = line in self._seen and kind is not Kind.PANIC
        if kind not in END_MARKS:
            if not shown_again:
                self._one_line(kind, line, seq, now)
            return
        fault = Fault(kind, line, seq, kind in self._fatal_kinds)
        self._block = block = _Trace(fault, now, END_MARKS[kind], muted=shown_again)
        self._remember(line)
        block.add(line, now)
        if block.end.search(line):
            self._close_block(complete=True)

    def _one_line(self, kind: Kind, line: str, seq: int, now: float) -> None:
        self._remember(line)
        fault = Fault(kind, line, seq, kind in self._fatal_kinds, trace=line)
        if kind not in ALWAYS_FATAL and len(self._tails) < MAX_TAILS:
            tail = _Trace(fault, now, END_OF_TRACE)
            tail.add(line, now)
            self._tails.append(tail)
            self._report(fault)
            return
        self._report(fault)
        self._settle(fault)

    # -- the ends of faults ------------------------------------------------------------------------------

    def _add_to_tails(self, line: str, now: float, *, panics: bool) -> None:
        if panics:
            for tail in self._tails:
                self._close_tail(tail, complete=False)
            self._tails = []
            return
        for tail in self._tails:
            tail.add(line, now)
        self._tails = [tail for tail in self._tails if not self._ends_tail(tail, line)]

    def _ends_tail(self, tail: _Trace, line: str) -> bool:
        ended = tail.end.search(line) is not None
        if ended or tail.over:
            self._close_tail(tail, complete=ended)
        return ended or tail.over

    def _close_tail(self, tail: _Trace, *, complete: bool) -> bool:
        """Always False, for use in a filter."""
        tail.fault.trace = tail.text
        tail.fault.complete = complete
        self._settle(tail.fault)
        return False

    def _close_block(self, *, complete: bool) -> None:
        block, self._block = self._block, None
        if block is None or block.muted:
            return
        fault = block.fault
        fault.message = fault.trace = block.text
        fault.complete = complete
        if fault.kind is Kind.UNKNOWN:
            fault.kind = kind_of_block(fault.message)
            fault.fatal = fault.kind in self._fatal_kinds
        self._report(fault)
        self._settle(fault)

    def _report(self, fault: Fault) -> None:
        if len(self.faults) >= MAX_FAULTS and not (fault.fatal and self.fatal is None):
            self.not_kept[fault.kind] += 1
            return
        self.faults.append(fault)
        if not fault.fatal:
            self._on_fault(fault)

    def _settle(self, fault: Fault) -> None:
        """The trace is whole, so a fatal fault may end the job now."""
        if fault.fatal and self.fatal is None:
            self.fatal = fault

    # -- helpers -----------------------------------------------------------------------------------------

    def _suspicious(self, text: str) -> bool:
        for needle in NEEDLES:
            if needle in text:
                return True
        return self._failure is not None and self._failure.search(text) is not None

    def _after_start(self, lines: Sequence[str], text: str, seq: int) -> tuple[Sequence[str], int]:
        start = self._start
        if start is None or start.search(text) is None:
            return (), seq
        for offset, line in enumerate(lines):
            if start.search(line):
                self._start = None
                return lines[offset + 1 :], seq + offset + 1
        return (), seq

    def _open(self) -> list[_Trace]:
        return self._tails if self._block is None else [self._block, *self._tails]

    def _remember(self, line: str) -> None:
        if len(self._seen) < 2 * MAX_FAULTS and STAMPED_LINE.search(line):
            self._seen.add(line)
