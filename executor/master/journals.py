# SPDX-License-Identifier: Apache-2.0
"""The journals of all jobs as files that only ever grow by whole lines (design §2, §9).

`<jobs>/<id>/journal.ndjson`. The file's size is the acknowledged offset; what the death of the master may
have left half written is cut off at the next start. Used by one thread, except `sync`.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from executor.errors import InfrastructureError
from executor.wire.messages import MAX_BLOCK, MAX_MESSAGE

NAME = "journal.ndjson"
OPEN_FILES = 128
MAX_LAST_LINES = 100_000  # that a reader may jump back
MAX_LINE = MAX_MESSAGE // 4  # bytes; the runner splits far shorter
_STEP = 64 << 10


class BadBlock(ValueError):
    """A block that is not made of whole lines, or too large. The message is for the agent."""


@dataclass
class _Journal:
    descriptor: int
    size: int


class Journals:
    """Append and read by job id. `limit` bounds one journal in bytes."""

    def __init__(self, directory: Path, limit: int) -> None:
        self._directory = directory
        self._limit = limit
        self._open: OrderedDict[int, _Journal] = OrderedDict()

    def path(self, job: int) -> Path:
        return self._directory / str(job) / NAME

    def size(self, job: int) -> int:
        """Bytes of the journal; 0 when there is none."""
        known = self._open.get(job)
        if known is not None:
            return known.size
        try:
            return self.path(job).stat().st_size
        except FileNotFoundError:
            return 0

    def recover(self, job: int, checked: int = 0) -> int:
        """After a restart: cut a torn end off, trusting the first `checked` bytes; returns the size."""
        try:
            with self.path(job).open("r+b") as file:
                size = file.seek(0, os.SEEK_END)
                good = min(checked, size)
                file.seek(good)
                while line := file.readline(MAX_LINE):
                    if not (line.startswith(b"{") and line.endswith(b"\n")):
                        break
                    good += len(line)
                if good < size:
                    file.truncate(good)
                    os.fsync(file.fileno())
                return good
        except FileNotFoundError:
            return 0

    def append(self, job: int, offset: int, data: bytes) -> tuple[int, bytes]:
        """Write the part of `data` that is new; returns the size now and that part.

        A block beyond the end is not written: the size tells the agent where to go on. Raises BadBlock, and
        InfrastructureError when the disk refuses.
        """
        if data and not data.endswith(b"\n"):
            raise BadBlock("a block of journal ends with a newline")
        if len(data) > MAX_BLOCK and data.find(b"\n", 0, MAX_LINE) < 0:
            raise BadBlock("a line of the journal is too long")
        journal = self._journal(job)
        if offset > journal.size or offset + len(data) <= journal.size:
            return journal.size, b""
        fresh = data[journal.size - offset :]
        if not fresh.startswith(b"{"):
            raise BadBlock("a line of the journal begins with {")
        if journal.size + len(fresh) > self._limit:
            raise BadBlock(f"the journal is larger than the limit of {self._limit} bytes")
        try:
            written = 0
            while written < len(fresh):
                written += os.pwrite(journal.descriptor, fresh[written:], journal.size + written)
        except OSError as error:
            os.ftruncate(journal.descriptor, journal.size)
            raise InfrastructureError(
                f"the journal of job {job} cannot be written: {error}", "Is the master's disk full?"
            ) from None
        journal.size += len(fresh)
        return journal.size, fresh

    def read(self, job: int, offset: int, max_bytes: int) -> bytes:
        """Whole lines from `offset` on, at most `max_bytes` unless the first is longer; b"" at the end."""
        size = self.size(job)
        want = min(max(1, max_bytes), MAX_BLOCK)
        if offset >= size:
            return b""
        descriptor = self._journal(job).descriptor
        data = os.pread(descriptor, want, offset)
        while data and b"\n" not in data and len(data) < MAX_LINE:
            more = os.pread(descriptor, want, offset + len(data))
            if not more:
                return b""
            data += more
        return data[: data.rfind(b"\n") + 1]

    def offset_of_last(self, job: int, lines: int) -> int:
        """Where the last `lines` lines begin."""
        position = self.size(job)
        lines = min(lines, MAX_LAST_LINES)
        if position == 0 or lines <= 0:
            return position
        descriptor = self._journal(job).descriptor
        wanted = lines + 1  # the newline before the first of them
        while position > 0:
            start = max(0, position - _STEP)
            chunk = os.pread(descriptor, position - start, start)
            found = chunk.count(b"\n")
            if found >= wanted:
                at = len(chunk)
                for _ in range(wanted):
                    at = chunk.rfind(b"\n", 0, at)
                return start + at + 1
            wanted -= found
            position = start
        return 0

    def descriptor(self, job: int) -> int:
        """A duplicate of the file's descriptor, for `sync` in another thread, which closes it."""
        return os.dup(self._journal(job).descriptor)

    def forget(self, job: int) -> None:
        """Close the file; it is opened again when needed."""
        known = self._open.pop(job, None)
        if known is not None:
            os.close(known.descriptor)

    def close(self) -> None:
        for job in list(self._open):
            self.forget(job)

    def _journal(self, job: int) -> _Journal:
        known = self._open.get(job)
        if known is not None:
            self._open.move_to_end(job)
            return known
        path = self.path(job)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._open[job] = known = _Journal(descriptor, os.fstat(descriptor).st_size)
        while len(self._open) > OPEN_FILES:
            self.forget(next(iter(self._open)))
        return known


def sync(descriptor: int) -> None:
    """Force a journal onto the disk and close this descriptor."""
    try:
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)
