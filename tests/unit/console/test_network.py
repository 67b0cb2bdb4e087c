# SPDX-License-Identifier: Apache-2.0
"""Consoles over TCP and telnet, against a server in the same process."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from executor.console.network import TcpPort, TelnetPort
from executor.console.reader import Console
from executor.errors import ConnectionClosed, InfrastructureError
from executor.model.deadline import Deadline
from executor.testing.console import MemorySink

IAC, DONT, DO, WONT, WILL, SB, SE = b"\xff", b"\xfe", b"\xfd", b"\xfc", b"\xfb", b"\xfa", b"\xf0"


def soon() -> Deadline:
    return Deadline.after(20)


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(20)
        yield listening


def opened(server: socket.socket, kind: type[TcpPort]) -> tuple[Console, socket.socket, MemorySink]:
    port = kind("127.0.0.1", server.getsockname()[1], soon())
    board, _ = server.accept()
    board.settimeout(20)
    sink = MemorySink()
    console = Console(port, sink, name="ser1")
    console.start()
    return console, board, sink


def receive(board: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = board.recv(size - len(data))
        assert more, f"only {data!r} came"
        data += more
    return data


def test_a_raw_connection_carries_every_byte(server: socket.socket) -> None:
    console, board, sink = opened(server, TcpPort)
    with board:
        board.sendall(b"login: ")
        console.expect("login: ", soon())
        console.send_line("root")
        assert receive(board, 5) == b"root\n"
    with pytest.raises(ConnectionClosed, match=r"ser1: 127.0.0.1:\d+ closed the connection"):
        console.expect("never", soon())
    assert not console.alive
    console.close(soon())


def test_closing_our_side_ends_the_connection(server: socket.socket) -> None:
    console, board, _ = opened(server, TcpPort)
    assert console.alive
    console.close(soon())
    with board:
        assert board.recv(1) == b""


def test_nobody_there(server: socket.socket) -> None:
    port = server.getsockname()[1]
    server.close()
    with pytest.raises(InfrastructureError, match="cannot connect"):
        TcpPort("127.0.0.1", port, soon())


def test_telnet_agrees_to_what_terminal_servers_want_and_refuses_the_rest(server: socket.socket) -> None:
    console, board, sink = opened(server, TelnetPort)
    with board:
        board.sendall(IAC + WILL + b"\x01" + IAC + WILL + b"\x03" + IAC + DO + b"\x00" + IAC + DO + b"\x18")
        want = IAC + DO + b"\x01" + IAC + DO + b"\x03" + IAC + WILL + b"\x00" + IAC + WONT + b"\x18"
        assert receive(board, len(want)) == want
        board.sendall(
            IAC + WILL + b"\x01" + IAC + WILL + b"\x22" + IAC + DONT + b"\x05"
        )  # agreed; unknown; a no
        assert receive(board, 3) == IAC + DONT + b"\x22"
        board.sendall(b"U-Boot" + IAC + SB + b"\x18\x01" + IAC + SE + b"> \r\0\n" + IAC + b"\xf1" + b"ok")
        match = console.expect("ok", soon())
        assert match.before == "U-Boot> \r\n"
        console.close(soon())


def test_telnet_commands_cut_in_the_middle_and_escaped_bytes(server: socket.socket) -> None:
    console, board, sink = opened(server, TelnetPort)
    with board:
        for piece in (
            b"a",
            IAC,
            WILL,
            b"\x01",
            b"b" + IAC,
            SB,
            b"junk",
            IAC,
            SE,
            b"c\xc3",
            b"\xa9d\r\n",
            b"end",
        ):
            board.sendall(piece)
        assert console.expect("end", soon()).before == "abcéd\r\n"
        assert receive(board, 3) == IAC + DO + b"\x01"
        console.send("\xff")  # two bytes in UTF-8, neither of them 255
        assert receive(board, 2) == "\xff".encode()
        port = console._port
        port.write(b"\xff", soon())
        assert receive(board, 2) == b"\xff\xff"
        console.close(soon())
