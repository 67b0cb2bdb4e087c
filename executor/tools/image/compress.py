# SPDX-License-Identifier: Apache-2.0
"""Decompression into a sparse file, bounded against bombs (spec: job-format §4, `compression`).

xz and zstd leave holes themselves and write straight into the file; what the others write comes through a
pipe and its zeros become holes here. Magic numbers only explain errors: what a job does not declare is not
guessed.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from executor.errors import JobError
from executor.model.deadline import Deadline
from executor.tools.image.methods import method
from executor.tools.image.sources import Input, Source, running
from executor.tools.image.sparse import SparseWriter, new_file
from executor.tools.image.streams import PIPE, Stream, called, open_stream, tool_of
from executor.tools.proc import overdue

Progress = Callable[[int, int], object]  # (compressed bytes taken, bytes made)

_REPORT_EVERY = 0.25  # seconds between two calls of the progress function


@dataclass(frozen=True, slots=True)
class Limits:
    """Beyond these a file is taken for a bomb. Zeros become holes and count for `size` only."""

    size: int = 64 << 30  # bytes of the result
    ratio: int = 500  # stored bytes for each compressed byte …
    free: int = 64 << 20  # … once more than this many bytes are stored


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Decompressed:
    """What was done: bytes taken, bytes made, bytes of these that take space, seconds."""

    bytes_in: int
    bytes_out: int
    stored: int
    seconds: float


def decompress(
    source: Path | Source,
    target: Path,
    how: str,
    *,
    deadline: Deadline,
    progress: Progress | None = None,
    limits: Limits = DEFAULT_LIMITS,
    name: str = "",
) -> Decompressed:
    """Decompress `source` (a file, or a download under way) into the new sparse file `target`.

    `how`: gz, bz2, xz, zstd (zst), lz4, or zip with a single file. `name` is what messages call the source.
    Nothing is left at `target` on failure. Raises JobError for wrong or damaged data and for bombs,
    InfrastructureError for a full disk or a missing tool, JobTimeout at the deadline.
    """
    begin = time.monotonic()
    meter = _Meter(limits, progress, name or called(source))
    using = method(how)
    tool = tool_of(using)
    with new_file(target) as handle:
        if tool is not None and using.sparse is not None:
            _direct((*tool, *using.sparse), source, handle, meter=meter, deadline=deadline, how=using.name)
        else:
            with open_stream(source, how, deadline=deadline, name=meter.name) as stream:
                _piped(stream, handle, meter)
    meter.report()
    return Decompressed(meter.taken, meter.size, meter.stored, time.monotonic() - begin)


class _Meter:
    """Counts, compares with the limits and reports."""

    def __init__(self, limits: Limits, progress: Progress | None, name: str) -> None:
        self.name = name
        self.taken = self.size = self.stored = 0
        self.limits = limits
        self._progress = progress
        self._next = time.monotonic() + _REPORT_EVERY

    def count(self, taken: int, size: int, stored: int) -> None:
        self.taken, self.size, self.stored = taken, size, stored
        limits = self.limits
        if size > limits.size:
            raise JobError(
                f"{self.name} is larger than {limits.size} bytes when decompressed", "a limit of the worker"
            )
        if stored > limits.free and stored > limits.ratio * max(1, taken):
            raise JobError(f"{self.name} grows more than {limits.ratio} times: taken for a compression bomb")
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _REPORT_EVERY
            self.report()

    def report(self) -> None:
        if self._progress is not None:
            self._progress(self.taken, self.size)


def _direct(
    argv: tuple[str, ...], source: Path | Source, handle: int, *, meter: _Meter, deadline: Deadline, how: str
) -> None:
    """The tool writes into the file itself; the kernel holds it to the limit of size, we look at the rest."""
    if deadline.expired:  # a small file would be done before anybody looks
        raise overdue("decompressing did not end", deadline)
    with (
        Input(source, meter.name, method(how)) as input_,
        running(argv, input_, handle, deadline=deadline, name=meter.name, how=how) as tool,
    ):
        with suppress(ProcessLookupError):  # a tiny file: it is done already
            most = meter.limits.size + 1
            resource.prlimit(tool.process.pid, resource.RLIMIT_FSIZE, (most, most))
        while not tool.ended(min(_REPORT_EVERY, deadline.remaining)):
            if deadline.expired:
                raise overdue("decompressing did not end", deadline)
            _look(handle, input_, meter)
        _look(handle, input_, meter)
        tool.finish()
        _look(handle, input_, meter)


def _look(handle: int, input_: Input, meter: _Meter) -> None:
    now = os.fstat(handle)
    meter.count(input_.taken, now.st_size, now.st_blocks * 512)


def _piped(stream: Stream, handle: int, meter: _Meter) -> None:
    writer = SparseWriter(handle)
    buffer = bytearray(PIPE)
    while count := _fill(stream, buffer):
        writer.write(buffer, count)
        meter.count(stream.bytes_in, writer.size, writer.stored)
    writer.finish()
    meter.count(stream.bytes_in, writer.size, writer.stored)


def _fill(stream: Stream, buffer: bytearray) -> int:
    """Fill `buffer`; only the last piece of the stream is shorter, so that blocks stay aligned."""
    view = memoryview(buffer)
    filled = 0
    while filled < len(buffer):
        count = stream.readinto(view[filled:])
        if not count:
            break
        filled += count
    return filled
