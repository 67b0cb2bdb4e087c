# SPDX-License-Identifier: Apache-2.0
"""A shell in a job's container: this process's terminal joined to one inside, or plain pipes in scripts."""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import signal
import socket
import struct
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec

from executor.container.jobdir import Artefact
from executor.errors import InfrastructureError
from executor.model import doorbell
from executor.model.deadline import Deadline
from executor.model.doorbell import Answer, Ask, Fetch, Fetched, Progress

IDLE = ["sleep", "infinity"]  # what the container does meanwhile
SHELL = ["/bin/sh", "-c", "if command -v bash >/dev/null; then exec bash; fi; exec sh"]
_FRAME = struct.Struct(">BxxxL")  # stream number and length of a piece of output without a terminal


def prefetch(
    doorbell_socket: Path,
    artefacts: list[Artefact],
    deadline: Deadline,
    *,
    report: Callable[[str, int, int], None] = lambda label, done, total: None,
) -> dict[str, str]:
    """Ask the session for each artefact as the runner would; label -> path in the container."""
    found: dict[str, str] = {}
    if not artefacts:
        return found
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
        channel.settimeout(deadline.remaining)
        channel.connect(str(doorbell_socket))
        lines = channel.makefile("rb")
        for artefact in artefacts:
            fetch = Fetch(artefact.url, artefact.label, artefact.compression)
            ask = Ask(secrets.token_hex(8), "fetch", msgspec.to_builtins(fetch), deadline.remaining)
            channel.sendall(doorbell.encode(ask))
            label = artefact.label or artefact.url
            answer = _answer(lines, ask.id, lambda p, label=label: report(label, p.done, p.total))  # type: ignore[misc]
            if answer.ok is None:
                raise InfrastructureError(f"{label}: {answer.message}", answer.hint)
            found[label] = msgspec.convert(answer.ok, Fetched).path
    return found


def _answer(lines: Any, id: str, on_progress: Callable[[Progress], None]) -> Answer:
    while line := lines.readline(doorbell.MAX_LINE):
        message = doorbell.decode(line)
        if isinstance(message, Progress) and message.id == id:
            on_progress(message)
        elif isinstance(message, Answer) and message.id == id:
            return message
    raise InfrastructureError("the session's socket was closed")


def attach(container: str, command: list[str]) -> int:
    """Run `command` in a running container, joined to this process's terminal; its exit code."""
    from docker.api.client import APIClient
    from docker.errors import APIError, DockerException

    interactive = sys.stdin.isatty() and sys.stdout.isatty()
    try:
        api = APIClient(base_url=os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock", timeout=60)
        environment = {"TERM": os.environ.get("TERM", "dumb")} if interactive else None
        made = api.exec_create(container, command, stdin=True, tty=interactive, environment=environment)
        stream: Any = api.exec_start(made["Id"], tty=interactive, socket=True)
        channel: socket.socket = getattr(stream, "_sock", stream)
        if interactive:
            with _raw(), _resizing(lambda rows, columns: api.exec_resize(made["Id"], rows, columns)):
                _join(channel, _copy)
        else:
            _join(channel, _Unframed())
        return int(api.exec_inspect(made["Id"])["ExitCode"] or 0)
    except (APIError, DockerException, OSError) as error:
        raise InfrastructureError(f"no shell in the container: {error}") from None


def _join(channel: socket.socket, show: Callable[[bytes], None]) -> None:
    """Both directions until the other end closes."""
    source = sys.stdin.fileno()
    open_input = True
    channel.setblocking(True)
    while True:
        ready, _, _ = select.select([channel, source] if open_input else [channel], [], [])
        if channel in ready:
            data = channel.recv(65536)
            if not data:
                return
            show(data)
        if source in ready:
            typed = os.read(source, 4096)
            if typed:
                channel.sendall(typed)
            else:
                open_input = False
                with contextlib.suppress(OSError):
                    channel.shutdown(socket.SHUT_WR)


def _copy(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


class _Unframed:
    """Takes apart the frames in which output without a terminal comes: stdout and stderr in one stream."""

    def __init__(self) -> None:
        self._rest = b""

    def __call__(self, data: bytes) -> None:
        self._rest += data
        while len(self._rest) >= _FRAME.size:
            number, length = _FRAME.unpack_from(self._rest)
            end = _FRAME.size + length
            if len(self._rest) < end:
                return
            out = sys.stderr if number == 2 else sys.stdout
            out.buffer.write(self._rest[_FRAME.size : end])
            out.buffer.flush()
            self._rest = self._rest[end:]


@contextmanager
def _raw() -> Iterator[None]:
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    tty.setraw(descriptor)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


@contextmanager
def _resizing(resize: Callable[[int, int], object]) -> Iterator[None]:
    """The terminal inside has the size of the one outside, also when that changes."""

    def tell(number: int = 0, frame: FrameType | None = None) -> None:
        with contextlib.suppress(Exception):  # a size that cannot be told must not end the shell
            size = os.get_terminal_size()
            resize(size.lines, size.columns)

    before = signal.signal(signal.SIGWINCH, tell)
    tell()
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)
