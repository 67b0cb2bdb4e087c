# SPDX-License-Identifier: Apache-2.0
"""The client's channel over real sockets: answers, faults told in time, resuming after a restart."""

from __future__ import annotations

import dataclasses
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from executor.errors import (
    Bug,
    ConfigurationError,
    InfrastructureError,
    JobError,
    LavaExecError,
    UsageError,
)
from executor.model.deadline import Deadline
from executor.model.problem import Problem
from executor.testing.wire import StubMaster
from executor.wire import keys, messages
from executor.wire.channel import Channel, RequestRefused, failure_error
from executor.wire.server import Incoming

TOLD = 5.0  # seconds within which a client must know that it is refused


def soon() -> Deadline:
    return Deadline.after(10)


def refused(channel: Channel) -> tuple[LavaExecError, float]:
    """The error of a call that has far more time, and the seconds it took."""
    began = time.monotonic()
    with pytest.raises(LavaExecError) as caught:
        channel.call(messages.Ping(), messages.Done, Deadline.after(60))
    return caught.value, time.monotonic() - began


def test_answer_and_identity(stub: StubMaster) -> None:
    with Channel(stub.address, keys.credentials(stub.directory)) as channel:
        assert channel.call(messages.Ping(), messages.Done, soon()).note == "Ping"
    identity = stub.heard[0].ticket.identity
    assert (identity.role, identity.name) == ("admin", "local")


def test_unknown_key_is_told_what_the_admin_must_do(stub: StubMaster, stranger: keys.Credentials) -> None:
    with Channel(stub.address, stranger, patience=60) as channel:
        error, seconds = refused(channel)
    assert seconds < TOLD
    assert isinstance(error, ConfigurationError)
    assert f"lava-exec keys add client NAME {stranger.pair.public}" in error.hint
    assert stub.heard == []


def test_key_added_meanwhile_is_seen_without_a_restart(stub: StubMaster, stranger: keys.Credentials) -> None:
    with Channel(stub.address, stranger) as channel:
        refused(channel)
        keys.authorize(stub.directory, "client", "alice", stranger.pair.public)
        assert channel.call(messages.Ping(), messages.Done, soon()).note == "Ping"
    assert stub.heard[-1].ticket.identity.name == "alice"


def test_removed_key_is_refused_on_a_standing_connection(
    stub: StubMaster, stranger: keys.Credentials
) -> None:
    keys.authorize(stub.directory, "client", "alice", stranger.pair.public)
    with Channel(stub.address, stranger) as channel:
        channel.call(messages.Ping(), messages.Done, soon())
        assert stub.keyring is not None
        keys.revoke(stub.directory, "client", "alice")
        stub.keyring.refresh()
        with pytest.raises(ConfigurationError, match="no longer known here"):
            channel.call(messages.Ping(), messages.Done, soon())
    heard = len(stub.heard)
    with Channel(stub.address, stranger) as channel:
        refused(channel)
    assert len(stub.heard) == heard


def test_wrong_master_is_told(stub: StubMaster, tmp_path: Path) -> None:
    mine = keys.credentials(stub.directory)
    other = keys.load_or_make(tmp_path / "other", "master").public
    with Channel(stub.address, dataclasses.replace(mine, master=other), patience=60) as channel:
        error, seconds = refused(channel)
    assert seconds < TOLD
    assert isinstance(error, ConfigurationError)
    assert "is not the master whose public key is trusted here" in error.message
    assert other in error.hint
    assert "lava-exec keys trust" in error.hint


def test_nobody_listening_is_told(stub: StubMaster) -> None:
    stub.stop()
    with Channel(stub.address, keys.credentials(stub.directory)) as channel:
        error, seconds = refused(channel)
    assert seconds < TOLD
    assert isinstance(error, InfrastructureError)
    assert error.message == f"no master listens at {stub.address}"
    assert "lava-exec serve" in error.hint


