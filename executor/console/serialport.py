# SPDX-License-Identifier: Apache-2.0
"""A serial line of the machine, opened with pyserial."""

from __future__ import annotations

import termios

import serial

from executor.console.ports import FdPort
from executor.errors import InfrastructureError
from executor.model.deadline import Deadline


class SerialPort(FdPort):
    """`device` is a path; 8N1 without flow control unless told otherwise; locked against a second user.

    Raises InfrastructureError when it cannot be opened.
    """

    def __init__(
        self, device: str, baudrate: int = 115200, *, rtscts: bool = False, xonxoff: bool = False
    ) -> None:
        try:
            self._line = serial.Serial(
                device, baudrate, timeout=0, write_timeout=0, rtscts=rtscts, xonxoff=xonxoff, exclusive=True
            )
        except (serial.SerialException, OSError, ValueError) as error:
            raise InfrastructureError(
                f"cannot open the serial line {device}: {error}",
                "is it plugged in, visible in the job's container, and not used by another program?",
            ) from error
        self._open = True
        fd = self._line.fileno()
        attributes = termios.tcgetattr(fd)
        attributes[6][termios.VMIN] = 1  # pyserial's 0 makes "nothing yet" look like the end
        termios.tcsetattr(fd, termios.TCSANOW, attributes)
        super().__init__(fd, device)

    @property
    def alive(self) -> bool:
        return self._open

    def describe_end(self) -> str:
        self._open = False
        return f"the serial line {self.name} went away"

    def close(self, deadline: Deadline) -> None:
        self._open = False
        self._interrupt()

    def _close_fd(self) -> None:
        self._line.close()
