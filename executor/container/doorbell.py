# SPDX-License-Identifier: Apache-2.0
"""The agent's end of a job's doorbell: hears that the journal grew, answers questions, remembers answers.

A question that comes again after a reconnect gets the answer of the first time; one that is under way goes on
and tells the newest connection how far it is (design §9, Requests over the socket).
"""

from __future__ import annotations

import logging
import os
import selectors
import socket
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec

from executor.container.cancel import Cancellation
from executor.errors import Bug, InfrastructureError, LavaExecError
from executor.model import doorbell
from executor.model.deadline import Deadline
from executor.model.doorbell import Answer, Ask, Bell, Progress

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 16
MAX_ANSWERS = 4096  # remembered; a job asks once for each artefact
MAX_UNDER_WAY = 64
WORKERS = 4  # questions that are worked on at once
MAX_SECONDS = 24 * 3600.0  # longest deadline of a question
_UNSENT = 4 << 20  # bytes that may wait for a peer that does not read

Report = Callable[[str, int, int], None]  # stage, done, total in bytes


class Question(msgspec.Struct, frozen=True):
    """One question as its handler gets it. `cancellation` is set when the job has ended."""

    what: str
    args: dict[str, object]
    deadline: Deadline
    report: Report
    cancellation: Cancellation


Handler = Callable[[Question], Any]  # returns the reply struct; raises an error of errors.py


class _Peer:
    def __init__(self, channel: socket.socket) -> None:
        self.channel = channel
        self.unread = b""
        self.unsent = b""


