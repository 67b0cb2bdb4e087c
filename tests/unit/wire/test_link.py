# SPDX-License-Identifier: Apache-2.0
"""The agent's link: hello before all else, full state again and again, calls from many threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from executor.errors import ConfigurationError, InfrastructureError
from executor.model.deadline import Deadline
from executor.testing.wire import StubMaster
from executor.wire import keys, messages
from executor.wire.channel import RequestRefused
from executor.wire.link import Connected, Disconnected, Link
from executor.wire.server import Incoming

SECONDS = 10.0
WELCOME = messages.Welcome("1", "abc", "worker", 0.0, heartbeat=0.1)


def answer(incoming: Incoming) -> messages.Body | None:
    match incoming.body:
        case messages.Hello():
            return WELCOME
        case messages.Heartbeat():
            return messages.Orders(time.time() - 5)
        case messages.JournalBlock(job, offset, data):
            return messages.JournalAck(job, offset + len(data))
    return messages.Done(type(incoming.body).__name__)


Maker = Callable[..., Link]


@pytest.fixture
def make(stub: StubMaster) -> Iterator[Maker]:
    stub.answer = answer
    made: list[Link] = []

    def build(who: keys.Credentials | None = None) -> Link:
        link = Link(
            stub.address,
            who or keys.credentials(stub.directory, "agent"),
            hello=lambda: messages.Hello(version="v"),
            heartbeat=lambda: messages.Heartbeat(disk_free=5),
            backoff=(0.05, 0.1),
        )
        made.append(link)
        link.start()
        return link

    yield build
    for link in made:
        link.close(goodbye=False)


def expect(link: Link, kind: type[Any]) -> Any:
    """The next event of this kind."""
    deadline = Deadline.after(SECONDS)
    while True:
        event = link.events.get(timeout=deadline.remaining)
        if isinstance(event, kind):
            return event


def soon() -> Deadline:
    return Deadline.after(SECONDS)


def test_hello_then_heartbeats(stub: StubMaster, make: Maker) -> None:
    link = make()
    assert expect(link, Connected).welcome == WELCOME
    for _ in range(3):
        expect(link, messages.Orders)
    kinds = [type(heard.body) for heard in stub.heard]
    assert kinds[:3] == [messages.Hello, messages.Heartbeat, messages.Heartbeat]
    assert link.connected


def test_clock_offset_is_measured_and_reported(stub: StubMaster, make: Maker) -> None:
    link = make()
    for _ in range(2):
        expect(link, messages.Orders)
    assert link.clock_offset == pytest.approx(5, abs=1)
    expect(link, messages.Orders)
    beats = [heard.body for heard in stub.heard if isinstance(heard.body, messages.Heartbeat)]
    assert beats[0].clock_offset == 0
    assert beats[-1].clock_offset == pytest.approx(5, abs=1)
    assert beats[-1].disk_free == 5


def test_calls_before_the_welcome_wait_for_it(stub: StubMaster, make: Maker) -> None:
    stub.stop()
    link = make()
    with ThreadPoolExecutor(4) as pool:
        calls = [
            pool.submit(link.call, messages.JournalBlock("1", n, b"{}\n"), messages.JournalAck, soon())
            for n in range(8)
        ]
        expect(link, Disconnected)
        stub.start()
        assert [call.result().next for call in calls] == [n + 3 for n in range(8)]
    assert isinstance(stub.heard[0].body, messages.Hello)


def test_calls_from_many_threads_get_their_own_answers(make: Maker) -> None:
    link = make()

    def ship(n: int) -> int:
        return link.call(messages.JournalBlock(str(n), n, b"{}\n"), messages.JournalAck, soon()).next

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(ship, range(300))) == [n + 3 for n in range(300)]


def test_restart_of_the_master_is_survived_by_a_call(stub: StubMaster, make: Maker) -> None:
    link = make()
    expect(link, Connected)
    silent: list[Incoming] = []

    def swallow(incoming: Incoming) -> messages.Body | None:
        if isinstance(incoming.body, messages.JournalBlock):
            silent.append(incoming)
            return None
        return answer(incoming)

    stub.answer = swallow
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(link.call, messages.JournalBlock("1", 0, b"{}\n"), messages.JournalAck, soon())
        deadline = soon()
        while not silent and not deadline.expired:
            expect(link, messages.Orders)
        stub.stop()
        assert isinstance(expect(link, Disconnected).error, InfrastructureError)
        stub.heard.clear()
        stub.answer = answer
        stub.start()
        assert call.result(SECONDS).next == 3
    assert isinstance(stub.heard[0].body, messages.Hello)


def test_pushes_arrive(stub: StubMaster, make: Maker) -> None:
    link = make()
    expect(link, messages.Orders)
    stop = messages.Stop(messages.CancelJob("7", "why"))
    stub.push(stop)
    assert expect(link, messages.Stop) == stop


def test_hello_again_is_obeyed(stub: StubMaster, make: Maker) -> None:
    link = make()
    expect(link, Connected)
    expect(link, messages.Orders)
    stub.push(messages.HelloAgain())
    expect(link, Connected)
    hellos = [heard for heard in stub.heard if isinstance(heard.body, messages.Hello)]
    assert len(hellos) == 2


def test_beat_sends_one_at_once(stub: StubMaster, make: Maker) -> None:
    stub.answer = lambda i: (
        messages.Welcome("1", "a", "w", 0.0, 60.0) if isinstance(i.body, messages.Hello) else answer(i)
    )
    link = make()
    expect(link, messages.Orders)
    link.beat()
    expect(link, messages.Orders)


def test_unknown_key_is_an_event_and_is_tried_again(
    stub: StubMaster, make: Maker, stranger: keys.Credentials
) -> None:
    agent = keys.Credentials(stranger.pair, stranger.master, "agent")
    link = make(agent)
    began = time.monotonic()
    error = expect(link, Disconnected).error
    assert time.monotonic() - began < 5
    assert isinstance(error, ConfigurationError)
    assert f"lava-exec keys add agent NAME {agent.pair.public}" in error.hint
    keys.authorize(stub.directory, "agent", "bob", agent.pair.public)
    expect(link, Connected)


def test_refused_hello_is_an_event(stub: StubMaster, make: Maker) -> None:
    refusal = messages.Failure("mismatch", "another name", "", "Configuration")
    stub.answer = lambda incoming: refusal
    error = expect(make(), Disconnected).error
    assert isinstance(error, RequestRefused)
    assert (error.code, error.message) == ("mismatch", "another name")


def test_refusals_repeat_no_event_for_the_same_reason(stub: StubMaster, make: Maker) -> None:
    stub.answer = lambda incoming: messages.Failure("mismatch", "no", "", "Configuration")
    link = make()
    expect(link, Disconnected)
    deadline = soon()
    while len(stub.heard) < 4 and not deadline.expired:
        threading.Event().wait(0.02)
    assert len(stub.heard) >= 4
    assert link.events.empty()


def test_failure_is_raised_in_the_calling_thread(stub: StubMaster, make: Maker) -> None:
    link = make()
    expect(link, Connected)
    stub.answer = lambda incoming: (
        messages.Failure("unknown-job", "no such job")
        if isinstance(incoming.body, messages.Finished)
        else answer(incoming)
    )
    with pytest.raises(RequestRefused) as caught:
        link.call(messages.Finished("9", 0), messages.Done, soon())
    assert caught.value.code == "unknown-job"


def test_deadline_of_a_call(stub: StubMaster, make: Maker) -> None:
    link = make()
    expect(link, Connected)
    stub.answer = lambda incoming: None if isinstance(incoming.body, messages.Ping) else answer(incoming)
    with pytest.raises(InfrastructureError, match=r"no answer to Ping within 0\.3 s"):
        link.call(messages.Ping(), messages.Done, Deadline.after(0.3))
    stub.answer = answer
    assert link.call(messages.Ping(), messages.Done, soon()).note == "Ping"


def test_too_large_message_fails_alone(make: Maker) -> None:
    link = make()
    with pytest.raises(RequestRefused) as caught:
        link.call(
            messages.JournalBlock("1", 0, b"x" * (messages.MAX_MESSAGE + 1)), messages.JournalAck, soon()
        )
    assert caught.value.code == "too-large"
    assert link.call(messages.Ping(), messages.Done, soon()).note == "Ping"


def test_close_says_goodbye_and_fails_what_is_under_way(stub: StubMaster, make: Maker) -> None:
    link = make()
    expect(link, Connected)
    stub.answer = lambda incoming: None if isinstance(incoming.body, messages.Ping) else answer(incoming)
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(link.call, messages.Ping(), messages.Done, soon())
        deadline = soon()
        while not any(isinstance(heard.body, messages.Ping) for heard in stub.heard) and not deadline.expired:
            expect(link, messages.Orders)
        link.close()
        with pytest.raises(InfrastructureError, match="has been closed"):
            call.result(SECONDS)
    assert isinstance(stub.heard[-1].body, messages.Goodbye)
    link.close()
    with pytest.raises(InfrastructureError):
        link.call(messages.Ping(), messages.Done, Deadline.after(0.2))


def test_silent_master_is_left_and_found_again(
    stub: StubMaster, make: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("executor.wire.link.HUNG_SECONDS", 0.2)
    link = make()
    expect(link, Connected)
    stub.answer = lambda incoming: None
    assert "does not answer" in expect(link, Disconnected).error.message
    stub.answer = answer
    expect(link, Connected)


def test_full_queue_of_events_loses_only_events(
    stub: StubMaster, make: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("executor.wire.link.MAX_EVENTS", 2)
    link = make()
    deadline = soon()
    while len(stub.heard) < 8 and not deadline.expired:
        threading.Event().wait(0.02)
    assert link.events.full()
    assert link.call(messages.Ping(), messages.Done, soon()).note == "Ping"
    assert link.events.qsize() == 2
