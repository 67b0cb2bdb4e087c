# SPDX-License-Identifier: Apache-2.0
"""One side of a connection to a master that comes back by itself and says why when it does not.

libzmq would reconnect silently and for ever; here each attempt is a socket of its own, watched through its
monitor, so that a refused key, a wrong master and an absent master are told apart within seconds. Requests
without an answer are sent again on the next connection. Used by one thread only.
"""

from __future__ import annotations

import secrets
import struct
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import zmq

from executor.errors import ConfigurationError, InfrastructureError, LavaExecError
from executor.wire import messages
from executor.wire.keys import Credentials, to_z85

HANDSHAKE_SECONDS = 3.0  # from the first packet to an encrypted connection
REPEAT_SECONDS = 20.0  # an unanswered request is sent again on the same connection after this
PEER_CHECK_MS = 5_000  # ZMTP ping; a dead peer is noticed after PEER_LOST_MS
PEER_LOST_MS = 15_000

_EVENTS = (
    zmq.EVENT_CLOSED
    | zmq.EVENT_CONNECT_RETRIED
    | zmq.EVENT_CONNECTED
    | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_SUCCEEDED
)

# How the first frame of a monitor begins (zmq_socket_monitor(3)). pyzmq has a reader for it that imports
# asyncio, a third of what a client needs to start.
_EVENT = struct.Struct("=H")


@dataclass(frozen=True)
class Up:
    """The connection stands, both ends have proven their keys."""


@dataclass(frozen=True)
class Down:
    """The connection is gone or never came. `reason`: nobody, silent, unknown-key, wrong-master, closed."""

    reason: str
    error: LavaExecError


@dataclass(frozen=True)
class Answer:
    """The reply to request `id`."""

    id: int
    body: messages.Reply


@dataclass(frozen=True)
class Pushed:
    """Something that the master says on its own."""

    body: messages.Push


Event = Up | Down | Answer | Pushed


@dataclass
class _Waiting:
    frame: bytes
    patience: float  # seconds after which it is sent again
    first: bool  # sent even while the others are held
    sent: float = 0.0


