# SPDX-License-Identifier: Apache-2.0
"""The one way to run a program of the host: argument list, deadline, bounded output, one owner that ends it.

Everything that a job does with git, e2fsprogs, qemu-img and the like goes through `run`; what needs the pipe
or the process itself uses `started`. No shell is involved, and secret words never reach a log or a message.
"""

from __future__ import annotations

import os
import select
import shlex
import shutil
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from executor.errors import InfrastructureError, JobTimeout, LavaExecError
from executor.model.deadline import Deadline

LineSink = Callable[[str], object]
Stdin = bytes | Path | int | None

TAIL_LINES = 40  # lines of output kept for the message of a failure
LINE_BYTES = 8192  # a longer line is cut into pieces of this size
GRACE = 0.5  # seconds between SIGTERM and SIGKILL
MASK = "[secret]"

# Where Debian keeps the tools that we call; named in the error of a missing one.
PACKAGES = {
    "adb": "adb",
    "brz": "brz",
    "bzip2": "bzip2",
    "bzr": "brz",
    "cpio": "cpio",
    "debugfs": "e2fsprogs",
    "dtc": "device-tree-compiler",
    "dfu-util": "dfu-util",
    "dumpe2fs": "e2fsprogs",
    "e2fsck": "e2fsprogs",
    "fastboot": "fastboot",
    "gdb-multiarch": "gdb-multiarch",
    "git": "git",
    "gzip": "gzip",
    "lz4": "lz4",
    "mcopy": "mtools",
    "mdeltree": "mtools",
    "mdir": "mtools",
    "mke2fs": "e2fsprogs",
    "mkimage": "u-boot-tools",
    "mtype": "mtools",
    "openocd": "openocd",
    "pigz": "pigz",
    "qdl": "qdl",
    "qemu-img": "qemu-utils",
    "qemu-io": "qemu-utils",
    "qemu-nbd": "qemu-utils",
    "schroot": "schroot",
    "scp": "openssh-client",
    "ssh": "openssh-client",
    "sz": "lrzsz",
    "tar": "tar",
    "telnet": "telnet",
    "uuu": "uuu",
    "xz": "xz-utils",
    "zstd": "zstd",
}


@dataclass(frozen=True, slots=True)
class Completed:
    """A program that has ended: its code (negative = killed by that signal) and its last lines."""

    returncode: int
    lines_tail: tuple[str, ...]


def run(
    argv: Sequence[str | Path],
    *,
    deadline: Deadline,
    log: LineSink | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: Stdin = None,
    check: bool = True,
    error: type[LavaExecError] = InfrastructureError,
    on_timeout: type[LavaExecError] = JobTimeout,
    secrets: Sequence[str] = (),
    stdout: int | None = None,
    pass_fds: Sequence[int] = (),
) -> Completed:
    """Run `argv` to its end; what it says goes line by line to `log` (which adds the `>> ` of the journal).

    `env` is added to our environment. `stdin` is data, a file, or a descriptor; without it the program reads
    nothing. `stdout`: a descriptor that gets the output proper, so that only stderr makes lines. Raises
    `error` when `check` and the code is not 0, `on_timeout` at the deadline (the whole process group is gone
    by then), InfrastructureError when the program is not installed.
    """
    name = Path(argv[0]).name
    tail: deque[str] = deque(maxlen=TAIL_LINES)

    def line(text: str) -> None:
        text = redact(text, secrets)
        if text.strip():
            tail.append(text)
        if log is not None:
            log(text)

    with started(
        argv,
        cwd=cwd,
        env=env,
        stdin=stdin,
        stdout=subprocess.PIPE if stdout is None else stdout,
        stderr=subprocess.STDOUT if stdout is None else subprocess.PIPE,
        pass_fds=pass_fds,
    ) as process:
        said = process.stdout if stdout is None else process.stderr
        assert said is not None  # noqa: S101  # PIPE was asked for
        splitter = _Lines(line)
        for chunk in _output(process, said.fileno(), deadline):
            if chunk is None:
                end(process)
                splitter.close()
                raise overdue(f"{name} did not end", deadline, on_timeout)
            splitter.feed(chunk)
        splitter.close()
        end(process, grace=0)  # what it left running in its group
        code = process.returncode
    if check and code != 0:
        last = tail[-1] if tail else "it said nothing"
        command = redact(shlex.join(str(word) for word in argv), secrets)
        raise error(f"{name} {ending(code)}: {last}", f"the command was: {command}")
    return Completed(code, tuple(tail))