@pytest.fixture
def mute() -> Iterator[str]:
    """Accepts connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"


def test_something_that_never_answers_is_told(stub: StubMaster, mute: str) -> None:
    with Channel(mute, keys.credentials(stub.directory)) as channel:
        error, seconds = refused(channel)
    assert seconds < TOLD
    assert "does not answer as a master" in error.message


@pytest.mark.parametrize("address", ["nonsense", "tcp://", "tcp://x", "udp:/y", ""])
def test_bad_address_is_a_configuration_error(stub: StubMaster, address: str) -> None:
    with (
        Channel(address, keys.credentials(stub.directory)) as channel,
        pytest.raises(ConfigurationError, match="is not an address"),
    ):
        channel.call(messages.Ping(), messages.Done, soon())


def test_host_that_does_not_exist_is_told(stub: StubMaster) -> None:
    with Channel("tcp://no-such-host.invalid:5560", keys.credentials(stub.directory)) as channel:
        error, seconds = refused(channel)
    assert seconds < TOLD
    assert isinstance(error, LavaExecError)


def test_no_answer_before_the_deadline(stub: StubMaster) -> None:
    stub.answer = lambda _: None
    with (
        Channel(stub.address, keys.credentials(stub.directory)) as channel,
        pytest.raises(InfrastructureError, match=r"no answer within 0\.3 s"),
    ):
        channel.call(messages.Ping(), messages.Done, Deadline.after(0.3))


def test_late_answer_does_not_reach_the_next_call(stub: StubMaster) -> None:
    held: list[Incoming] = []

    def answer(incoming: Incoming) -> messages.Body | None:
        if not held:
            held.append(incoming)
            return None
        assert stub.server is not None
        stub.server.reply(held[0].ticket, messages.Done("late"))
        return messages.Done("mine")

    stub.answer = answer
    with Channel(stub.address, keys.credentials(stub.directory)) as channel:
        with pytest.raises(InfrastructureError):
            channel.call(messages.Ping(), messages.Done, Deadline.after(0.3))
        assert channel.call(messages.Ping(), messages.Done, soon()).note == "mine"


def test_request_survives_a_restart_of_the_master(stub: StubMaster) -> None:
    heard_before: list[Incoming] = []
    stub.answer = heard_before.append
    with Channel(stub.address, keys.credentials(stub.directory)) as channel:
        with pytest.raises(InfrastructureError):
            channel.call(messages.Ping(), messages.Done, Deadline.after(0.5))
        assert heard_before
        stub.stop()
        stub.answer = lambda _: messages.Done("after the restart")
        timer = threading.Timer(0.5, stub.start)
        timer.start()
        assert channel.call(messages.Ping(), messages.Done, soon()).note == "after the restart"
        timer.join()


def test_role_decides_what_is_allowed(stub: StubMaster, stranger: keys.Credentials) -> None:
    keys.authorize(stub.directory, "client", "alice", stranger.pair.public)
    with Channel(stub.address, stranger) as channel:
        for body in (messages.DeviceSet("d", "good"), messages.KeyList(), messages.JournalBlock("1", 0, b"")):
            with pytest.raises(RequestRefused, match="is not allowed to 'alice'") as caught:
                channel.call(body, messages.Done, soon())
            assert caught.value.code == "not-allowed"
            assert isinstance(caught.value, ConfigurationError)
    assert stub.heard == []


def test_other_version_is_told(stub: StubMaster) -> None:
    def answer(incoming: Incoming) -> None:
        assert stub.server is not None
        ticket = incoming.ticket
        frame = messages.encode(messages.Done(), ticket.id, ticket.session, version=messages.PROTOCOL + 1)
        stub.server._send(ticket.route, frame)

    stub.answer = answer
    with (
        Channel(stub.address, keys.credentials(stub.directory)) as channel,
        pytest.raises(RequestRefused, match="protocol version 2 is spoken there, 1 here") as caught,
    ):
        channel.call(messages.Ping(), messages.Done, soon())
    assert caught.value.code == "version"


def test_wrong_kind_of_answer_is_a_bug(stub: StubMaster) -> None:
    with (
        Channel(stub.address, keys.credentials(stub.directory)) as channel,
        pytest.raises(Bug, match="answered Done where Pong was expected"),
    ):
        channel.call(messages.Ping(), messages.Pong, soon())


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("Job", JobError),
        ("Infrastructure", InfrastructureError),
        ("Configuration", ConfigurationError),
        ("Usage", UsageError),
        ("Bug", Bug),
        ("Nonsense", InfrastructureError),
    ],
)
def test_failure_becomes_the_class_it_names(kind: str, expected: type[LavaExecError]) -> None:
    problem = Problem("p")
    error = failure_error(messages.Failure("refused", "m", "h", kind, [problem]))
    assert isinstance(error, expected)
    assert error.exit_code == expected.exit_code
    assert (error.message, error.hint, error.code, error.problems) == ("m", "h", "refused", [problem])
    with pytest.raises(expected):
        raise error
