# SPDX-License-Identifier: Apache-2.0
"""Parked requests and helper threads."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from executor.master import parking as parking_module
from executor.master.offload import Full, Offload
from executor.master.parking import Parked, Parking
from executor.wire.keys import Identity
from executor.wire.messages import LogRead
from executor.wire.server import Ticket


def parked(id: int, job: int = 1, until: float = 10.0, public: str = "k", route: bytes = b"r") -> Parked:
    return Parked(Ticket(route, "s", id, Identity("client", "bob", public)), job, LogRead(str(job)), until)


def test_wake_by_job() -> None:
    parking = Parking()
    one, two, other = parked(1), parked(2), parked(3, job=2)
    assert all(map(parking.park, (one, two, other)))
    assert set(map(id, parking.of_job(1))) == {id(one), id(two)}
    parking.take(one)
    assert parking.of_job(1) == [two]
    parking.take(one)
    assert parking.of_job(9) == []
    assert len(parking) == 2


def test_expire_in_order_of_time() -> None:
    parking = Parking()
    late, soon = parked(1, until=20.0), parked(2, until=10.0)
    parking.park(late)
    parking.park(soon)
    assert parking.next_expiry == 10.0
    assert parking.expire(9.9) == []
    assert parking.expire(10.0) == [soon]
    assert parking.expire(100.0) == [late]
    assert len(parking) == 0
    assert parking.next_expiry == float("inf")


def test_taken_requests_do_not_expire() -> None:
    parking = Parking()
    one = parked(1)
    parking.park(one)
    parking.take(one)
    assert parking.expire(100.0) == []


def test_request_that_comes_again_replaces_itself() -> None:
    parking = Parking()
    parking.park(parked(1, until=10.0, route=b"old"))
    newer = parked(1, until=30.0, route=b"new")
    parking.park(newer)
    assert parking.of_job(1) == [newer]
    assert parking.expire(20.0) == []
    assert parking.expire(30.0) == [newer]


def test_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parking_module, "MAX_PARKED_PER_KEY", 2)
    monkeypatch.setattr(parking_module, "MAX_PARKED", 3)
    parking = Parking()
    assert [parking.park(parked(n)) for n in range(3)] == [True, True, False]
    assert [parking.park(parked(n, public="other")) for n in range(2)] == [True, False]
    parking.expire(100.0)
    assert parking.park(parked(9))


class Owner:
    """Collects in its own thread, as the reactor does."""

    def __init__(self, limit: int = 10) -> None:
        self.awake = threading.Event()
        self.offload = Offload("test", limit, self.awake.set)
        self.heard: list[object] = []

    def ask(self, task: Callable[[], object]) -> None:
        self.offload.submit(task, self.heard.append, self.heard.append)

    def collect(self, count: int) -> list[object]:
        while len(self.heard) < count:
            assert self.awake.wait(10)
            self.awake.clear()
            for then in self.offload.collect():
                then()
        return self.heard


def test_results_and_failures_come_back_in_order() -> None:
    owner = Owner()
    error = ValueError("no")

    def fail() -> None:
        raise error

    owner.ask(lambda: 1)
    owner.ask(fail)
    owner.ask(threading.get_ident)
    heard = owner.collect(3)
    assert heard[:2] == [1, error]
    assert heard[2] != threading.get_ident()
    owner.offload.close()


def test_queue_is_bounded_and_close_finishes_it() -> None:
    owner = Owner(limit=1)
    gate, entered = threading.Event(), threading.Event()

    def block() -> int:
        entered.set()
        gate.wait(10)
        return 1

    owner.ask(block)
    assert entered.wait(10)
    owner.ask(lambda: 2)
    with pytest.raises(Full):
        owner.ask(lambda: 3)
    gate.set()
    owner.offload.close()
    assert owner.collect(2) == [1, 2]
