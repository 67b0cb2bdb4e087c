# SPDX-License-Identifier: Apache-2.0
"""The steps in which a job is ended: asked, told again, killed."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

NEVER = float("inf")


class CancelSteps(msgspec.Struct, frozen=True):
    """Seconds after the first request (spec: fleet §1, cancel)."""

    insist: float = 60.0
    kill: float = 120.0


class Rung(NamedTuple):
    """One step: seconds after the beginning, its name for people, the signal."""

    after: float
    name: str
    signal: str


class Ladder:
    """Each rung is due once. Before `begin` none is."""

    def __init__(self, steps: CancelSteps) -> None:
        self._rungs = [
            Rung(0.0, "ask", "SIGTERM"),
            Rung(steps.insist, "insist", "SIGTERM"),
            Rung(steps.kill, "kill", "SIGKILL"),
        ]
        self._begun = NEVER

    def begin(self, now: float) -> None:
        """Somebody asked for the end; only the first time counts."""
        self._begun = min(self._begun, now)

    def kill(self, now: float) -> None:
        """Without asking: the last rung is due now. Harmless when it has been taken."""
        self._begun = min(self._begun, now)
        self._rungs = [rung._replace(after=0.0) for rung in self._rungs[-1:]]

    @property
    def killed(self) -> bool:
        return not self._rungs

    @property
    def next(self) -> float:
        """The moment of the next rung, NEVER when none will come."""
        return self._begun + self._rungs[0].after if self._rungs else NEVER

    def due(self, now: float) -> Rung | None:
        """The rung to take now; it is gone then."""
        return self._rungs.pop(0) if now >= self.next else None
