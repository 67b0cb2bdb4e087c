# SPDX-License-Identifier: Apache-2.0
"""A clock that moves only when it is told to."""

from __future__ import annotations


class FakeClock:
    """Call it for the time; `advance` it by seconds.

    >>> clock = FakeClock(10.0)
    >>> clock.advance(2.5)
    >>> clock()
    12.5
    """

    def __init__(self, start: float = 0.0) -> None:
        self.now = start

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass. Raises ValueError for a negative time."""
        if seconds < 0:
            raise ValueError("time does not run backwards")
        self.now += seconds
