# SPDX-License-Identifier: Apache-2.0
"""Which numbers of a run's signals have arrived, and which have not."""

from __future__ import annotations

MAX_MISSING = 100_000  # a jump beyond that is taken as it is: nobody reads back so much
MAX_REQUEST = 200  # characters
NEIGHBOURS = 20  # a writer in the background may print that many numbers late


class Ledger:
    """Numbers from 1 to `top`; `missing` maps each that did not arrive to the definition it probably belongs
    to.
    """

    def __init__(self) -> None:
        self.top = 0
        self.missing: dict[int, int] = {}
        self._restored: set[int] = set()

    def has(self, seq: int) -> bool:
        return 0 < seq <= self.top and seq not in self.missing

    def take(self, seq: int, owner: int, *, restored: bool = False) -> bool:
        """Book the arrival of a number; False when it had arrived before. `owner`: the definition that a gap
        before it belongs to."""
        if self.has(seq):
            return False
        self.reach(seq, owner)
        del self.missing[seq]
        if restored:
            self._restored.add(seq)
        return True

    def reach(self, seq: int, owner: int) -> None:
        """Numbers up to `seq` were given; those that did not arrive are missing."""
        for number in range(max(self.top + 1, seq - MAX_MISSING), seq + 1):
            self.missing[number] = owner
        self.top = max(self.top, seq)

    def whole(self, after: int, before: int) -> bool:
        """Did everything from shortly before `after` up to `before` arrive on the console itself?"""
        gaps = self.missing.keys() | self._restored if self._restored else self.missing
        return not any(after - NEIGHBOURS < number < before for number in gaps)

    def ranges(self, tail: bool) -> str:
        """What is missing, in the form that lava-signals takes; `tail`: and all after `top`.

        Short enough for a line that is typed into a console: many small gaps are asked for as one.
        """
        parts: list[str] = []
        first = last = 0
        for number in sorted(self.missing):
            if number != last + 1 or not first:
                parts += _part(first, last)
                first = number
            last = number
        parts += _part(first, last)
        if tail:
            parts.append(f"{self.top + 1}-")
        text = " ".join(parts)
        if len(text) > MAX_REQUEST:
            text = f"{min(self.missing)}-" if tail else f"{min(self.missing)}-{max(self.missing)}"
        return text


def _part(first: int, last: int) -> list[str]:
    if not first:
        return []
    return [str(first) if first == last else f"{first}-{last}"]
