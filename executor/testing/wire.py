# SPDX-License-Identifier: Apache-2.0
"""The master's end of the wire with no master behind it: answers what a test says, in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import zmq

from executor.wire import keys, messages
from executor.wire.server import Incoming, Server

Answerer = Callable[[Incoming], messages.Body | None]


def default_answer(incoming: Incoming) -> messages.Body | None:
    return messages.Done(type(incoming.body).__name__)


@dataclass
class StubMaster:
    """`heard` is all that came through; `answer` may be replaced. `directory` holds the keys."""

    directory: Path
    address: str = ""
    heard: list[Incoming] = field(default_factory=list)
    answer: Answerer = default_answer
    server: Server | None = None
    keyring: keys.Keyring | None = None
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Listen; at the same address as before when it was stopped."""
        pair = keys.first_start(self.directory)
        ready = threading.Event()
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, args=(pair, ready), daemon=True)
        self._thread.start()
        ready.wait(10)

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(10)

    def push(self, body: messages.Push) -> None:
        """To whoever was heard last."""
        self._pushes.append((self.heard[-1].ticket.route, body))

    _pushes: list[tuple[bytes, messages.Push]] = field(default_factory=list)

    def _run(self, pair: keys.KeyPair, ready: threading.Event) -> None:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.keyring = keys.Keyring(self.directory)
        server = Server(self.address or "tcp://127.0.0.1:*", pair, self.keyring, context)
        self.server, self.address = server, server.address
        poller = zmq.Poller()
        for socket in server.sockets:
            poller.register(socket, zmq.POLLIN)
        ready.set()
        while not self._stop.is_set():
            poller.poll(20)
            self.keyring.refresh()
            for incoming in server.receive():
                self.heard.append(incoming)
                body = self.answer(incoming)
                if body is not None:
                    server.reply(incoming.ticket, body)
            while self._pushes:
                server.push(*self._pushes.pop())
        server.close()
        context.destroy(linger=0)
