# SPDX-License-Identifier: Apache-2.0
"""Frames: what comes back is what was sent; anything else is an error with a code, never a surprise."""

from __future__ import annotations

import contextlib
import typing

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.model.journal import End
from executor.model.problem import Problem
from executor.wire import messages
from executor.wire.messages import WireError

END = End("Complete", 0, cases={"pass": 3})
REQUESTS = [
    messages.Ping(),
    messages.Submit("job_name: é\n", secrets={"A": "b"}, priority=0),
    messages.LogRead("1", 5, wait_seconds=2.5),
    messages.JournalBlock("1", 0, b"\x00\xff\n"),
    messages.Hello(jobs=[messages.AgentJob("1", "x-1", "running", 7)]),
    messages.Finished("1", 10, END),
    messages.FileChunk("1", "a/b", 0, b"abc", 3, "0" * 64),
]
ANSWERS = [
    messages.Done("fine"),
    messages.Failure("refused", "no", problems=[Problem("bad", path=("a", 0))]),
    messages.LogBlock("1", 0, b"{}\n", 3, True, 3, "Finished"),
    messages.JobInfo(messages.JobRow("1", "n", "Running", "Unknown"), end=END),
    messages.Orders(1.5, start=[messages.StartJob("1", "x-1", "t", {"a": [1, None]})]),
    messages.Stop(messages.CancelJob("1", "because")),
]


@pytest.mark.parametrize("body", REQUESTS, ids=lambda body: type(body).__name__)
def test_request_comes_back(body: messages.Body) -> None:
    envelope = messages.open_envelope(messages.encode(body, 7, "abc"))
    assert (envelope.id, envelope.session) == (7, "abc")
    assert messages.decode_request(envelope) == body


@pytest.mark.parametrize("body", ANSWERS, ids=lambda body: type(body).__name__)
def test_answer_comes_back(body: messages.Body) -> None:
    assert messages.decode_answer(messages.encode(body, 7, "abc")) == (7, "abc", body)


def test_every_request_is_allowed_to_somebody_and_nothing_else_is() -> None:
    requests = set(typing.get_args(messages.Request))
    assert set().union(*messages.ALLOWED.values()) == requests


def test_agents_and_people_share_only_the_ping() -> None:
    assert set(messages.OF_AGENT) & set(messages.OF_ADMIN) == {messages.Ping}
    assert set(messages.OF_CLIENT) < set(messages.OF_ADMIN)


def test_tags_are_unique() -> None:
    kinds = [
        *typing.get_args(messages.Request),
        *typing.get_args(messages.Reply),
        *typing.get_args(messages.Push),
    ]
    tags = [kind.__struct_config__.tag for kind in kinds]
    assert len(tags) == len(set(tags))


def test_other_protocol_version_is_told_with_the_request_it_came_in() -> None:
    frame = messages.encode(messages.Ping(), 9, "abc", version=messages.PROTOCOL + 1)
    with pytest.raises(WireError) as caught:
        messages.open_envelope(frame)
    assert (caught.value.code, caught.value.id, caught.value.session) == ("version", 9, "abc")
    assert "same version of lava-exec" in caught.value.hint


def test_version_is_looked_at_before_the_body() -> None:
    frame = msgspec.msgpack.encode({"v": 99, "id": 1, "session": "", "body": {"t": "from-the-future"}})
    with pytest.raises(WireError, match="protocol version 99"):
        messages.open_envelope(frame)


def test_too_large_message_is_not_even_sent() -> None:
    with pytest.raises(WireError) as caught:
        messages.encode(messages.JournalBlock("1", 0, b"x" * (messages.MAX_MESSAGE + 1)), 3)
    assert caught.value.code == "too-large"


@pytest.mark.parametrize("field", [{"session": "x" * 65}, {"id": -1}, {"id": 1 << 63}])
def test_envelope_out_of_range(field: dict[str, object]) -> None:
    whole = {"v": messages.PROTOCOL, "id": 1, "session": "", "body": {"t": "ping"}, **field}
    with pytest.raises(WireError):
        messages.open_envelope(msgspec.msgpack.encode(whole))


def _decode(frame: bytes) -> None:
    """Whatever it is, nothing but a WireError comes out."""
    with contextlib.suppress(WireError):
        messages.decode_request(messages.open_envelope(frame))


@given(st.binary(max_size=200))
def test_random_bytes_are_a_wire_error(data: bytes) -> None:
    _decode(data)
    with pytest.raises(WireError):
        messages.decode_answer(data + b"\xc1")


@given(st.sampled_from(REQUESTS), st.data())
def test_damaged_frames_are_a_wire_error_or_a_request(body: messages.Body, data: st.DataObject) -> None:
    frame = bytearray(messages.encode(body, 1, "s"))
    for _ in range(data.draw(st.integers(1, 4))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    _decode(bytes(frame[: data.draw(st.integers(0, len(frame)))]))


_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.text(max_size=5)
    | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["job", "text", "offset", "data", "jobs", "time", "facts"]), _values))
def test_wrong_types_in_a_body_are_malformed(fields: dict[str, object]) -> None:
    for tag in ("submit", "journal-block", "hello", "log-read", "heartbeat"):
        whole = {"v": messages.PROTOCOL, "id": 1, "session": "s", "body": {"t": tag, **fields}}
        _decode(msgspec.msgpack.encode(whole))


def test_deep_nesting_is_malformed() -> None:
    frame = messages.encode(messages.Ping(), 1, "s").replace(
        b"\x81\xa1t\xa4ping", b"\x91" * 100_000 + b"\xc0"
    )
    with pytest.raises(WireError):
        messages.decode_request(messages.open_envelope(frame))
