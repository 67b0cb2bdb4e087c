# SPDX-License-Identifier: Apache-2.0
"""The program that joins a terminal to a WebSocket, with a server that speaks the other half."""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Iterator

import pytest

from executor.actions.avh.websocket import VARIABLE, WebSocket, join, main

ANSWER = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"


class Server:
    """Answers one connection with `answer`; `request` is what it was asked."""

    def __init__(self, answer: bytes) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(10)
        self.url = f"ws://127.0.0.1:{self._listener.getsockname()[1]}/console?key=k"
        self.request = b""
        self.peer: socket.socket | None = None
        self._thread = threading.Thread(target=self._accept, args=(answer,))
        self._thread.start()

    def _accept(self, answer: bytes) -> None:
        self.peer, _ = self._listener.accept()
        self.peer.settimeout(10)
        while b"\r\n\r\n" not in self.request:
            self.request += self.peer.recv(4096)
        self.peer.sendall(answer)

    def connected(self) -> socket.socket:
        self._thread.join()
        assert self.peer is not None
        return self.peer

    def close(self) -> None:
        self._thread.join()
        self._listener.close()
        if self.peer is not None:
            self.peer.close()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server(ANSWER)
    yield made
    made.close()


def frame(data: bytes, kind: int = 2) -> bytes:
    head = struct.pack("!BB", 0x80 | kind, len(data)) if len(data) < 126 else b""
    if 126 <= len(data) < 1 << 16:
        head = struct.pack("!BBH", 0x80 | kind, 126, len(data))
    return (head or struct.pack("!BBQ", 0x80 | kind, 127, len(data))) + data


def unmasked(peer: socket.socket) -> tuple[int, bytes]:
    kind, size = struct.unpack("!BB", peer.recv(2, socket.MSG_WAITALL))
    size &= 0x7F
    if size >= 126:
        form = "!H" if size == 126 else "!Q"
        (size,) = struct.unpack(form, peer.recv(struct.calcsize(form), socket.MSG_WAITALL))
    mask, data = peer.recv(4, socket.MSG_WAITALL), peer.recv(size, socket.MSG_WAITALL)
    return kind & 0x0F, bytes(byte ^ mask[n % 4] for n, byte in enumerate(data))


def receive(web: WebSocket, wanted: int) -> bytes:
    found = b""
    while len(found) < wanted:
        data = web.receive()
        assert data is not None
        found += data
    return found


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
def test_frames_of_every_length_go_both_ways(server: Server, size: int) -> None:
    web, peer, data = WebSocket(server.url), server.connected(), b"x" * size
    assert b"GET /console?key=k HTTP/1.1" in server.request
    sender = threading.Thread(target=peer.sendall, args=(frame(data) + frame(b"!", 1),))
    sender.start()
    assert receive(web, size + 1) == data + b"!"
    sender.join()
    writer = threading.Thread(target=web.send, args=(data,))
    writer.start()
    assert unmasked(peer) == (2, data)
    writer.join()
    web.socket.close()


def test_a_ping_is_answered_and_a_close_is_the_end(server: Server) -> None:
    web, peer = WebSocket(server.url), server.connected()
    peer.sendall(frame(b"now", 9)[:3])
    assert web.receive() == b""
    peer.sendall(frame(b"now", 9)[3:])
    assert web.receive() == b""
    assert unmasked(peer) == (10, b"now")
    peer.sendall(frame(b"bye") + frame(b"", 8))
    assert web.receive() == b"bye"
    peer.close()
    assert web.receive() is None
    web.socket.close()


def test_both_sides_are_joined_until_one_ends(server: Server) -> None:
    web, peer = WebSocket(server.url), server.connected()
    (source, typed), (shown, target) = os.pipe(), os.pipe()
    joined = threading.Thread(target=join, args=(web, source, target))
    joined.start()
    os.write(typed, b"root\n")
    assert unmasked(peer) == (2, b"root\n")
    peer.sendall(frame(b"login: "))
    assert os.read(shown, 100) == b"login: "
    os.close(typed)
    joined.join(10)
    assert not joined.is_alive()
    web.socket.close()
    for descriptor in (source, shown, target):
        os.close(descriptor)


def test_a_refusal_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    refusing = Server(b"HTTP/1.1 403 Forbidden\r\n\r\n")
    monkeypatch.setenv(VARIABLE, refusing.url)
    assert main() == 1
    said = capsys.readouterr().err
    assert "the server says 'HTTP/1.1 403 Forbidden'" in said
    assert "key=k" not in said
    assert VARIABLE not in os.environ
    refusing.close()
