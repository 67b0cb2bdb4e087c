# SPDX-License-Identifier: Apache-2.0
"""Signals without a trailer on a console where trailers are to be expected: a test's own, or ours with
damage?

A program under test may print plain signals, and they count as ever. But one of ours whose trailer was
destroyed looks the same, and then the rest of it cannot be trusted either. The numbers of the signals around
it tell: where none is missing, it is the test's own. Two in a row that stand on lines of their own are a
test's as well, since noise does not cut off two trailers exactly.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable

import msgspec

from executor.testshell.ledger import NEIGHBOURS, Ledger
from executor.testshell.runs import DefinitionRun

MAX_PENDING = 1000
MAX_REMEMBERED = 1000  # texts of checked signals, to know a repetition again
MAX_BELIEVED = 50


class Plain(msgspec.Struct):
    """A signal without trailer that is, or changes the place of, a result."""

    match: re.Match[str]
    run: DefinitionRun | None
    line: int
    exact: bool
    after: int  # the highest number that had come before it
    before: int = 0  # the first that came after it, 0 while none has

    @property
    def text(self) -> str:
        return self.match.group()


class Doubt:
    """Holds plain signals until they can be believed."""

    def __init__(self, ledger: Ledger) -> None:
        self.pending: list[Plain] = []
        self._ledger = ledger
        self._seen: dict[str, None] = {}
        self._believed: deque[str] = deque(maxlen=MAX_BELIEVED)
        self._streak = -1  # plain results after this number are a test's own

    def is_repetition(self, text: str) -> bool:
        """Has a checked signal had exactly this text?"""
        return text in self._seen

    def believe(self, text: str) -> None:
        """A plain signal was acted on at once; should its trailer turn up, it is not to be done again."""
        self._believed.append(text)

    def was_believed(self, text: str) -> bool:
        return text in self._believed

    def add(self, plain: Plain) -> list[Plain]:
        """Take a plain signal; those that can be believed now."""
        if plain.exact and self._streak == plain.after:
            self.believe(plain.text)
            return [plain]
        self.pending.append(plain)
        row = [p for p in self.pending if p.exact and p.after == plain.after and not p.before]
        if len({p.text for p in row}) >= 2 or len(self.pending) > MAX_PENDING:
            self._streak = plain.after
            return self._release(row)
        return []

    def checked(self, text: str, seq: int) -> None:
        """A signal with a right trailer came: repetitions of it without one are no results of their own."""
        self._seen[text] = None
        if len(self._seen) > MAX_REMEMBERED:
            del self._seen[next(iter(self._seen))]
        if seq:
            for plain in self.pending:
                if not plain.before and seq > plain.after:
                    plain.before = seq
        self.pending = [p for p in self.pending if p.text != text]

    def settled(self) -> list[Plain]:
        """Those around which no number is missing."""
        if not self.pending:
            return []
        whole = self._ledger.whole
        proven = [p for p in self.pending if p.before and whole(p.after, p.before)]
        return self._release(proven) and [p for p in proven if not self._is_remains(p)]

    def _is_remains(self, plain: Plain) -> bool:
        """Is it what noise left of a repetition of one of the last checked signals?"""
        if plain.exact:
            return False
        return any(_remains_of(plain.text, text) for text in list(self._seen)[-NEIGHBOURS:])

    def rest(self, kept: Iterable[tuple[int, str]]) -> list[Plain]:
        """At the end: those of which nobody can say what they are. `kept`: (number, text) of the signals that
        were read back; what is left of one of these is dropped.
        """
        kept = sorted(kept)
        left = []
        for plain in self.pending:
            end = plain.before or self._ledger.top + 1
            texts = [text for seq, text in kept if plain.after - 2 < seq <= end]
            if not _remains_of(plain.text, "".join(texts)):
                left.append(plain)
        self.pending = []
        return left

    def all(self) -> list[Plain]:
        """All of them: it has turned out that there are no trailers on this console."""
        return self._release(self.pending)

    def _release(self, plains: list[Plain]) -> list[Plain]:
        if plains:
            gone = {id(p) for p in plains}
            self.pending = [p for p in self.pending if id(p) not in gone]
            for plain in plains:
                self.believe(plain.text)
        return plains


def _remains_of(text: str, whole: str) -> bool:
    """Can `text` be what is left of `whole` after characters were lost?"""
    rest = iter(whole)
    return all(character in rest for character in text)
