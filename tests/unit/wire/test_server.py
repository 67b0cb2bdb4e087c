# SPDX-License-Identifier: Apache-2.0
"""The master's socket: rubbish is answered or dropped, acting requests act once, replies find their way."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
import zmq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from executor.model.deadline import Deadline
from executor.testing.wire import StubMaster
from executor.wire import keys, messages
from executor.wire.channel import Channel
from executor.wire.server import REMEMBERED

MS = 10_000  # safety net of every poll


class Raw:
    """A connection that sends whatever bytes it is told, with a good key."""

    def __init__(self, stub: StubMaster) -> None:
        who = keys.credentials(stub.directory)
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.curve_serverkey = keys.to_z85(who.master)
        self.socket.curve_publickey = who.pair.public_z85
        self.socket.curve_secretkey = who.pair.secret_z85
        self.socket.connect(stub.address)

    def send(self, *frames: bytes) -> None:
        self.socket.send_multipart(list(frames))

    def receive(self) -> tuple[int, str, object]:
        assert self.socket.poll(MS), "no answer came"
        return messages.decode_answer(self.socket.recv())

    def ask(self, frame: bytes) -> object:
        self.send(frame)
        return self.receive()[2]

    def close(self) -> None:
        self.context.destroy(linger=0)


@pytest.fixture
def raw(stub: StubMaster) -> Iterator[Raw]:
    made = Raw(stub)
    yield made
    made.close()


def request(body: messages.Body, id: int = 1, session: str = "s") -> bytes:
    return messages.encode(body, id, session)


def test_malformed_message_gets_an_error(raw: Raw) -> None:
    reply = raw.ask(b"\xc1 rubbish")
    assert isinstance(reply, messages.Failure)
    assert reply.code == "malformed"
    assert isinstance(raw.ask(request(messages.Ping())), messages.Done)


def test_error_carries_the_number_of_the_request(raw: Raw) -> None:
    raw.send(request(messages.Ping(), 77, "abc").replace(b"\xa4ping", b"\xa4pong"))
    id, session, reply = raw.receive()
    assert (id, session) == (77, "abc")
    assert isinstance(reply, messages.Failure)


def test_other_protocol_version_gets_a_clear_error(raw: Raw) -> None:
    reply = raw.ask(messages.encode(messages.Ping(), 3, "s", version=9))
    assert isinstance(reply, messages.Failure)
    assert reply.code == "version"
    assert "version 9 is spoken there, 1 here" in reply.message


@pytest.mark.parametrize("frames", [[b""], [b"", b""], [b"a", b"b", b"c"], [b"\x00" * 100_000]])
def test_odd_frames_get_an_error(raw: Raw, frames: list[bytes]) -> None:
    raw.send(*frames)
    assert isinstance(raw.receive()[2], messages.Failure)
    assert isinstance(raw.ask(request(messages.Ping())), messages.Done)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.lists(st.binary(max_size=300), min_size=1, max_size=3))
def test_random_bytes_never_silence_the_master(stub: StubMaster, raw: Raw, data: list[bytes]) -> None:
    raw.send(*data)
    raw.receive()
    assert isinstance(raw.ask(request(messages.Ping())), messages.Done)


def test_message_above_the_limit_cuts_only_its_sender(stub: StubMaster, raw: Raw) -> None:
    raw.send(b"\x00" * (messages.MAX_MESSAGE + 1))
    with Channel(stub.address, keys.credentials(stub.directory)) as channel:
        assert channel.call(messages.Ping(), messages.Done, Deadline.after(10)).note == "Ping"
    assert len(stub.heard) == 1


def test_bytes_that_are_not_zeromq_disturb_nobody(stub: StubMaster) -> None:
    host, port = stub.address.removeprefix("tcp://").rsplit(":", 1)
    for data in (
        b"GET / HTTP/1.0\r\n\r\n",
        b"\xff" * 64,
        b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x03\x00NULL",
        b"",
    ):
        with socket.create_connection((host, int(port)), 10) as plain:
            plain.sendall(data)
    with Channel(stub.address, keys.credentials(stub.directory)) as channel:
        assert channel.call(messages.Ping(), messages.Done, Deadline.after(10)).note == "Ping"


def test_connection_without_encryption_is_refused(stub: StubMaster) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    plain = context.socket(zmq.DEALER)
    plain.linger = 0
    plain.connect(stub.address)
    plain.send(request(messages.Ping()))
    with Channel(stub.address, keys.credentials(stub.directory)) as channel:
        channel.call(messages.Ping(), messages.Done, Deadline.after(10))
    assert not plain.poll(200)
    assert len(stub.heard) == 1
    context.destroy(linger=0)


def test_acting_request_acts_once_over_two_connections(stub: StubMaster, raw: Raw) -> None:
    stub.answer = lambda incoming: messages.Submitted([str(len(stub.heard))])
    frame = request(messages.Submit("job"), 5, "session")
    first = raw.ask(frame)
    second_connection = Raw(stub)
    again = second_connection.ask(frame)
    second_connection.close()
    assert first == again == messages.Submitted(["1"])
    assert len(stub.heard) == 1


def test_repeat_while_it_acts_gets_the_reply_on_the_new_connection(stub: StubMaster, raw: Raw) -> None:
    stub.answer = lambda incoming: messages.Done() if isinstance(incoming.body, messages.Ping) else None
    frame = request(messages.Submit("job"), 5, "session")
    raw.send(frame)
    assert isinstance(raw.ask(request(messages.Ping(), 6)), messages.Done)  # the first has been heard by now
    newer = Raw(stub)
    newer.send(frame)
    assert isinstance(newer.ask(request(messages.Ping(), 7)), messages.Done)
    submits = [heard for heard in stub.heard if isinstance(heard.body, messages.Submit)]
    assert len(submits) == 1

    def answer(incoming: object) -> messages.Body:
        assert stub.server is not None
        stub.server.reply(submits[0].ticket, messages.Submitted(["1"]))
        return messages.Done()

    stub.answer = answer
    newer.send(request(messages.Ping(), 8))
    assert newer.receive()[2] == messages.Submitted(["1"])
    newer.close()
    assert isinstance(raw.ask(request(messages.Ping(), 9)), (messages.Done, messages.Submitted))


def test_same_number_in_another_session_acts_again(stub: StubMaster, raw: Raw) -> None:
    raw.ask(request(messages.Submit("job"), 1, "a"))
    raw.ask(request(messages.Submit("job"), 1, "b"))
    assert len(stub.heard) == 2


def test_reads_are_not_remembered(stub: StubMaster, raw: Raw) -> None:
    raw.ask(request(messages.JobList(), 1))
    raw.ask(request(messages.JobList(), 1))
    assert len(stub.heard) == 2


def test_memory_of_replies_is_bounded(stub: StubMaster, raw: Raw) -> None:
    for id in range(REMEMBERED + 1):
        raw.ask(request(messages.Cancel("1"), id))
    raw.ask(request(messages.Cancel("1"), REMEMBERED))
    assert len(stub.heard) == REMEMBERED + 1
    raw.ask(request(messages.Cancel("1"), 0))  # the oldest, forgotten by now
    assert len(stub.heard) == REMEMBERED + 2


def test_reply_above_the_limit_becomes_an_error(stub: StubMaster, raw: Raw) -> None:
    stub.answer = lambda _: messages.LogBlock("1", 0, b"x" * messages.MAX_MESSAGE, 1)
    reply = raw.ask(request(messages.Ping()))
    assert isinstance(reply, messages.Failure)
    assert reply.code == "too-large"


def test_second_listener_at_an_address_is_told(stub: StubMaster) -> None:
    from executor.errors import InfrastructureError
    from executor.wire.server import Server

    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    with pytest.raises(InfrastructureError, match="something listens"):
        Server(stub.address, keys.load(stub.directory, "master"), keys.Keyring(stub.directory), context)
    context.destroy(linger=0)