class Connector:
    """Connection, requests under way and backoff. `step` does all the work and never blocks longer than
    asked.
    """

    def __init__(
        self,
        address: str,
        credentials: Credentials,
        *,
        context: zmq.Context[zmq.Socket[bytes]],
        backoff: tuple[float, float] = (0.05, 1.0),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.address = address
        self.session = secrets.token_hex(8)
        self.up = False
        self._credentials = credentials
        self._context = context
        self._clock = clock
        self._shortest, self._longest = backoff
        self._pause = self._shortest
        self._retry_at = 0.0
        self._socket: zmq.Socket[bytes] | None = None
        self._monitor: zmq.Socket[bytes] | None = None
        self._opened = 0.0
        self._connected = False
        self._next_id = 0
        self._waiting: dict[int, _Waiting] = {}
        self._unsent: deque[int] = deque()
        self._hold = False

    # -- requests

    def request(self, body: messages.Body, *, first: bool = False) -> int:
        """Queue a request and return its id; the answer comes from `step`. `first` overtakes what waits.

        Raises WireError(too-large).
        """
        self._next_id += 1
        frame = messages.encode(body, self._next_id, self.session)
        wait = float(getattr(body, "wait_seconds", 0.0))
        self._waiting[self._next_id] = _Waiting(frame, REPEAT_SECONDS + wait, first)
        if first:
            self._unsent.appendleft(self._next_id)
        else:
            self._unsent.append(self._next_id)
        return self._next_id

    def forget(self, id: int) -> None:
        """Nobody waits for this answer any more."""
        self._waiting.pop(id, None)

    def hold(self, held: bool) -> None:
        """While held, only requests queued with `first` are sent (a hello must come before all else)."""
        self._hold = held

    @property
    def outstanding(self) -> int:
        return len(self._waiting)

    # -- the work

    def step(self, seconds: float, extra: int | None = None) -> list[Event]:
        """Wait at most `seconds` for something to happen, or until file descriptor `extra` is readable."""
        now = self._clock()
        if self._socket is None and now >= self._retry_at:
            self._open(now)
        poller = zmq.Poller()
        if extra is not None:
            poller.register(extra, zmq.POLLIN)
        if self._socket is not None and self._monitor is not None:
            if self.up:
                self._flush(now)
            blocked = self.up and self._sendable()  # libzmq's queue is full
            poller.register(self._socket, zmq.POLLIN | zmq.POLLOUT if blocked else zmq.POLLIN)
            poller.register(self._monitor, zmq.POLLIN)
        poller.poll(max(0, int(min(seconds, self._next_timer(now) - now) * 1000 + 0.999)))
        events: list[Event] = []
        self._read_socket(events)
        self._read_monitor(events)
        if self._socket is not None and not self.up and self._clock() - self._opened > HANDSHAKE_SECONDS:
            self._fail(events, "silent" if self._connected else "nobody")
        if self.up:
            self._flush(self._clock())
        return events

    def drop(self) -> None:
        """Give this connection up and make a new one; for a peer that is connected but does not answer."""
        self._close()
        self._retry_at = self._clock() + self._pause

    def close(self) -> None:
        """End. Requests under way are given up."""
        self._waiting.clear()
        self._unsent.clear()
        self._close()
        self._retry_at = float("inf")

    def _open(self, now: float) -> None:
        socket = self._context.socket(zmq.DEALER)
        socket.linger = 0
        socket.curve_serverkey = to_z85(self._credentials.master)
        socket.curve_publickey = self._credentials.pair.public_z85
        socket.curve_secretkey = self._credentials.pair.secret_z85
        socket.setsockopt(zmq.MAXMSGSIZE, messages.MAX_MESSAGE)
        socket.setsockopt(zmq.RECONNECT_IVL, -1)
        socket.setsockopt(zmq.CONNECT_TIMEOUT, int(HANDSHAKE_SECONDS * 1000))
        socket.setsockopt(zmq.HANDSHAKE_IVL, int(HANDSHAKE_SECONDS * 1000) + 2_000)  # ours is sooner
        socket.setsockopt(zmq.HEARTBEAT_IVL, PEER_CHECK_MS)
        socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, PEER_LOST_MS)
        socket.setsockopt(zmq.SNDHWM, 64)
        socket.setsockopt(zmq.RCVHWM, 64)
        socket.setsockopt(zmq.IPV6, 1)
        self._monitor = socket.get_monitor_socket(_EVENTS)
        self._socket = socket
        self._opened = now
        self._connected = self.up = False
        try:
            socket.connect(self.address)
        except zmq.ZMQError as error:
            self.close()
            hint = "An address looks like tcp://HOST:5560."
            raise ConfigurationError(f"{self.address!r} is not an address: {error}", hint) from None

    def _close(self) -> None:
        self.up = False
        if self._socket is not None:
            self._socket.disable_monitor()
            self._socket.close(0)
        if self._monitor is not None and not self._monitor.closed:
            self._monitor.close(0)
        self._socket = self._monitor = None

    def _next_timer(self, now: float) -> float:
        if self._socket is None:
            return self._retry_at
        if not self.up:
            return self._opened + HANDSHAKE_SECONDS + 0.01
        return min((w.sent + w.patience for w in self._waiting.values()), default=now + REPEAT_SECONDS)

    def _sendable(self) -> bool:
        if self._hold:
            return any(w.first for w in map(self._waiting.get, self._unsent) if w is not None)
        return bool(self._unsent)

    def _flush(self, now: float) -> None:
        if self._socket is None:
            return
        if not self._hold and len(self._unsent) < len(self._waiting):
            queued = set(self._unsent)
            late = [id for id, w in self._waiting.items() if now >= w.sent + w.patience and id not in queued]
            self._unsent.extend(late)
        held: deque[int] = deque()
        while self._unsent:
            waiting = self._waiting.get(self._unsent[0])
            if waiting is not None and self._hold and not waiting.first:
                held.append(self._unsent[0])
            elif waiting is not None:
                try:
                    self._socket.send(waiting.frame, zmq.NOBLOCK, copy=len(waiting.frame) < 64 << 10)
                except zmq.Again:
                    break
                waiting.sent = now
            self._unsent.popleft()
        held.extend(self._unsent)
        self._unsent = held

    def _read_socket(self, events: list[Event]) -> None:
        for _ in range(256):
            if self._socket is None:
                return
            try:
                frame = self._socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                return
            try:
                id, session, body = messages.decode_answer(frame)
            except messages.WireError as error:
                if error.session == self.session and error.id in self._waiting:
                    self._waiting.pop(error.id)
                    events.append(Answer(error.id, messages.Failure(error.code, error.message, error.hint)))
                continue
            if isinstance(body, messages.Push):
                events.append(Pushed(body))
            elif session == self.session and self._waiting.pop(id, None) is not None:
                events.append(Answer(id, body))

    def _read_monitor(self, events: list[Event]) -> None:
        while self._monitor is not None:
            try:
                message = self._monitor.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            (event,) = _EVENT.unpack_from(message[0])
            if event == zmq.EVENT_CONNECTED:
                self._connected = True
            elif event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self.up = True
                self._pause = self._shortest
                self._unsent = deque(self._waiting)
                events.append(Up())
            elif event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
                self._fail(events, "unknown-key")
            elif event in (zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL, zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL):
                self._fail(events, "wrong-master")
            elif event in (zmq.EVENT_CLOSED, zmq.EVENT_CONNECT_RETRIED) and not self._connected:
                self._fail(events, "nobody")
            elif event == zmq.EVENT_DISCONNECTED:
                self._fail(events, "closed" if self.up else "silent")

    def _fail(self, events: list[Event], reason: str) -> None:
        events.append(Down(reason, self._error(reason)))
        self._close()
        self._retry_at = self._clock() + self._pause
        self._pause = min(self._pause * 2, self._longest)

    def _error(self, reason: str) -> LavaExecError:
        where = self.address
        if reason == "unknown-key":
            public, role = self._credentials.pair.public, self._credentials.role
            return ConfigurationError(
                f"the master at {where} does not know this {role}'s key",
                f"An admin runs on the master's host: lava-exec keys add {role} NAME {public}",
            )
        if reason == "wrong-master":
            return ConfigurationError(
                f"what answers at {where} is not the master whose public key is trusted here",
                f"Trusted is {self._credentials.master}. `lava-exec keys show` on the master's host prints "
                "its key; `lava-exec keys trust KEY` stores it here.",
            )
        if reason == "nobody":
            return InfrastructureError(
                f"no master listens at {where}", "Start one with `lava-exec serve`, or check the address."
            )
        if reason == "silent":
            return InfrastructureError(
                f"what listens at {where} does not answer as a master", "Check the address and the port."
            )
        return InfrastructureError(f"the master at {where} closed the connection", "It may be restarting.")
