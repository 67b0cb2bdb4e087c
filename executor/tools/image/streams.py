# SPDX-License-Identifier: Apache-2.0
"""Decompressed bytes as a stream: by the field's own tools through pipes, else by Python's modules.

The tools win because they run beside us on another core and check sums in further threads; the modules keep
the product working in a container that lacks one.
"""

from __future__ import annotations

import fcntl
import os
import select
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Protocol

from executor.errors import JobError
from executor.model.deadline import Deadline
from executor.tools.image.methods import DATA_ERRORS, Method, method
from executor.tools.image.sources import Decompressor, Input, Source, running
from executor.tools.proc import missing, overdue

PIPE = 1 << 20  # the largest pipe that an unprivileged process may ask for


class Stream(Protocol):
    """Decompressed bytes."""

    def readinto(self, buffer: memoryview) -> int:
        """Fill as much of `buffer` as there is now, at least one byte; 0 at the end of good data."""

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes, b"" at the end of good data."""

    @property
    def bytes_in(self) -> int:
        """Compressed bytes taken so far."""


def tool_of(using: Method) -> tuple[str, ...] | None:
    """The command line of the fastest tool that is installed."""
    return next((argv for argv in using.tools if shutil.which(argv[0])), None)


@contextmanager
def open_stream(source: Path | Source, how: str, *, deadline: Deadline, name: str = "") -> Iterator[Stream]:
    """Decompressed bytes of `source`; `name` is what messages call it.

    Raises JobError for wrong, truncated or damaged data, InfrastructureError when a needed tool is missing.
    """
    using = method(how)
    name = name or called(source)
    with ExitStack() as stack:
        input_ = stack.enter_context(Input(source, name, using))
        tool = tool_of(using)
        if using.name == "zip":
            yield _ModuleStream(
                _only_member(stack, source, name), input_, deadline, f"{name} is damaged zip data"
            )
        elif tool is not None:
            run = running(tool, input_, subprocess.PIPE, deadline=deadline, name=name, how=using.name)
            yield _ToolStream(stack.enter_context(run), input_, deadline)
        elif using.module is not None:
            damaged = f"{name} is damaged {using.name} data"
            yield _ModuleStream(stack.enter_context(using.module(input_)), input_, deadline, damaged)
        else:
            raise missing(using.tools[0][0])


def called(source: Path | Source) -> str:
    """What messages call a source that has no better name."""
    return source.name if isinstance(source, Path) else "the download"


class _ToolStream:
    """The output of a running decompressor."""

    def __init__(self, tool: Decompressor, input_: Input, deadline: Deadline) -> None:
        assert tool.process.stdout is not None  # noqa: S101  # PIPE was asked for
        self._pipe = tool.process.stdout.fileno()
        with suppress(OSError):  # this user's limit of pipes is used up: slower, not wrong
            fcntl.fcntl(self._pipe, fcntl.F_SETPIPE_SZ, PIPE)
        self._tool = tool
        self._input = input_
        self._deadline = deadline
        self._poll = select.poll()
        self._poll.register(self._pipe, select.POLLIN)

    def readinto(self, buffer: memoryview) -> int:
        if self._deadline.expired or not self._poll.poll(min(self._deadline.remaining, 3600.0) * 1000):
            raise overdue("decompressing did not end", self._deadline)
        count = os.readv(self._pipe, [buffer])
        if not count:
            self._tool.finish()
        return count

    def read(self, size: int, /) -> bytes:
        buffer = bytearray(size)
        return bytes(memoryview(buffer)[: self.readinto(memoryview(buffer))])

    @property
    def bytes_in(self) -> int:
        return self._input.taken


class _ModuleStream:
    """Decompression inside this process."""

    def __init__(self, reader: IO[bytes], input_: Input, deadline: Deadline, damaged: str) -> None:
        self._reader = reader
        self._input = input_
        self._deadline = deadline
        self._damaged = damaged

    def readinto(self, buffer: memoryview) -> int:
        chunk = self.read(len(buffer))
        buffer[: len(chunk)] = chunk
        return len(chunk)

    def read(self, size: int, /) -> bytes:
        if self._deadline.expired:
            raise overdue("decompressing did not end", self._deadline)
        try:
            return self._reader.read(min(size, 1 << 18))
        except DATA_ERRORS as problem:
            raise JobError(f"{self._damaged}: {problem}") from problem

    @property
    def bytes_in(self) -> int:
        return self._input.taken


def _only_member(stack: ExitStack, source: Path | Source, name: str) -> IO[bytes]:
    """The only file of a zip archive."""
    if not isinstance(source, Path):
        raise JobError(f"{name}: a zip archive can only be unpacked when all of it is there")
    try:
        archive = stack.enter_context(zipfile.ZipFile(source))
        files = [info for info in archive.infolist() if not info.is_dir()]
        if len(files) == 1:
            return stack.enter_context(archive.open(files[0]))
    except DATA_ERRORS as problem:
        raise JobError(f"{name} is damaged zip data: {problem}") from problem
    raise JobError(f"{name} holds {len(files)} files; `compression: zip` needs exactly one")
