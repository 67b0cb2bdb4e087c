# SPDX-License-Identifier: Apache-2.0
"""Requests that wait for something to happen to a job, each until its time is over."""

from __future__ import annotations

import heapq
from collections import defaultdict
from dataclasses import dataclass

from executor.wire.messages import JobShow, LogRead
from executor.wire.server import Ticket

MAX_PARKED = 10_000
MAX_PARKED_PER_KEY = 1_000


@dataclass(frozen=True)
class Parked:
    ticket: Ticket
    job: int
    body: LogRead | JobShow
    until: float  # monotonic


_Key = tuple[str, str, int]


class Parking:
    """Park, wake by job, expire by time. A request that is asked again replaces itself."""

    def __init__(self) -> None:
        self._by_key: dict[_Key, Parked] = {}
        self._by_job: defaultdict[int, set[_Key]] = defaultdict(set)
        self._by_public: defaultdict[str, int] = defaultdict(int)
        self._heap: list[tuple[float, _Key]] = []

    def __len__(self) -> int:
        return len(self._by_key)

    def park(self, parked: Parked) -> bool:
        """False when too many are parked already."""
        key = _key(parked)
        self._take(key)
        public = parked.ticket.identity.public
        if len(self._by_key) >= MAX_PARKED or self._by_public[public] >= MAX_PARKED_PER_KEY:
            return False
        self._by_key[key] = parked
        self._by_job[parked.job].add(key)
        self._by_public[public] += 1
        heapq.heappush(self._heap, (parked.until, key))
        return True

    def of_job(self, job: int) -> list[Parked]:
        """All that wait for this job; they stay parked until `take`n."""
        return [self._by_key[key] for key in self._by_job.get(job, ())]

    def take(self, parked: Parked) -> None:
        """It is being answered."""
        self._take(_key(parked))

    def expire(self, now: float) -> list[Parked]:
        """Take all whose time is over."""
        out = []
        while self._heap and self._heap[0][0] <= now:
            until, key = heapq.heappop(self._heap)
            parked = self._by_key.get(key)
            if parked is not None and parked.until == until:
                self._take(key)
                out.append(parked)
        return out

    @property
    def next_expiry(self) -> float:
        """Monotonic time of the next, or infinity."""
        return self._heap[0][0] if self._heap else float("inf")

    def _take(self, key: _Key) -> None:
        parked = self._by_key.pop(key, None)
        if parked is None:
            return
        waiting = self._by_job[parked.job]
        waiting.discard(key)
        if not waiting:
            del self._by_job[parked.job]
        public = parked.ticket.identity.public
        self._by_public[public] -= 1
        if not self._by_public[public]:
            del self._by_public[public]


def _key(parked: Parked) -> _Key:
    return (parked.ticket.identity.public, *parked.ticket.key)
