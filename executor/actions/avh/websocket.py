# SPDX-License-Identifier: Apache-2.0
"""A program that joins its terminal to a WebSocket: `python -m executor.actions.avh.websocket`.

The URL comes in the environment, as it holds a key. It runs on a terminal of its own, as every console does,
so that reading, recording and ending it is the console's affair. Only what a console needs: binary and text
frames, ping, close (RFC 6455).
"""

from __future__ import annotations

import base64
import os
import select
import socket
import ssl
import struct
import sys
import tty
from urllib.parse import urlsplit

VARIABLE = "LAVA_EXEC_CONSOLE_URL"
_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0, 1, 2, 8, 9, 10
_CONNECT_SECONDS = 30.0
_HEADER_MAX = 16 << 10


class WebSocket:
    """A connection that was upgraded."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        secure = parts.scheme == "wss"
        host = parts.hostname or ""
        port = parts.port or (443 if secure else 80)
        self.socket = socket.create_connection((host, port), timeout=_CONNECT_SECONDS)
        if secure:
            self.socket = ssl.create_default_context().wrap_socket(self.socket, server_hostname=host)
        self._buffer = b""
        try:
            self._upgrade(f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}", f"{host}:{port}")
        except BaseException:
            self.socket.close()
            raise

    def _upgrade(self, path: str, host: str) -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [
            f"GET {path} HTTP/1.1",
            f"Host: {host}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}",
            "Sec-WebSocket-Version: 13",
        ]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())
        while b"\r\n\r\n" not in self._buffer:
            piece = self.socket.recv(4096)
            if not piece or len(self._buffer) > _HEADER_MAX:
                raise ConnectionError("the server closed the connection before it answered")
            self._buffer += piece
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        status = head.split(b"\r\n", 1)[0].decode("latin-1")
        if " 101 " not in f"{status} ":
            raise ConnectionError(f"the server says {status!r}")

    def send(self, data: bytes, kind: int = _BINARY) -> None:
        """One masked frame."""
        size = len(data)
        if size < 126:
            head = struct.pack("!BB", 0x80 | kind, 0x80 | size)
        elif size < 1 << 16:
            head = struct.pack("!BBH", 0x80 | kind, 0x80 | 126, size)
        else:
            head = struct.pack("!BBQ", 0x80 | kind, 0x80 | 127, size)
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[place % 4] for place, byte in enumerate(data))
        self.socket.sendall(head + mask + masked)

    def receive(self) -> bytes | None:
        """What has come, perhaps nothing; None at the end."""
        piece = self.socket.recv(65536)
        if not piece:
            return None
        self._buffer += piece
        out = b""
        while (frame := self._frame()) is not None:
            kind, data = frame
            if kind == _CLOSE:
                return out or None
            if kind == _PING:
                self.send(data, _PONG)
            elif kind in (_CONTINUATION, _TEXT, _BINARY):
                out += data
        return out

    def _frame(self) -> tuple[int, bytes] | None:
        """The next whole frame of the buffer; servers do not mask theirs."""
        if len(self._buffer) < 2:
            return None
        kind, size, start = self._buffer[0] & 0x0F, self._buffer[1] & 0x7F, 2
        if size >= 126:
            form = "!H" if size == 126 else "!Q"
            start += struct.calcsize(form)
            if len(self._buffer) < start:
                return None
            (size,) = struct.unpack_from(form, self._buffer, 2)
        if len(self._buffer) < start + size:
            return None
        data, self._buffer = self._buffer[start : start + size], self._buffer[start + size :]
        return kind, data


def join(web: WebSocket, source: int, target: int) -> None:
    """Carry bytes both ways until one side ends."""
    stream = web.socket.fileno()
    while True:
        pending = isinstance(web.socket, ssl.SSLSocket) and web.socket.pending() > 0
        ready = [stream] if pending else select.select([stream, source], [], [])[0]
        if stream in ready:
            data = web.receive()
            if data is None:
                return
            while data:
                data = data[os.write(target, data) :]
        if source in ready:
            typed = os.read(source, 4096)
            if not typed:
                return
            web.send(typed)


def main() -> int:
    url = os.environ.pop(VARIABLE, "")
    if os.isatty(0):
        tty.setraw(0)
    try:
        web = WebSocket(url)
        with web.socket:
            web.socket.settimeout(None)
            join(web, 0, 1)
    except OSError as problem:
        print(f"the console cannot be reached: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
