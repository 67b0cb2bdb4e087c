# SPDX-License-Identifier: Apache-2.0
"""Keeps programs running: starts them in order, again when one dies, and ends all of them with itself.

Single-threaded: a signal, a word of a child or a timer wakes it; between these it sleeps.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

READY_FD = "LAVA_EXEC_READY_FD"  # environment: where a child says that it is ready, one line
MAX_LOG = 20 << 20  # bytes of one log; then it is moved to .1 and begun anew
_CHECK_LOGS = 60.0
_PR_SET_PDEATHSIG = 1
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


@dataclass
class Program:
    """One child. `ready` must be heard before the next program is started."""

    name: str
    argv: list[str]
    log: Path
    ready: str = ""  # what it said when it was ready
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    pause: float = 0.5
    due: float = 0.0  # when it is to be started again
    early: int = 0  # deaths in a row before it was ever ready
    told: bool = False  # that it is slow to get ready
    channel: int = -1
    heard: bytes = field(default=b"", repr=False)


class GaveUp(Exception):  # noqa: N818 - it is told to the user as an error of another class
    """A program died several times before it was ready."""

    def __init__(self, program: Program, code: int) -> None:
        super().__init__(program.name)
        self.program = program
        self.code = code


class Supervisor:
    """`run` blocks until SIGTERM, SIGINT or SIGHUP; children never outlive it."""

    def __init__(
        self,
        programs: Sequence[Program],
        *,
        on_ready: Callable[[Program], None] = lambda program: None,
        on_death: Callable[[Program, int, float], None] = lambda program, code, pause: None,
        on_slow: Callable[[Program], None] = lambda program: None,
        slow_seconds: float = 15.0,
        stop_seconds: float = 30.0,
        steady_seconds: float = 60.0,
        longest_pause: float = 30.0,
        attempts: int = 3,
    ) -> None:
        self.programs = list(programs)
        self._on_ready = on_ready
        self._on_death = on_death
        self._on_slow = on_slow
        self._slow_seconds = slow_seconds
        self._stop_seconds = stop_seconds
        self._steady = steady_seconds
        self._longest = longest_pause
        self._attempts = attempts
        self._stopping = False
        self._selector = selectors.DefaultSelector()
        self._logs_at = 0.0

    def run(self) -> None:
        """Start everything and keep it up. Raises GaveUp after everything was stopped."""
        reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._selector.register(reader, selectors.EVENT_READ)
        before = {n: signal.signal(n, self._on_signal) for n in _SIGNALS}
        wakeup = signal.set_wakeup_fd(writer)
        try:
            while not self._stopping:
                self._turn(reader)
        finally:
            self._stop()
            signal.set_wakeup_fd(wakeup)
            for number, handler in before.items():
                signal.signal(number, handler)
            self._selector.close()
            os.close(reader)
            os.close(writer)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if number != signal.SIGCHLD:
            self._stopping = True

    # -- one turn of the loop

    def _turn(self, reader: int) -> None:
        now = time.monotonic()
        if now >= self._logs_at:
            self._logs_at = now + _CHECK_LOGS
            for program in self.programs:
                _rotate(program.log)
        self._start_due(now)
        due = [p.due for p in self.programs if p.process is None and p.due > now]
        due += [
            p.started + self._slow_seconds for p in self.programs if p.process and not p.ready and not p.told
        ]
        for key, _ in self._selector.select(max(0.0, min([*due, self._logs_at]) - now)):
            if key.data is None:
                with contextlib.suppress(BlockingIOError):
                    os.read(reader, 4096)
            else:
                self._hear(key.data)
        for program in self.programs:
            self._reap(program)
            late = time.monotonic() - program.started >= self._slow_seconds
            if program.process is not None and late and not program.ready and not program.told:
                program.told = True
                self._on_slow(program)

    def _start_due(self, now: float) -> None:
        for program in self.programs:
            if program.process is None and now >= program.due:
                self._start(program)
            if not program.ready:
                return  # the next one needs this one

    def _start(self, program: Program) -> None:
        reader, writer = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(reader, False)
        program.log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with program.log.open("ab") as log:
            program.process = subprocess.Popen(
                program.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[writer],
                env={**os.environ, READY_FD: str(writer)},
                start_new_session=True,  # Ctrl-C is for the supervisor alone
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - this process has one thread
            )
        os.close(writer)
        program.started, program.channel, program.heard = time.monotonic(), reader, b""
        self._selector.register(reader, selectors.EVENT_READ, program)

    def _hear(self, program: Program) -> None:
        data = b""
        with contextlib.suppress(BlockingIOError):
            data = os.read(program.channel, 4096)
        program.heard = (program.heard + data)[:4096]
        if b"\n" in program.heard:
            program.ready = program.heard.partition(b"\n")[0].decode("utf-8", "replace") or "ready"
            program.early = 0
            self._mute(program)
            self._on_ready(program)
        elif not data:
            self._mute(program)

    def _mute(self, program: Program) -> None:
        if program.channel >= 0:
            self._selector.unregister(program.channel)
            os.close(program.channel)
            program.channel = -1

    def _reap(self, program: Program) -> None:
        process = program.process
        code = process.poll() if process is not None else None
        if code is None or self._stopping:
            return
        if program.channel >= 0:
            self._hear(program)
        self._mute(program)
        now = time.monotonic()
        program.process = None
        if not program.ready:
            program.early += 1
            if program.early >= self._attempts:
                raise GaveUp(program, code)
        program.pause = (
            0.5 if now - program.started >= self._steady else min(program.pause * 2, self._longest)
        )
        program.due = now + program.pause
        self._on_death(program, code, program.pause)

    def _stop(self) -> None:
        """Last started, first ended; who does not listen is killed."""
        self._stopping = True
        deadline = time.monotonic() + self._stop_seconds
        for program in reversed(self.programs):
            self._mute(program)
            if program.process is not None:
                with contextlib.suppress(ProcessLookupError):
                    program.process.terminate()
        for program in reversed(self.programs):
            if program.process is None:
                continue
            try:
                program.process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                program.process.kill()
                program.process.wait()
            program.process = None


def say_ready(text: str) -> None:
    """Tell whoever started this program that it is ready: the supervisor above, or systemd."""
    descriptor = os.environ.pop(READY_FD, "")
    if descriptor.isdigit():
        with contextlib.suppress(OSError):
            os.write(int(descriptor), f"{text}\n".encode())
            os.close(int(descriptor))
    address = os.environ.pop("NOTIFY_SOCKET", "")
    if address:
        import socket

        name = f"\0{address[1:]}" if address.startswith("@") else address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.sendto(f"READY=1\nSTATUS={text}".encode(), name)


def last_lines(log: Path, count: int = 15) -> list[str]:
    """The end of a log, for a message about a program that died."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - 16384))
            return file.read().decode("utf-8", "replace").splitlines()[-count:]
    except OSError:
        return []


def module_argv(*words: str) -> list[str]:
    """A command of lava-exec with the interpreter that runs this one."""
    return [sys.executable, "-m", "executor.cli", *words]


def _rotate(log: Path) -> None:
    """Copy and cut: the children go on appending to the same file."""
    with contextlib.suppress(OSError):
        if log.stat().st_size > MAX_LOG:
            shutil.copyfile(log, log.with_name(f"{log.name}.1"))
            os.truncate(log, 0)


def _die_with_parent() -> None:
    """In the child: end when the supervisor ends, however it ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
