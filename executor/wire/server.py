# SPDX-License-Identifier: Apache-2.0
"""The master's socket: proves who sends, refuses what the sender may not ask, and remembers replies of acting
requests.

One ROUTER socket with CURVE and the ZAP handler that libzmq asks about each key. Everything runs in the
caller's thread; nothing that a peer sends can raise here.
"""

from __future__ import annotations

import logging
import re
from collections import OrderedDict
from dataclasses import dataclass

import zmq

from executor.errors import ConfigurationError, InfrastructureError
from executor.wire import messages
from executor.wire.connector import PEER_CHECK_MS, PEER_LOST_MS
from executor.wire.keys import Identity, KeyPair, Keyring

log = logging.getLogger(__name__)

SEND_LIMIT = 256  # replies queued for one connection; further ones are dropped and asked for again
RECEIVE_LIMIT = 16  # frames of one connection that libzmq holds before TCP slows the sender
REMEMBERED = 128  # replies kept for one key
_V4_IN_V6 = re.compile(r"\[::ffff:([0-9.]+)\]")
_ZAP_ADDRESS = "inproc://zeromq.zap.01"


@dataclass(frozen=True)
class Ticket:
    """Where a reply goes: connection, session and id of the request, and who asked."""

    route: bytes
    session: str
    id: int
    identity: Identity

    @property
    def key(self) -> tuple[str, int]:
        """Names the request, whatever connection it comes over."""
        return (self.session, self.id)


@dataclass(frozen=True)
class Incoming:
    """A request that its sender may make."""

    ticket: Ticket
    body: messages.Request
    size: int


