# SPDX-License-Identifier: Apache-2.0
"""The agent's one connection to its master: a thread that says hello, beats, resends and reconnects.

Other threads use `call`; what the master wants arrives in `events`. Orders carry the full state and are
repeated with each heartbeat, so an event that does not fit into the bounded queue may be dropped.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, InvalidStateError
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from typing import TypeVar

import msgspec
import zmq

from executor.errors import Bug, InfrastructureError, LavaExecError
from executor.model.deadline import Deadline
from executor.wire import messages
from executor.wire.channel import failure_error
from executor.wire.connector import Answer, Connector, Down, Event, Pushed, Up
from executor.wire.keys import Credentials

log = logging.getLogger(__name__)
R = TypeVar("R", bound=messages.Body)

MAX_CALLS = 128  # requests under way; further callers wait for their turn
MAX_EVENTS = 1024
GOODBYE_SECONDS = 2.0
HUNG_SECONDS = 5.0  # and three heartbeats: a master that is connected but silent is left


@dataclass(frozen=True)
class Connected:
    """The master has welcomed this agent (again). Orders follow with the first heartbeat, at once."""

    welcome: messages.Welcome


@dataclass(frozen=True)
class Disconnected:
    """The connection broke or is refused; it is tried again for ever. Told once for each new reason."""

    error: LavaExecError


LinkEvent = Connected | Disconnected | messages.Orders | messages.Start | messages.Stop
_Call = tuple[messages.Body, "Future[messages.Reply]"]


class Link:
    """Start it, read `events`, `call` from any thread, `close` it.

    `hello` and `heartbeat` are called in the link's thread each time one is sent and must return at once.
    Link fills in time and clock offset of a heartbeat.
    """

    def __init__(
        self,
        address: str,
        credentials: Credentials,
        *,
        hello: Callable[[], messages.Hello],
        heartbeat: Callable[[], messages.Heartbeat],
        backoff: tuple[float, float] = (0.1, 5.0),
    ) -> None:
        self.events: queue.Queue[LinkEvent] = queue.Queue(MAX_EVENTS)
        self.clock_offset = 0.0  # this host's clock minus the master's, seconds
        self._hello = hello
        self._heartbeat = heartbeat
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._connector = Connector(address, credentials, context=self._context, backoff=backoff)
        self._outbox: queue.SimpleQueue[_Call] = queue.SimpleQueue()
        self._slots = threading.BoundedSemaphore(MAX_CALLS)
        self._calls: dict[int, Future[messages.Reply]] = {}
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        self._stop = threading.Event()
        self._beat_now = threading.Event()
        self._welcomed = threading.Event()
        self._interval = 5.0
        self._hello_id = self._beat_id = 0
        self._asked_at = 0.0  # when the hello or heartbeat under way was sent; 0: none is
        self._next_beat = float("inf")
        self._last_reason = ""
        self._thread = threading.Thread(target=self._run, name="link", daemon=True)

    def start(self) -> None:
        """Begin to connect; returns at once."""
        self._thread.start()

    @property
    def connected(self) -> bool:
        """True while the master has welcomed us and the connection stands."""
        return self._welcomed.is_set()

    def call(self, body: messages.Body, expect: type[R], deadline: Deadline) -> R:
        """Ask the master from any thread; survives reconnects until the deadline.

        Raises what `Channel.call` raises; InfrastructureError when the deadline passes or the link is closed.
        """
        if not self._slots.acquire(timeout=min(deadline.remaining, threading.TIMEOUT_MAX)):
            raise InfrastructureError("too many requests to the master are under way")
        future: Future[messages.Reply] = Future()
        future.add_done_callback(lambda _: self._slots.release())
        self._outbox.put((body, future))
        if self._stop.is_set():
            future.cancel()
        self._wake()
        try:
            reply = future.result(timeout=min(deadline.remaining, threading.TIMEOUT_MAX))
        except FutureTimeout:
            future.cancel()
            self._wake()
            raise InfrastructureError(
                f"the master gave no answer to {type(body).__name__} within {deadline.limit:g} s"
            ) from None
        except CancelledError:
            raise InfrastructureError("the link to the master has been closed") from None
        if isinstance(reply, messages.Failure):
            raise failure_error(reply)
        if not isinstance(reply, expect):
            raise Bug(f"the master answered {type(reply).__name__} where {expect.__name__} was expected")
        return reply

    def beat(self) -> None:
        """Send a heartbeat now, because something has changed."""
        self._beat_now.set()
        self._wake()

    def close(self, goodbye: bool = True) -> None:
        """Say goodbye (when connected) and end the thread, within a few seconds. Harmless when repeated."""
        if self._thread.is_alive():
            if goodbye and self.connected:
                with contextlib.suppress(LavaExecError):
                    self.call(messages.Goodbye(), messages.Done, Deadline.after(GOODBYE_SECONDS))
            self._stop.set()
            self._wake()
            self._thread.join(timeout=10)
        self._stop.set()
        self._give_up()
        self._wake_in.close()
        self._wake_out.close()
        self._context.destroy(linger=0)

    # -- the link's thread

    def _run(self) -> None:
        self._connector.hold(True)
        try:
            while not self._stop.is_set():
                self._turn()
        except LavaExecError as error:
            self._tell(Disconnected(error))
        except Exception as error:  # the agent must learn that its link is dead
            log.exception("the link to the master died")
            self._tell(Disconnected(Bug(f"the link to the master died: {error}")))
        finally:
            self._welcomed.clear()
            self._connector.close()
            self._give_up()

    def _turn(self) -> None:
        now = time.monotonic()
        wait = max(0.0, min(self._next_beat - now, 1.0))
        for event in self._connector.step(wait, self._wake_out.fileno()):
            self._on_event(event)
        with contextlib.suppress(BlockingIOError):
            self._wake_out.recv(4096)
        self._take_outbox()
        now = time.monotonic()
        if self.connected and not self._beat_id and (self._beat_now.is_set() or now >= self._next_beat):
            self._send_heartbeat(now)
        elif self._asked_at and now - self._asked_at > 3 * self._interval + HUNG_SECONDS:
            log.warning("the master does not answer; connecting again")
            self._lost(InfrastructureError("the master is connected but does not answer"), "hung")
            self._connector.drop()

    def _take_outbox(self) -> None:
        for id in [id for id, future in self._calls.items() if future.cancelled()]:
            self._calls.pop(id)
            self._connector.forget(id)
        while True:
            try:
                body, future = self._outbox.get_nowait()
            except queue.Empty:
                return
            if future.cancelled():
                continue
            try:
                self._calls[self._connector.request(body)] = future
            except messages.WireError as error:
                _settle(future, messages.Failure(error.code, error.message, error.hint, "Job"))

    def _on_event(self, event: Event) -> None:
        if isinstance(event, Up):
            self._asked_at = time.monotonic()
            self._hello_id = self._connector.request(self._hello(), first=True)
        elif isinstance(event, Down):
            self._lost(event.error, event.reason)
        elif isinstance(event, Pushed):
            self._on_push(event.body)
        elif event.id == self._hello_id:
            self._on_welcome(event)
        elif event.id == self._beat_id:
            self._on_orders(event)
        elif (future := self._calls.pop(event.id, None)) is not None:
            _settle(future, event.body)

    def _on_welcome(self, answer: Answer) -> None:
        self._asked_at, self._hello_id = 0.0, 0
        if isinstance(answer.body, messages.Failure):
            self._lost(failure_error(answer.body), answer.body.code)
            self._connector.drop()
        elif isinstance(answer.body, messages.Welcome):
            self._interval = min(max(answer.body.heartbeat, 0.05), 60.0)
            self._last_reason = ""
            self._connector.hold(False)
            self._welcomed.set()
            self._tell(Connected(answer.body))
            self._send_heartbeat(time.monotonic())

    def _send_heartbeat(self, now: float) -> None:
        self._beat_now.clear()
        body = msgspec.structs.replace(self._heartbeat(), time=time.time(), clock_offset=self.clock_offset)
        self._asked_at, self._next_beat = now, now + self._interval
        self._beat_id = self._connector.request(body, first=True)

    def _on_orders(self, answer: Answer) -> None:
        now, asked = time.monotonic(), self._asked_at
        self._asked_at, self._beat_id = 0.0, 0
        if isinstance(answer.body, messages.Orders):
            travelled = now - asked
            self.clock_offset = (time.time() - travelled / 2) - answer.body.time
            self._tell(answer.body)
        elif isinstance(answer.body, messages.Failure):
            log.warning("the master refused a heartbeat: %s", answer.body.message)
            self._connector.drop()
            self._lost(failure_error(answer.body), answer.body.code)

    def _on_push(self, body: messages.Push) -> None:
        if isinstance(body, messages.HelloAgain):
            self._asked_at = time.monotonic()
            self._hello_id = self._connector.request(self._hello(), first=True)
        else:
            self._tell(body)

    def _lost(self, error: LavaExecError, reason: str) -> None:
        self._connector.hold(True)
        for id in (self._hello_id, self._beat_id):
            self._connector.forget(id)
        self._hello_id = self._beat_id = 0
        self._asked_at, self._next_beat = 0.0, float("inf")
        if self.connected or reason != self._last_reason:
            self._tell(Disconnected(error))
        self._last_reason = reason
        self._welcomed.clear()

    def _tell(self, event: LinkEvent) -> None:
        try:
            self.events.put_nowait(event)
        except queue.Full:
            log.warning("nobody takes the events of the link; one is dropped: %s", type(event).__name__)

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError, OSError):
            self._wake_in.send(b"x")

    def _give_up(self) -> None:
        for future in self._calls.values():
            future.cancel()
        self._calls.clear()
        with contextlib.suppress(queue.Empty):
            while True:
                self._outbox.get_nowait()[1].cancel()


def _settle(future: Future[messages.Reply], reply: messages.Reply) -> None:
    with contextlib.suppress(InvalidStateError):  # the caller has just given up
        future.set_result(reply)
