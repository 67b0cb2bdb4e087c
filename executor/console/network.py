# SPDX-License-Identifier: Apache-2.0
"""Consoles behind a terminal server: TCP as it is, or with the little of telnet that terminal servers use."""

from __future__ import annotations

import os
import socket
from contextlib import suppress

from executor.console.ports import FdPort
from executor.errors import InfrastructureError
from executor.model.deadline import Deadline

_IAC, _DONT, _DO, _WONT, _WILL, _SB, _SE = 255, 254, 253, 252, 251, 250, 240
_BINARY, _ECHO, _SGA = 0, 1, 3
_THEIRS = frozenset({_BINARY, _ECHO, _SGA})  # options that the other side may use
_OURS = frozenset({_BINARY, _SGA})  # options that we use when asked


class TcpPort(FdPort):
    """A TCP connection. Raises InfrastructureError when it cannot be made by the deadline."""

    def __init__(self, host: str, port: int, deadline: Deadline) -> None:
        try:
            self._socket = socket.create_connection((host, port), timeout=min(deadline.remaining, 3600.0))
        except OSError as error:
            raise InfrastructureError(
                f"cannot connect to {host}:{port}: {error.strerror or error}",
                "is the terminal server up, and the port the one of the device file?",
            ) from error
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._open = True
        super().__init__(self._socket.fileno(), f"{host}:{port}")

    @property
    def alive(self) -> bool:
        return self._open

    def describe_end(self) -> str:
        self._open = False
        return f"{self.name} closed the connection"

    def close(self, deadline: Deadline) -> None:
        self._open = False
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._interrupt()

    def _close_fd(self) -> None:
        self._socket.close()


class TelnetPort(TcpPort):
    """Telnet: accepts binary, echo and suppress-go-ahead, refuses all else, doubles the escape byte."""

    def __init__(self, host: str, port: int, deadline: Deadline) -> None:
        self._rest = b""  # a command that is not complete yet
        self._agreed: set[tuple[int, int]] = set()
        super().__init__(host, port, deadline)

    def _encode(self, data: bytes) -> bytes:
        return data.replace(b"\xff", b"\xff\xff")

    def _decode(self, data: bytes) -> bytes:
        data = self._rest + data
        self._rest = b""
        if _IAC not in data and b"\r\0" not in data:
            return data
        plain = bytearray()
        at = 0
        while at < len(data):
            escape = data.find(_IAC, at)
            if escape < 0:
                plain += data[at:]
                break
            plain += data[at:escape]
            end = self._command(data, escape, plain)
            if end < 0:
                self._rest = data[escape : escape + 4096]
                break
            at = end
        return bytes(plain).replace(b"\r\0", b"\r")

    def _command(self, data: bytes, at: int, plain: bytearray) -> int:
        """Act on the command at `at`; the index after it, or -1 when it is not complete."""
        if at + 1 >= len(data):
            return -1
        verb = data[at + 1]
        if verb == _IAC:
            plain.append(_IAC)
            return at + 2
        if verb == _SB:
            end = data.find(bytes((_IAC, _SE)), at)
            return -1 if end < 0 and len(data) - at < 4096 else (end + 2 if end >= 0 else len(data))
        if verb < _WILL:
            return at + 2
        if at + 2 >= len(data):
            return -1
        self._negotiate(verb, data[at + 2])
        return at + 3

    def _negotiate(self, verb: int, option: int) -> None:
        if verb in (_WONT, _DONT):
            return  # our answer to what we never insisted on would be the same
        answer = _DO if verb == _WILL else _WILL
        if option not in (_THEIRS if verb == _WILL else _OURS):
            answer = _DONT if verb == _WILL else _WONT
        elif (verb, option) in self._agreed:
            return  # never confirm twice: that is how loops begin
        self._agreed.add((verb, option))
        with suppress(OSError):  # the reader meets the end of the connection by itself
            os.write(self._fd, bytes((_IAC, answer, option)))