class Server:
    """Bind, `receive`, `reply`, `push`, `close`. `sockets` are for the caller's poller."""

    def __init__(
        self, bind: str, pair: KeyPair, keyring: Keyring, context: zmq.Context[zmq.Socket[bytes]]
    ) -> None:
        self._keyring = keyring
        self._replies: dict[str, OrderedDict[tuple[str, int], Ticket | bytes]] = {}
        self._zap = context.socket(zmq.ROUTER)
        self._zap.linger = 0
        self._zap.bind(_ZAP_ADDRESS)
        self._router = context.socket(zmq.ROUTER)
        self._router.linger = 0
        self._router.curve_server = True
        self._router.curve_secretkey = pair.secret_z85
        self._router.zap_domain = b"lava-exec"
        self._router.setsockopt(zmq.MAXMSGSIZE, messages.MAX_MESSAGE)
        self._router.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self._router.setsockopt(zmq.SNDHWM, SEND_LIMIT)
        self._router.setsockopt(zmq.RCVHWM, RECEIVE_LIMIT)
        self._router.setsockopt(zmq.HEARTBEAT_IVL, PEER_CHECK_MS)
        self._router.setsockopt(zmq.HEARTBEAT_TIMEOUT, PEER_LOST_MS)
        self._router.setsockopt(zmq.HANDSHAKE_IVL, 5_000)
        self._router.setsockopt(zmq.BACKLOG, 1024)
        self._router.setsockopt(zmq.IPV6, 1)
        try:
            self._router.bind(bind)
        except zmq.ZMQError as error:
            self.close()
            if error.errno == zmq.EADDRINUSE:
                raise InfrastructureError(
                    f"something listens at {bind} already", "Is another master running? `ss -ltnp` shows it."
                ) from None
            raise ConfigurationError(
                f"cannot listen at {bind}: {error}", "An address looks like tcp://127.0.0.1:5560."
            ) from None
        self.address = _V4_IN_V6.sub(r"\1", self._router.get_string(zmq.LAST_ENDPOINT))

    @property
    def sockets(self) -> tuple[zmq.Socket[bytes], zmq.Socket[bytes]]:
        """Poll these for input, then call `receive`."""
        return (self._zap, self._router)

    def receive(self, limit: int = 64) -> list[Incoming]:
        """At most `limit` requests that have arrived and are allowed; all others have been answered here."""
        self._answer_zap()
        found: list[Incoming] = []
        for _ in range(limit):
            try:
                frames = self._router.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                break
            incoming = self._open(frames)
            if incoming is not None:
                found.append(incoming)
        return found

    def reply(self, ticket: Ticket, body: messages.Body) -> bool:
        """Send a reply; remembered when the request was an acting one. False when it could not be queued."""
        try:
            frame = messages.encode(body, ticket.id, ticket.session)
        except messages.WireError as error:
            frame = messages.encode(messages.Failure("too-large", error.message), ticket.id, ticket.session)
        memory = self._replies.get(ticket.identity.public)
        if memory is not None and ticket.key in memory:
            newest = memory[ticket.key]
            memory[ticket.key] = frame
            if isinstance(newest, Ticket):
                ticket = newest  # it was asked again meanwhile, over a newer connection
        return self._send(ticket.route, frame)

    def push(self, route: bytes, body: messages.Push) -> bool:
        """Say something unasked to a connection; False when it is gone or its queue is full."""
        return self._send(route, messages.encode(body, 0))

    def close(self) -> None:
        """Close both sockets."""
        self._zap.close(0)
        self._router.close(0)

    # -- within

    def _answer_zap(self) -> None:
        """libzmq asks whether a key may connect (RFC 27); the user id it is told comes with each message."""
        while True:
            try:
                frames = self._zap.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            if len(frames) < 9:
                continue
            route, _, _, request, _, address, _, mechanism, key = frames[:9]
            self._keyring.refresh()
            public = key.hex() if mechanism == b"CURVE" and len(key) == 32 else ""
            identity = self._keyring.find(public)
            if identity is None:
                where = address.decode("ascii", "replace")
                log.warning("refused a connection from %s: key %s is not authorised", where, public)
                verdict = (b"400", b"unknown key", b"")
            else:
                verdict = (b"200", b"OK", public.encode("ascii"))
            self._zap.send_multipart([route, b"", b"1.0", request, *verdict, b""])

    def _open(self, frames: list[zmq.Frame]) -> Incoming | None:
        route = frames[0].bytes
        identity = self._who(frames[-1])
        try:
            if len(frames) != 2:
                raise messages.WireError("malformed", f"a message has one part, this has {len(frames) - 1}")
            envelope = messages.open_envelope(frames[1].buffer)
            if identity is None:
                text, hint = "you are no longer known here", "Your key has been removed from the master."
                raise messages.WireError("not-allowed", text, envelope.id, envelope.session, hint)
            ticket = Ticket(route, envelope.session, envelope.id, identity)
            if self._repeated(ticket):
                return None
            body = messages.decode_request(envelope)
        except messages.WireError as error:
            who = f"{identity.role} {identity.name}" if identity is not None else "a removed key"
            log.warning("from %s: %s", who, error.message)
            kind = "Configuration" if error.code == "not-allowed" else "Bug"
            failure = messages.Failure(error.code, error.message, error.hint, kind)
            self._refuse(route, error.id, error.session, failure)
            return None
        if type(body) not in messages.ALLOWED[identity.role]:
            what = type(body).__name__
            failure = messages.Failure(
                "not-allowed",
                f"{what} is not allowed to {identity.name!r}, whose role is {identity.role}",
                "An admin can authorise the key in another role: `lava-exec keys add ROLE NAME KEY`.",
                "Configuration",
            )
            self._refuse(route, ticket.id, ticket.session, failure)
            return None
        if isinstance(body, messages.ACTING):
            self._remember(ticket)
        return Incoming(ticket, body, len(frames[1]))

    def _who(self, frame: zmq.Frame) -> Identity | None:
        try:
            public = frame.get("User-Id")
        except zmq.ZMQError:
            return None
        return self._keyring.find(str(public))

    def _repeated(self, ticket: Ticket) -> bool:
        """An acting request that came before: its reply goes out again, or goes to this connection when it is
        made.
        """
        memory = self._replies.get(ticket.identity.public)
        if memory is None or ticket.key not in memory:
            return False
        known = memory[ticket.key]
        if isinstance(known, Ticket):
            memory[ticket.key] = ticket
        else:
            self._send(ticket.route, known)
        return True

    def _remember(self, ticket: Ticket) -> None:
        memory = self._replies.setdefault(ticket.identity.public, OrderedDict())
        memory[ticket.key] = ticket
        while len(memory) > REMEMBERED:
            memory.popitem(last=False)

    def _refuse(self, route: bytes, id: int, session: str, failure: messages.Failure) -> None:
        self._send(route, messages.encode(failure, id, session))

    def _send(self, route: bytes, frame: bytes) -> bool:
        try:
            self._router.send(route, zmq.SNDMORE | zmq.NOBLOCK)
            self._router.send(frame, zmq.NOBLOCK, copy=len(frame) < 64 << 10)
        except zmq.ZMQError as error:
            if error.errno not in (zmq.EHOSTUNREACH, zmq.EAGAIN):
                log.warning("cannot send: %s", error)
            return False
        return True
