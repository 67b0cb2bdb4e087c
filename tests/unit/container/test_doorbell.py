# SPDX-License-Identifier: Apache-2.0
"""The agent's end of the doorbell, with the runner's own end and with peers that misbehave."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from executor.container.doorbell import DoorbellServer, Question
from executor.errors import JobError
from executor.model import doorbell
from executor.model.doorbell import Answer, Ask, Bell, Fetched, Message, Progress

REPLY = Fetched("/cache/x", 1, "00")


class Peer:
    def __init__(self, run: Path) -> None:
        self.channel = socket.socket(socket.AF_UNIX)
        self.channel.settimeout(10)
        self.channel.connect(str(run / "agent.sock"))
        self.file = self.channel.makefile("rb")

    def say(self, *messages: Message) -> None:
        self.channel.sendall(b"".join(map(doorbell.encode, messages)))

    def hear(self) -> Message | None:
        line = self.file.readline()
        return doorbell.decode(line) if line else None

    def close(self) -> None:
        self.file.close()
        self.channel.close()


class Bench:
    def __init__(self, run: Path) -> None:
        self.run = run
        self.sizes: list[int] = []
        self.bell = threading.Event()
        self.asked: list[Question] = []
        self.go_on = threading.Event()
        self.peers: list[Peer] = []
        self.server = DoorbellServer(run, handler=self.answer, on_bell=self.on_bell)

    def on_bell(self, size: int) -> None:
        self.sizes.append(size)
        self.bell.set()

    def answer(self, question: Question) -> Any:
        self.asked.append(question)
        if question.what == "wrong":
            raise JobError("that is wrong", "do better")
        if question.what == "broken":
            raise ZeroDivisionError
        if question.what == "slow":
            question.report("download", 5, 10)
            self.go_on.wait(10)
        if question.what == "endless":
            question.cancellation.wait(20)
        return REPLY

    def peer(self) -> Peer:
        peer = Peer(self.run)
        self.peers.append(peer)
        return peer


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.go_on.set()
    bench.server.close()
    for peer in bench.peers:
        peer.close()


def test_bell_rings(bench: Bench) -> None:
    bench.peer().say(Bell(1), Bell(2))
    assert bench.bell.wait(10)
    assert bench.sizes[-1] == 2


def test_question_is_answered(bench: Bench) -> None:
    peer = bench.peer()
    peer.say(Ask("1", "fetch", {"url": "x"}, seconds=7))
    assert peer.hear() == Answer("1", ok=msgspec.to_builtins(REPLY))
    assert bench.asked[0].args == {"url": "x"}
    assert bench.asked[0].deadline.limit == 7


@pytest.mark.parametrize(("what", "kind"), [("wrong", "Job"), ("broken", "Bug")])
def test_errors_travel(bench: Bench, what: str, kind: str) -> None:
    peer = bench.peer()
    peer.say(Ask("1", what, {}))
    heard = peer.hear()
    assert isinstance(heard, Answer)
    assert (heard.ok, heard.error_type) == (None, kind)
    if what == "wrong":
        assert (heard.message, heard.hint) == ("that is wrong", "do better")


def test_repeated_question_acts_once(bench: Bench) -> None:
    first = bench.peer()
    first.say(Ask("1", "fetch", {}))
    first.hear()
    first.close()
    second = bench.peer()
    second.say(Ask("1", "fetch", {}))
    assert isinstance(second.hear(), Answer)
    assert len(bench.asked) == 1


def test_answer_goes_to_who_asked_last(bench: Bench) -> None:
    first = bench.peer()
    first.say(Ask("1", "slow", {}))
    assert first.hear() == Progress("1", 5, 10)
    first.close()
    second = bench.peer()
    second.say(Ask("1", "slow", {}))
    second.say(Ask("2", "fetch", {}))
    assert isinstance(second.hear(), Answer), "another question is not held up"
    bench.go_on.set()
    heard = second.hear()
    assert isinstance(heard, Answer)
    assert heard.id == "1"
    assert [question.what for question in bench.asked] == ["slow", "fetch"]


@pytest.mark.parametrize("garbage", [b"no json\n", b'{"type":"other"}\n', b"x" * (2 << 20)])
def test_garbage_costs_only_its_sender(bench: Bench, garbage: bytes) -> None:
    bad, good = bench.peer(), bench.peer()
    try:
        bad.channel.sendall(garbage)
        assert bad.hear() is None
    except ConnectionError:
        pass  # cut off while it still sent
    good.say(Ask("1", "fetch", {}))
    assert isinstance(good.hear(), Answer)


def test_more_connections_than_allowed_are_turned_away(bench: Bench) -> None:
    peers = [bench.peer() for _ in range(20)]
    peers[0].say(Ask("1", "fetch", {}))
    assert isinstance(peers[0].hear(), Answer)
    assert peers[-1].hear() is None


def test_close_cancels_what_is_under_way_and_removes_the_socket(bench: Bench) -> None:
    peer = bench.peer()
    peer.say(Ask("1", "endless", {}))
    peer.say(Ask("2", "fetch", {}))
    assert isinstance(peer.hear(), Answer)
    bench.server.close()
    assert bench.asked[0].cancellation.canceled
    assert not (bench.run / "agent.sock").exists()


def test_path_may_be_longer_than_a_socket_name(tmp_path: Path) -> None:
    run = tmp_path / ("d" * 100) / ("e" * 100)
    run.mkdir(parents=True)
    server = DoorbellServer(run, handler=lambda question: REPLY, on_bell=lambda size: None)
    assert (run / "agent.sock").is_socket()
    assert (run / "agent.sock").stat().st_mode & 0o777 == 0o600
    server.close()


def test_runners_own_end_understands(bench: Bench) -> None:
    from executor.model.deadline import Deadline
    from executor.model.doorbell import Fetch
    from executor.runner.doorbell import Doorbell

    bell = Doorbell(bench.run / "agent.sock")
    got = bell.fetch(Fetch("http://x/y"), Deadline.after(10), lambda stage, done, total: None)
    bell.ring(17)
    bell.close()
    assert got == REPLY
    assert bench.bell.wait(10)
    assert bench.sizes[-1] == 17
