# SPDX-License-Identifier: Apache-2.0
"""A serial line, played by a pseudo terminal."""

from __future__ import annotations

import os
import tty
from pathlib import Path

import pytest

from executor.console.reader import Console
from executor.console.serialport import SerialPort
from executor.errors import ConnectionClosed, InfrastructureError
from executor.model.deadline import Deadline
from executor.testing.console import MemorySink


def soon() -> Deadline:
    return Deadline.after(20)


def test_both_directions_and_the_end_of_the_line() -> None:
    board, line = os.openpty()
    tty.setraw(line)
    name = os.ttyname(line)
    sink = MemorySink()
    console = Console(SerialPort(name), sink, name="uart0")
    console.start()
    os.write(board, b"=> \r\n")
    console.expect("=> ", soon())
    console.send_line("printenv")
    assert os.read(board, 100) == b"printenv\n"
    assert console.alive
    os.close(line)
    os.close(board)
    with pytest.raises(ConnectionClosed, match=f"uart0: the serial line {name} went away"):
        console.expect("never", soon())
    console.close(soon())


def test_a_line_is_not_shared() -> None:
    board, line = os.openpty()
    port = SerialPort(os.ttyname(line))
    with pytest.raises(InfrastructureError, match="cannot open the serial line"):
        SerialPort(os.ttyname(line))
    port.close(soon())
    assert port.read(10, None) == b""
    port.release()
    os.close(line)
    os.close(board)


def test_a_line_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InfrastructureError, match="cannot open the serial line"):
        SerialPort(str(tmp_path / "ttyUSB7"))