class DoorbellServer:
    """Listens on `<run>/agent.sock` until `close`; one thread, and workers for questions.

    `on_bell` is called in the server's thread with the journal's size and must return at once.
    """

    def __init__(
        self,
        run: Path,
        *,
        handler: Handler,
        on_bell: Callable[[int], None],
        uid: int = -1,
        name: str = "agent.sock",
    ) -> None:
        self._handler = handler
        self._on_bell = on_bell
        self._path = run / name
        self._listener = _listen(run, name, uid)
        self._peers: set[_Peer] = set()
        self._answers: OrderedDict[str, bytes] = OrderedDict()
        self._asked: dict[str, _Peer | None] = {}  # questions under way, and who wants to know
        self._done: list[tuple[str, bytes]] = []
        self._progress: dict[str, Progress] = {}  # the newest of each question
        self._lock = threading.Lock()
        self._canceled = Cancellation()
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="fetch")
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._wake_out, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._serve, name="doorbell", daemon=True)
        self._thread.start()

    def close(self, seconds: float = 10.0) -> None:
        """Cancel what is under way, end the threads, remove the socket. Harmless when repeated."""
        if self._canceled.canceled:
            return
        self._canceled.cancel()
        self._wake()
        self._thread.join(timeout=seconds)
        self._pool.shutdown(wait=True, cancel_futures=True)
        for peer in list(self._peers):
            peer.channel.close()
        self._selector.close()
        self._listener.close()
        self._wake_in.close()
        self._wake_out.close()
        self._path.unlink(missing_ok=True)

    # -- the server's thread

    def _serve(self) -> None:
        while not self._canceled.canceled:
            for key, events in self._selector.select(timeout=5):
                if key.fileobj is self._listener:
                    self._accept()
                elif key.fileobj is self._wake_out:
                    self._drain()
                elif isinstance(key.data, _Peer):
                    self._on_peer(key.data, events)
            self._deliver()

    def _accept(self) -> None:
        try:
            channel, _ = self._listener.accept()
        except OSError:
            return
        channel.setblocking(False)
        if len(self._peers) >= MAX_CONNECTIONS:
            channel.close()
            return
        peer = _Peer(channel)
        self._peers.add(peer)
        self._selector.register(channel, selectors.EVENT_READ, peer)

    def _drain(self) -> None:
        try:
            self._wake_out.recv(4096)
        except BlockingIOError:
            return

    def _on_peer(self, peer: _Peer, events: int) -> None:
        try:
            if events & selectors.EVENT_WRITE:
                self._flush(peer)
            if events & selectors.EVENT_READ:
                self._read(peer)
        except (OSError, msgspec.DecodeError) as error:
            if not isinstance(error, ConnectionError):
                log.warning("a job rings the doorbell wrongly and is cut off: %s", error)
            self._drop(peer)

    def _read(self, peer: _Peer) -> None:
        try:
            data = peer.channel.recv(65536)
        except BlockingIOError:
            return
        if not data:
            raise ConnectionResetError
        *lines, peer.unread = (peer.unread + data).split(b"\n")
        if len(peer.unread) > doorbell.MAX_LINE:
            raise OSError("a line is too long")
        size = -1
        for line in lines:
            if len(line) > doorbell.MAX_LINE:
                raise OSError("a line is too long")
            message = doorbell.decode(line)
            if isinstance(message, Bell):
                size = message.size
            elif isinstance(message, Ask):
                self._on_ask(peer, message)
        if size >= 0:
            self._on_bell(size)

    def _on_ask(self, peer: _Peer, ask: Ask) -> None:
        with self._lock:
            answer = self._answers.get(ask.id)
            if answer is None and ask.id in self._asked:
                self._asked[ask.id] = peer
                return
            full = len(self._asked) >= MAX_UNDER_WAY
            if answer is None and not full:
                self._asked[ask.id] = peer
        if answer is not None:
            self._send(peer, answer)
        elif full:
            error = InfrastructureError("too many questions are under way")
            self._send(peer, doorbell.encode(_refusal(ask.id, error)))
        else:
            self._pool.submit(self._work, ask)

    def _deliver(self) -> None:
        with self._lock:
            done, self._done = self._done, []
            news, self._progress = self._progress, {}
            told = [(self._asked.get(id), doorbell.encode(progress)) for id, progress in news.items()]
            told = [(peer, line) for peer, line in told if peer is not None and not peer.unsent]
            told += [(self._asked.pop(id, None), line) for id, line in done]
        for peer, line in told:
            if peer is not None and peer in self._peers:
                self._send(peer, line)

    def _send(self, peer: _Peer, line: bytes) -> None:
        if len(peer.unsent) + len(line) > _UNSENT:
            self._drop(peer)
            return
        peer.unsent += line
        try:
            self._flush(peer)
        except OSError:
            self._drop(peer)

    def _flush(self, peer: _Peer) -> None:
        while peer.unsent:
            try:
                sent = peer.channel.send(peer.unsent)
            except BlockingIOError:
                break
            peer.unsent = peer.unsent[sent:]
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if peer.unsent else 0)
        self._selector.modify(peer.channel, wanted, peer)

    def _drop(self, peer: _Peer) -> None:
        if peer not in self._peers:
            return
        self._peers.discard(peer)
        self._selector.unregister(peer.channel)
        peer.channel.close()
        with self._lock:
            for id, wanted in self._asked.items():
                if wanted is peer:
                    self._asked[id] = None

    # -- the workers

    def _work(self, ask: Ask) -> None:
        deadline = Deadline.after(min(max(ask.seconds, 0.0), MAX_SECONDS))

        def report(stage: str, done: int, total: int) -> None:
            with self._lock:
                self._progress[ask.id] = Progress(ask.id, done, total, stage)
            self._wake()

        try:
            reply = self._handler(Question(ask.what, ask.args, deadline, report, self._canceled))
            answer = Answer(ask.id, ok=msgspec.to_builtins(reply))
        except LavaExecError as error:
            answer = _refusal(ask.id, error)
        except Exception as error:  # the runner must get an answer whatever happens
            log.exception("question %s of a job failed", ask.what)
            answer = _refusal(ask.id, Bug(f"{ask.what} failed: {type(error).__name__}: {error}"))
        line = doorbell.encode(answer)
        with self._lock:
            self._answers[ask.id] = line
            while len(self._answers) > MAX_ANSWERS:
                self._answers.popitem(last=False)
            self._done.append((ask.id, line))
        self._wake()

    def _wake(self) -> None:
        try:
            self._wake_in.send(b"x")
        except OSError:
            return


def _refusal(id: str, error: LavaExecError) -> Answer:
    return Answer(id, error_type=error.error_type, message=error.message, hint=error.hint)


def _listen(run: Path, name: str, uid: int) -> socket.socket:
    """A listening socket at a path of any length: it is named through its directory's descriptor."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    directory = os.open(run, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        (run / name).unlink(missing_ok=True)
        listener.bind(f"/proc/self/fd/{directory}/{name}")
        os.chmod(name, 0o600, dir_fd=directory)
        if uid >= 0 and os.geteuid() == 0:
            os.chown(name, uid, -1, dir_fd=directory)
        listener.listen(8 * MAX_CONNECTIONS)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    finally:
        os.close(directory)
    return listener
