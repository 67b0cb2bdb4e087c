# SPDX-License-Identifier: Apache-2.0
"""Where a console's bytes come from and go to: the port protocol, what all ports on a descriptor share,
and programs.

A port is read by one thread, written by others, and closed by a third: `close` ends the other side and
makes `read` come to its end; `release` gives the descriptors back once the reading thread is gone.
"""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from ptyprocess import PtyProcess  # type: ignore[import-untyped]

from executor.errors import ConnectionClosed, InfrastructureError
from executor.model.deadline import Deadline

READ_SIZE = 64 * 1024  # bytes that one `read` asks for
WINDOW_SIZE = (48, 4096)  # rows, columns of a program's terminal: wide, so that nothing wraps

# How client programs are told to end, by the tag of the connection (spec: action-pipeline §3).
FAREWELLS = {"telnet": b"\x1dquit\n", "ssh": b"\n~."}

_LONGEST_POLL = 3600.0  # seconds; poll() knows no infinity


class Port(Protocol):
    """One end of a byte stream to a device."""

    name: str  # for messages: the program, or the address

    @property
    def alive(self) -> bool:
        """Is the other side still there, as far as one can tell?"""

    def read(self, limit: int, wait: float | None) -> bytes | None:
        """What has arrived, up to `limit` bytes; b"" at the end of the stream; None when nothing came in
        `wait` seconds (None: without a limit, but `close` ends the wait).
        """

    def write(self, data: bytes, deadline: Deadline) -> None:
        """Send all of `data`. Raises ConnectionClosed, or TimeoutError when the other side does not take
        it in time.
        """

    def close(self, deadline: Deadline) -> None:
        """End the other side, by force at the deadline; may be called twice."""

    def release(self) -> None:
        """Give the descriptors back."""

    def describe_end(self) -> str:
        """Why the stream ended, as the end of a sentence: "qemu-system-x86_64 exited with code 1"."""


class FdPort:
    """Reading and writing a non-blocking descriptor that another thread may close."""

    def __init__(self, fd: int, name: str) -> None:
        self.name = name
        self._fd = fd
        os.set_blocking(fd, False)
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._closing = threading.Event()
        self._poller = select.poll()
        self._poller.register(fd, select.POLLIN)
        self._poller.register(self._wake_read, select.POLLIN)

    def read(self, limit: int, wait: float | None) -> bytes | None:
        data = self._drain(limit)
        if data is None and not self._closing.is_set():
            self._poller.poll(None if wait is None else max(0, int(wait * 1000) + 1))
            data = self._drain(limit)
        return b"" if data is None and self._closing.is_set() else data

    def write(self, data: bytes, deadline: Deadline) -> None:
        view = memoryview(self._encode(data))
        poller = select.poll()
        poller.register(self._fd, select.POLLOUT)
        while view:
            try:
                view = view[os.write(self._fd, view) :]
                continue
            except BlockingIOError:
                pass
            except OSError as error:
                raise ConnectionClosed(f"{self.name} is gone: {error.strerror}") from error
            if deadline.expired:
                raise TimeoutError(f"{self.name} took no input for {deadline.limit:.0f} seconds")
            poller.poll(int(min(deadline.remaining, _LONGEST_POLL) * 1000) + 1)

    def release(self) -> None:
        if self._wake_read < 0:
            return
        self._close_fd()
        self._fd = -1
        for fd in (self._wake_read, self._wake_write):
            os.close(fd)
        self._wake_read = self._wake_write = -1

    def _interrupt(self) -> None:
        """Make `read` come to its end."""
        self._closing.set()
        if self._wake_write >= 0:
            os.write(self._wake_write, b"x")

    def _close_fd(self) -> None:
        os.close(self._fd)

    def _encode(self, data: bytes) -> bytes:
        return data

    def _decode(self, data: bytes) -> bytes:
        return data

    def _drain(self, limit: int) -> bytes | None:
        """All that is there now, up to `limit`: a terminal gives 4 KiB a call, a busy one has more at
        once.
        """
        first = self._read_some(limit)
        if not first:
            return first
        parts, size = [first], len(first)
        while size < limit:
            more = self._read_some(limit - size)
            if not more:
                break  # the end, if it is one, is met again by the next call
            parts.append(more)
            size += len(more)
        data = self._decode(b"".join(parts))
        return data or None

    def _read_some(self, limit: int) -> bytes | None:
        try:
            return os.read(self._fd, limit)
        except BlockingIOError:
            return None
        except OSError:  # EIO is how the end of a terminal looks, ECONNRESET that of a connection
            return b""


class ProcessPort(FdPort):
    """A program on a terminal of its own, leader of a session and a process group that ends with the port.

    `echo` is the terminal's own; programs that want another setting change it themselves. Raises
    InfrastructureError when the program cannot be started.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        echo: bool = True,
        farewell: bytes = b"",
    ) -> None:
        self.argv = list(argv)
        self.exit_code: int | None = None  # negative: the signal that ended it
        self._farewell = farewell
        try:
            self._process = PtyProcess.spawn(
                self.argv,
                cwd=None if cwd is None else str(cwd),
                env=None if env is None else dict(env),
                echo=echo,
                preexec_fn=_restore_signals,
                dimensions=WINDOW_SIZE,
            )
        except OSError as error:
            raise InfrastructureError(
                f"cannot start {self.argv[0]}: {error.strerror or error}",
                "the program must be installed, and executable, where the job runs",
            ) from error
        self._process.closed = True  # ptyprocess would close by sleeping; this class closes
        super().__init__(self._process.fd, Path(self.argv[0]).name)

    @property
    def pid(self) -> int:
        return int(self._process.pid)

    @property
    def alive(self) -> bool:
        return not self._ended()

    def describe_end(self) -> str:
        self._wait(Deadline.after(1))
        if self.exit_code is None:
            return f"{self.name} closed its terminal"
        if self.exit_code < 0:
            return f"{self.name} was killed by {_signal_name(-self.exit_code)}"
        return f"{self.name} exited with code {self.exit_code}"

    def close(self, deadline: Deadline) -> None:
        """Farewell, SIGTERM, SIGKILL to the whole group, each with a share of the time."""
        if self._farewell and self.alive:
            with suppress(ConnectionClosed, TimeoutError):
                self.write(self._farewell, deadline.within(0.5))
                self._wait(deadline.within(1))
        self._farewell = b""
        if self.alive:
            self._signal(signal.SIGTERM)
            self._wait(deadline.within(max(0.1, min(2.0, deadline.remaining / 2))))
        self._signal(signal.SIGKILL)  # what is left of the group, also when its leader has gone
        self._wait(Deadline.after(5))
        self._interrupt()

    def release(self) -> None:
        super().release()
        with suppress(ChildProcessError):
            os.waitpid(self.pid, os.WNOHANG)

    def _close_fd(self) -> None:
        self._process.fileobj.close()

    def _ended(self) -> bool:
        """Has the leader ended? It stays a zombie until `release`, so that its group's number is not used
        again.
        """
        if self.exit_code is None:
            try:
                info = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                self.exit_code = 255  # somebody else took the status
                return True
            if info is not None:
                self.exit_code = info.si_status if info.si_code == os.CLD_EXITED else -info.si_status
        return self.exit_code is not None

    def _wait(self, deadline: Deadline) -> None:
        pause = 0.001
        while not self._ended() and not deadline.expired:
            time.sleep(pause)
            pause = min(0.02, pause * 2)

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)


def _restore_signals() -> None:
    """Python ignores SIGPIPE and passes that on."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
