# SPDX-License-Identifier: Apache-2.0
"""Puts a signal together again that noise has cut, when its trailer arrived: the checksum tells whether it is
right.

Only few candidates are tried for a trailer, so that the chance of a wrong one to fit by accident stays near
one in ten million.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from executor.testshell.interpret import Interpreter
from executor.testshell.signals import BEGIN, TOKEN, Trailer

MAX_PIECE = 400  # characters of a piece that are looked at
MAX_CANDIDATES = 1000  # for one trailer
MAX_IN_ALL = 1_000_000  # in the life of a stream: bounds the time that a wild console can cost


def expected_signals(does: Interpreter) -> Iterator[str]:
    """Signals whose text can be told before they come."""
    yield "<LAVA_TEST_RUNNER EXIT>"
    run = does.current
    if run is not None:
        yield f"<LAVA_SIGNAL_ENDRUN {run.name} {run.uuid}>"
        yield "<LAVA_SIGNAL_TESTSET STOP>"
        for case in list(does.open)[-3:]:
            for result in ("pass", "fail"):
                yield f"<LAVA_SIGNAL_TESTCASE TEST_CASE_ID={case} RESULT={result}>"
    waiting = next((r for r in does.runs.values() if not r.started and r.uuid), None)
    if waiting is not None:
        yield f"<LAVA_SIGNAL_STARTRUN {waiting.name} {waiting.uuid}>"
        yield "<LAVA_TEST_RUNNER INSTALL_FAIL>"


class Mender:
    """Keeps the last pieces of signals and joins them with what comes before a lonely trailer."""

    def __init__(self) -> None:
        self._pieces: deque[str] = deque(maxlen=4)
        self._left = MAX_IN_ALL

    def note(self, piece: str) -> None:
        """The beginning of a signal, or a whole one without its trailer."""
        self._pieces.append(piece[:MAX_PIECE])

    def mend(self, before: str, trailer: Trailer, known: Iterable[str]) -> str:
        """The signal that `trailer` belongs to, or "". `before`: what precedes it on its line; `known`:
        signals that are to be expected now.
        """
        for count, candidate in enumerate(self._candidates(before.removesuffix(" "), known)):
            if count >= MAX_CANDIDATES or self._left <= 0:
                return ""
            self._left -= 1
            if candidate.endswith(">") and trailer.fits(candidate) and TOKEN.fullmatch(candidate):
                return candidate
        return ""

    def _candidates(self, before: str, known: Iterable[str]) -> Iterator[str]:
        before = before[-MAX_PIECE:]
        yield from reversed(self._pieces)  # noise between signal and trailer
        yield from known
        for piece in reversed(self._pieces):  # noise that ended with its line
            for cut in range(len(BEGIN), len(piece) + 1):
                yield piece[:cut] + before
        start = before.rfind(BEGIN)
        if start >= 0:  # noise in the midst of the line: a kernel's message begins with a time in brackets
            cut = before.find("[", start)
            while cut >= 0:
                for end in range(cut + 1, len(before)):
                    yield before[start:cut] + before[end:]
                cut = before.find("[", cut + 1)
