# SPDX-License-Identifier: Apache-2.0
"""The runner's end of the doorbell: rings when the journal grew, asks for artefacts, survives an agent that
is gone.

A question is repeated with the same id after a reconnect, and the agent remembers its answers, so it acts
once.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

import msgspec

from executor import errors
from executor.errors import InfrastructureError, LavaExecError
from executor.model import doorbell
from executor.model.deadline import Deadline
from executor.model.doorbell import Answer, Ask, Bell, Fetch, Fetched, Probed, Progress

_RING_INTERVAL = 0.02  # seconds between two bells at most
_LEAST = 0.05  # seconds of patience with the socket, even at the deadline
_RETRY_INTERVAL = 0.5  # seconds between two attempts to reach an agent that is gone


class Doorbell:
    """One connection to the agent. `ring` comes from any thread; `ask` from one action at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ids = count(1)
        self.fetched = 0  # artefacts, and bytes of them that did not lie in the cache
        self.downloaded = 0
        self.decompressed = 0
        self._size = 0
        self._wake = threading.Event()
        self._closed = False
        self._socket: socket.socket | None = None
        self._pending = b""  # begin of a line that has not come whole
        self._ringer = threading.Thread(target=self._ring_loop, name="doorbell", daemon=True)
        self._ringer.start()

    def ring(self, size: int) -> None:
        """The journal has `size` bytes now. Never blocks, never fails."""
        self._size = size
        self._wake.set()

    def close(self) -> None:
        """Ring once more, so that the agent sees the end at once, and stop."""
        self._closed = True
        self._wake.set()
        self._ringer.join(timeout=1)
        self._disconnect()

    def fetch(self, what: Fetch, deadline: Deadline, progress: Callable[[str, int, int], None]) -> Fetched:
        """Ask for an artefact. Raises the error that the agent names, or TimeoutError."""
        answer = self._ask("fetch", msgspec.to_builtins(what), deadline, progress)
        fetched = msgspec.convert(answer, Fetched)
        self.fetched += 1
        self.downloaded += fetched.downloaded
        self.decompressed += fetched.decompressed
        return fetched

    def probe(self, what: Fetch, deadline: Deadline) -> str:
        """Why an artefact certainly cannot be had, "" otherwise, also when nobody answers in time."""
        ask = Ask(f"{next(self._ids)}", "probe", msgspec.to_builtins(what), seconds=deadline.remaining)
        try:
            answer = self._converse(ask, deadline, lambda stage, done, total: None)
        except (OSError, LavaExecError):
            self._disconnect()
            return ""
        except BaseException:  # whatever breaks in leaves half an answer on the line
            self._disconnect()
            raise
        return msgspec.convert(answer.ok or {}, Probed).reason

    def _ask(
        self,
        what: str,
        args: dict[str, object],
        deadline: Deadline,
        progress: Callable[[str, int, int], None],
    ) -> dict[str, object]:
        question = f"{next(self._ids)}"
        while not deadline.expired:
            ask = Ask(question, what, args, seconds=deadline.remaining)
            try:
                answer = self._converse(ask, deadline, progress)
            except OSError:  # gone, or too slow; both end at the deadline
                self._disconnect()
                time.sleep(min(_RETRY_INTERVAL, deadline.remaining))
                continue
            except BaseException:  # whatever breaks in leaves half an answer on the line
                self._disconnect()
                raise
            if answer.ok is not None:
                return answer.ok
            raise _error(answer)
        raise TimeoutError(f"no answer from the agent to {what!r}")

    def _converse(self, ask: Ask, deadline: Deadline, progress: Callable[[str, int, int], None]) -> Answer:
        channel = self._connect(deadline)
        channel.settimeout(max(_LEAST, deadline.remaining))
        channel.sendall(doorbell.encode(ask))
        while True:
            channel.settimeout(max(_LEAST, deadline.remaining))
            data = channel.recv(65536)
            if not data:
                raise ConnectionResetError("the agent closed the doorbell")
            *lines, self._pending = (self._pending + data).split(b"\n")
            if len(self._pending) > doorbell.MAX_LINE:
                raise InfrastructureError("the agent's answer is too long")
            answer: Answer | None = None
            for line in lines:
                message = _understood(line)
                if isinstance(message, Progress) and message.id == ask.id:
                    progress(message.stage, message.done, message.total)
                elif isinstance(message, Answer) and message.id == ask.id:
                    answer = message
            if answer is not None:
                return answer

    def _connect(self, deadline: Deadline) -> socket.socket:
        if self._socket is None:
            channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            channel.settimeout(max(_LEAST, min(5.0, deadline.remaining)))
            try:
                channel.connect(str(self._path))
            except OSError:
                channel.close()
                raise
            self._socket = channel
        return self._socket

    def _disconnect(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._pending = b""

    def _ring_loop(self) -> None:
        """Own connection a bell: questions and bells never wait for each other."""
        channel: socket.socket | None = None
        told = -1
        while not (self._closed and told == self._size):
            self._wake.wait(timeout=5)
            self._wake.clear()
            size = self._size
            try:
                if channel is None:
                    channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                    channel.settimeout(1)
                    channel.connect(str(self._path))
                if size != told:
                    channel.sendall(doorbell.encode(Bell(size)))
                    told = size
            except OSError:
                if channel is not None:
                    channel.close()
                channel = None
                if self._closed:
                    break
            if not self._closed:
                time.sleep(_RING_INTERVAL)
        if channel is not None:
            channel.close()


def _understood(line: bytes) -> doorbell.Message:
    try:
        return doorbell.decode(line)
    except msgspec.MsgspecError as error:
        raise InfrastructureError(f"the agent's answer cannot be understood: {error}") from error


def _error(answer: Answer) -> LavaExecError:
    kinds: dict[str, type[LavaExecError]] = {
        "Job": errors.JobError,
        "Test": errors.TestError,
        "Infrastructure": errors.InfrastructureError,
        "Configuration": errors.ConfigurationError,
        "Canceled": errors.JobCanceled,
        "MultinodeTimeout": errors.MultinodeTimeout,
    }
    return kinds.get(answer.error_type, errors.InfrastructureError)(answer.message, answer.hint)
