# SPDX-License-Identifier: Apache-2.0
"""The runner's end of the doorbell against a scripted agent: answers, reconnects, an agent that is gone."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from executor import errors
from executor.errors import InfrastructureError, JobCanceled, JobError
from executor.model import doorbell
from executor.model.deadline import Deadline
from executor.model.doorbell import Answer, Ask, Bell, Fetch, Fetched, Probed, Progress
from executor.runner.doorbell import Doorbell

WHAT = Fetch(url="http://h/Image", label="kernel")
GOT = Fetched(path="/cache/x", size=3, sha256="0" * 64)


def ignore(stage: str, done: int, total: int) -> None:
    pass


class Agent:
    """Listens on the socket; each connection is served by `script(channel, lines)` in a thread of its own."""

    def __init__(self, path: Path, script: Callable[[socket.socket, Iterator[object]], None]) -> None:
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen()
        self._script = script
        self._channels: list[socket.socket] = []
        self.connections = 0
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                channel, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._channels.append(channel)
            thread = threading.Thread(target=self._serve, args=[channel], daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, channel: socket.socket) -> None:
        def lines() -> Iterator[object]:
            pending = b""
            while data := channel.recv(65536):
                *whole, pending = (pending + data).split(b"\n")
                for line in whole:
                    yield doorbell.decode(line)

        try:
            self._script(channel, lines())
        except OSError:
            pass
        finally:
            channel.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for channel in self._channels:
            with contextlib.suppress(OSError):
                channel.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)


Start = Callable[[Callable[[socket.socket, Iterator[object]], None]], Agent]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "agent.sock"


@pytest.fixture
def agent(path: Path) -> Iterator[Start]:
    made: list[Agent] = []

    def start(script: Callable[[socket.socket, Iterator[object]], None]) -> Agent:
        path.unlink(missing_ok=True)
        made.append(Agent(path, script))
        return made[-1]

    yield start
    for one in made:
        one.close()


@pytest.fixture
def bell(path: Path) -> Iterator[Doorbell]:
    made = Doorbell(path)
    yield made
    made.close()


def send(channel: socket.socket, *messages: doorbell.Message) -> None:
    channel.sendall(b"".join(doorbell.encode(m) for m in messages))


def answer(question: Ask, **error: str) -> Answer:
    if error:
        return Answer(question.id, None, **error)
    return Answer(question.id, msgspec.to_builtins(GOT))


def asks(lines: Iterator[object]) -> Iterator[Ask]:
    return (message for message in lines if isinstance(message, Ask))


def faithful(channel: socket.socket, lines: Iterator[object]) -> None:
    for message in asks(lines):
        send(channel, Progress(message.id, 1, 3), Progress("other", 9), answer(message))


def test_an_answer_and_its_progress(agent: Start, bell: Doorbell) -> None:
    agent(faithful)
    seen: list[tuple[str, int, int]] = []
    for _ in range(3):
        got = bell.fetch(WHAT, Deadline.after(30), lambda *step: seen.append(step))
        assert got == GOT
    assert seen == [("download", 1, 3)] * 3


def test_an_answer_in_pieces(agent: Start, bell: Doorbell) -> None:
    def slowly(channel: socket.socket, lines: Iterator[object]) -> None:
        for message in asks(lines):
            for byte in doorbell.encode(answer(message)):
                channel.sendall(bytes([byte]))

    agent(slowly)
    assert bell.fetch(WHAT, Deadline.after(30), ignore) == GOT


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("Job", JobError),
        ("Infrastructure", InfrastructureError),
        ("Configuration", errors.ConfigurationError),
        ("Canceled", JobCanceled),
        ("SomethingNew", InfrastructureError),
    ],
)
def test_an_error_comes_as_its_class(agent: Start, bell: Doorbell, kind: str, expected: type) -> None:
    def refuse(channel: socket.socket, lines: Iterator[object]) -> None:
        for message in asks(lines):
            send(channel, answer(message, error_type=kind, message="no", hint="see"))

    agent(refuse)
    with pytest.raises(expected) as caught:
        bell.fetch(WHAT, Deadline.after(30), ignore)
    assert type(caught.value) is expected
    assert (caught.value.message, caught.value.hint) == ("no", "see")  # type: ignore[attr-defined]


def test_a_question_is_asked_again_with_its_number_after_a_reconnect(agent: Start, bell: Doorbell) -> None:
    asked: list[str] = []

    def forgetful(channel: socket.socket, lines: Iterator[object]) -> None:
        for message in asks(lines):
            asked.append(message.id)
            if len(asked) < 3:
                send(channel, Progress(message.id, 1))
                return  # the connection ends
            send(channel, answer(message))

    agent(forgetful)
    assert bell.fetch(WHAT, Deadline.after(30), ignore) == GOT
    assert bell.fetch(WHAT, Deadline.after(30), ignore) == GOT
    assert asked == ["1", "1", "1", "2"]


def test_an_agent_that_comes_later_is_found(agent: Start, bell: Doorbell) -> None:
    found: list[Fetched] = []
    thread = threading.Thread(
        target=lambda: found.append(bell.fetch(WHAT, Deadline.after(30), ignore)), daemon=True
    )
    thread.start()
    agent(faithful)
    thread.join(30)
    assert found == [GOT]


def test_an_agent_that_is_gone_is_waited_for_until_the_deadline(bell: Doorbell) -> None:
    with pytest.raises(TimeoutError, match="no answer"):
        bell.fetch(WHAT, Deadline.after(0.1), ignore)


def test_an_agent_that_never_answers_is_waited_for_until_the_deadline(agent: Start, bell: Doorbell) -> None:
    def mute(channel: socket.socket, lines: Iterator[object]) -> None:
        for _ in lines:
            pass

    agent(mute)
    with pytest.raises(TimeoutError, match="no answer"):
        bell.fetch(WHAT, Deadline.after(0.2), ignore)


@pytest.mark.parametrize("nonsense", [b"{}\n", b"\xff\xfe\n", b'{"type":"answer"}\n'])
def test_nonsense_is_an_error_of_the_lab(agent: Start, bell: Doorbell, nonsense: bytes) -> None:
    def babble(channel: socket.socket, lines: Iterator[object]) -> None:
        for _ in asks(lines):
            channel.sendall(nonsense)

    agent(babble)
    with pytest.raises(InfrastructureError, match="cannot be understood"):
        bell.fetch(WHAT, Deadline.after(30), ignore)


def test_what_breaks_in_leaves_no_half_answer_behind(agent: Start, bell: Doorbell) -> None:
    served: list[str] = []

    def half(channel: socket.socket, lines: Iterator[object]) -> None:
        for message in asks(lines):
            served.append(message.id)
            whole = doorbell.encode(answer(message))
            if len(served) == 1:
                channel.sendall(doorbell.encode(Progress(message.id, 1)) + whole[:20])
            else:
                channel.sendall(whole)

    def canceled(stage: str, done: int, total: int) -> None:
        raise JobCanceled("the job was canceled")

    agent(half)
    with pytest.raises(JobCanceled):
        bell.fetch(WHAT, Deadline.after(30), canceled)
    assert bell.fetch(WHAT, Deadline.after(30), ignore) == GOT


# -- the bell itself


def bells(heard: list[int], done: threading.Event, last: int) -> Callable[..., None]:
    def listen(channel: socket.socket, lines: Iterator[object]) -> None:
        for message in lines:
            assert isinstance(message, Bell)
            heard.append(message.size)
            if message.size >= last:
                done.set()

    return listen


def test_rings_are_heard_in_order_and_the_last_one_always(agent: Start, path: Path) -> None:
    heard: list[int] = []
    done = threading.Event()
    agent(bells(heard, done, 500))
    bell = Doorbell(path)
    for size in range(1, 501):
        bell.ring(size)
    assert done.wait(30)
    bell.close()
    assert heard == sorted(heard)
    assert heard[-1] == 500


def test_the_end_is_rung_before_the_doorbell_is_let_go(agent: Start, path: Path) -> None:
    heard: list[int] = []
    done = threading.Event()
    agent(bells(heard, done, 7))
    bell = Doorbell(path)
    bell.ring(7)
    bell.close()
    assert done.wait(10)


def test_with_no_agent_for_the_whole_job_nothing_blocks_and_nothing_fails(path: Path) -> None:
    bell = Doorbell(path)
    for size in range(1000):
        bell.ring(size)
    bell.close()
    assert not any(thread.name == "doorbell" for thread in threading.enumerate())


def test_an_agent_that_comes_back_hears_the_next_ring(agent: Start, path: Path) -> None:
    first, heard = threading.Event(), threading.Event()
    one = agent(bells([], first, 1))
    bell = Doorbell(path)
    bell.ring(1)
    assert first.wait(30)
    one.close()
    agent(bells([], heard, 2))
    for _ in range(1000):  # the first may still go to the agent that is gone
        bell.ring(2)
        if heard.wait(0.05):
            break
        bell.ring(3)
    bell.close()
    assert heard.is_set()


def test_a_probe_is_asked_once_and_nobody_is_waited_for(bell: Doorbell, agent: Start) -> None:
    assert bell.probe(WHAT, Deadline.after(5)) == "", "no agent there"

    def script(channel: socket.socket, lines: Iterator[object]) -> None:
        for question in asks(lines):
            if question.what == "probe" and question.args == msgspec.to_builtins(WHAT):
                send(channel, Answer(question.id, msgspec.to_builtins(Probed("404 Not Found"))))
            else:
                send(channel, answer(question, error_type="Bug", message="what is that?"))

    agent(script)
    assert bell.probe(WHAT, Deadline.after(5)) == "404 Not Found"
    assert bell.probe(Fetch("http://h/other"), Deadline.after(5)) == "", "an error is no reason"


def test_what_came_is_counted(bell: Doorbell, agent: Start) -> None:
    got = Fetched(path="/cache/x", size=3, sha256="0" * 64, downloaded=5, decompressed=7)

    def script(channel: socket.socket, lines: Iterator[object]) -> None:
        for question in asks(lines):
            send(channel, Answer(question.id, msgspec.to_builtins(got)))

    agent(script)
    for _ in range(2):
        bell.fetch(WHAT, Deadline.after(5), ignore)
    assert (bell.fetched, bell.downloaded, bell.decompressed) == (2, 10, 14)
