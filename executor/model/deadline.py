# SPDX-License-Identifier: Apache-2.0
"""Time is an object handed down: every call that can block takes a Deadline, nothing uses signals."""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], float]


class Deadline:
    """A moment on the monotonic clock. `None` seconds means: no limit of its own.

    >>> Deadline.after(5).sooner(Deadline.after(2)).limit
    2.0
    """

    __slots__ = ("_clock", "at", "limit")

    def __init__(self, at: float, limit: float, clock: Clock = time.monotonic) -> None:
        self.at = at  # seconds on `clock`
        self.limit = limit  # the number of seconds it was made with, for messages
        self._clock = clock

    @classmethod
    def after(cls, seconds: float, clock: Clock = time.monotonic) -> Deadline:
        """A deadline `seconds` from now."""
        return cls(clock() + seconds, float(seconds), clock)

    @classmethod
    def never(cls, clock: Clock = time.monotonic) -> Deadline:
        """A deadline that does not pass; only for owners that are bounded by something else."""
        return cls(float("inf"), float("inf"), clock)

    @property
    def remaining(self) -> float:
        """Seconds left, never below 0."""
        return max(0.0, self.at - self._clock())

    @property
    def expired(self) -> bool:
        return self._clock() >= self.at

    def sooner(self, other: Deadline) -> Deadline:
        """The one of the two that passes first."""
        return self if self.at <= other.at else other

    def within(self, seconds: float) -> Deadline:
        """A deadline `seconds` from now, but not after this one."""
        return Deadline.after(seconds, self._clock).sooner(self)