@contextmanager
def started(
    argv: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: Stdin = None,
    stdout: int | IO[bytes] = subprocess.DEVNULL,
    stderr: int | IO[bytes] = subprocess.DEVNULL,
    pass_fds: Sequence[int] = (),
) -> Iterator[subprocess.Popen[bytes]]:
    """A running program in a process group of its own; the whole group is gone when the context is left."""
    found = shutil.which(str(argv[0]))
    if found is None:
        raise missing(str(argv[0]))
    full = {**os.environ, "LC_ALL": "C.UTF-8", **(env or {})}
    source, ours = _stdin(stdin)
    try:
        process = subprocess.Popen(  # its end is in the finally below
            [found, *(str(word) for word in argv[1:])],
            cwd=cwd,
            env=full,
            stdin=source,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
            pass_fds=tuple(pass_fds),
        )
    except OSError as problem:
        raise InfrastructureError(f"{argv[0]} cannot be started: {problem.strerror}") from problem
    finally:
        if ours:
            os.close(source)
    try:
        yield process
    finally:
        end(process)
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                with suppress(OSError):
                    stream.close()


def end(process: subprocess.Popen[bytes], grace: float = GRACE) -> None:
    """End the process and its group: SIGTERM, then SIGKILL after `grace` seconds. Safe to call twice."""
    if process.returncode is not None:
        return
    # The leader is reaped after the group got its signal: until then its number cannot belong to another.
    if grace > 0 and not has_ended(process, 0):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        has_ended(process, grace)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def has_ended(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Wait up to `seconds` for the end of the process, without reaping it."""
    if process.returncode is not None:
        return True
    handle = os.pidfd_open(process.pid)
    try:
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        return bool(poll.poll(max(0.0, seconds) * 1000))
    finally:
        os.close(handle)


def redact(text: str, secrets: Iterable[str]) -> str:
    """`text` without the secret words."""
    for word in secrets:
        if word:
            text = text.replace(word, MASK)
    return text


def ending(code: int) -> str:
    """How a program ended, in words."""
    if code >= 0:
        return f"failed with code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = str(-code)
    note = " (out of memory?)" if name == "SIGKILL" else ""
    return f"was killed by {name}{note}"


def missing(tool: str) -> InfrastructureError:
    """The error for a program that is not installed, with the Debian package that has it."""
    package = PACKAGES.get(Path(tool).name)
    hint = f"add the Debian package {package} to the image" if package else "add it to the image"
    return InfrastructureError(f"{tool} is not installed where the job runs", hint)


def overdue(what: str, deadline: Deadline, error: type[LavaExecError] = JobTimeout) -> LavaExecError:
    """The error to raise when `deadline` has passed during `what` ("copying x did not end")."""
    return error(f"{what} within {deadline.limit:.0f} seconds")


def _stdin(stdin: Stdin) -> tuple[int, bool]:
    """(descriptor for the child, whether we have to close it)."""
    if stdin is None:
        return subprocess.DEVNULL, False
    if isinstance(stdin, int):
        return stdin, False
    if isinstance(stdin, bytes):
        handle = os.memfd_create("stdin", os.MFD_CLOEXEC)
        with os.fdopen(os.dup(handle), "wb") as file:
            file.write(stdin)
        os.lseek(handle, 0, os.SEEK_SET)
        return handle, True
    try:
        return os.open(stdin, os.O_RDONLY | os.O_CLOEXEC), True
    except OSError as problem:
        raise InfrastructureError(f"{stdin} cannot be read: {problem.strerror}") from problem


def _output(process: subprocess.Popen[bytes], pipe: int, deadline: Deadline) -> Iterator[bytes | None]:
    """Chunks of output until the process has ended; None at the deadline."""
    os.set_blocking(pipe, False)
    handle = os.pidfd_open(process.pid)
    try:
        poll = select.poll()
        poll.register(pipe, select.POLLIN)
        poll.register(handle, select.POLLIN)
        while True:
            ready = {fd for fd, _ in poll.poll(min(deadline.remaining, 3600.0) * 1000)}
            if pipe in ready:
                chunk = os.read(pipe, 65536)
                if chunk:
                    yield chunk
                else:
                    poll.unregister(pipe)
            elif handle in ready:  # ended, and the pipe is empty: a child of its own may still hold it open
                return
            if deadline.expired:
                if not has_ended(process, 0):
                    yield None
                return
    finally:
        os.close(handle)


class _Lines:
    """Cuts bytes into lines of bounded length; a carriage return ends a line too (progress displays)."""

    def __init__(self, sink: LineSink) -> None:
        self._sink = sink
        self._rest = b""

    def feed(self, chunk: bytes) -> None:
        *lines, rest = (self._rest + chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")).split(b"\n")
        for line in lines:
            self._emit(line)
        while len(rest) > LINE_BYTES:
            self._emit(rest[:LINE_BYTES])
            rest = rest[LINE_BYTES:]
        self._rest = rest

    def close(self) -> None:
        if self._rest:
            self._emit(self._rest)
        self._rest = b""

    def _emit(self, line: bytes) -> None:
        for start in range(0, max(1, len(line)), LINE_BYTES):
            self._sink(line[start : start + LINE_BYTES].decode("utf-8", "replace"))
