# SPDX-License-Identifier: Apache-2.0
"""Files with holes: finding their data, and writing streams so that blocks of zeros take no space."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from executor.errors import InfrastructureError

BLOCK = 4096
_COARSE = 65536
_ZERO = bytes(BLOCK)
_ZEROES = bytes(_COARSE)


def data_extents(handle: int, size: int) -> Iterator[tuple[int, int]]:
    """(start, end) of every stretch of `handle` that is not a hole. The file's position is moved."""
    position = 0
    while position < size:
        try:
            start = os.lseek(handle, position, os.SEEK_DATA)
        except OSError as problem:
            if problem.errno == errno.ENXIO:
                return
            yield position, size  # a file system without holes
            return
        position = min(size, os.lseek(handle, start, os.SEEK_HOLE))
        if start < position:
            yield start, position


def data_runs(buffer: bytes | bytearray, length: int) -> Iterator[tuple[int, int]]:
    """(start, end) of every run of 4 KiB blocks in `buffer[:length]` that is not all zeros."""
    begin = -1
    for coarse in range(0, length, _COARSE):
        whole = min(_COARSE, length - coarse)
        if whole == _COARSE and buffer.startswith(_ZEROES, coarse):
            if begin >= 0:
                yield begin, coarse
                begin = -1
            continue
        for start in range(coarse, coarse + whole, BLOCK):
            size = min(BLOCK, length - start)
            empty = buffer.startswith(_ZERO if size == BLOCK else bytes(size), start)
            if empty and begin >= 0:
                yield begin, start
                begin = -1
            elif not empty and begin < 0:
                begin = start
    if begin >= 0:
        yield begin, length


class SparseWriter:
    """Appends to an empty file; zeros become holes. `size`: all bytes, `stored`: those that take space."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self.size = 0
        self.stored = 0

    def write(self, buffer: bytes | bytearray, length: int) -> None:
        """Append `buffer[:length]`; pieces that are multiples of 4 KiB keep blocks aligned."""
        view = memoryview(buffer)
        for start, stop in data_runs(buffer, length):
            self.stored += stop - start
            done = start
            while done < stop:
                done += os.pwrite(self._handle, view[done:stop], self.size + done)
        self.size += length

    def finish(self) -> None:
        """Give the file its full length, a hole at its end included."""
        os.ftruncate(self._handle, self.size)


@contextmanager
def new_file(path: Path, mode: int = 0o644) -> Iterator[int]:
    """A descriptor of a file that appears as `path` only when the context is left without an error.

    Raises InfrastructureError when it cannot be made or the disk is full.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.unlink(missing_ok=True)
        handle = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    except OSError as problem:
        raise InfrastructureError(f"{path} cannot be made: {problem.strerror}") from problem
    try:
        try:
            yield handle
            part.replace(path)
        finally:
            os.close(handle)
            part.unlink(missing_ok=True)
    except OSError as problem:
        raise InfrastructureError(f"{path} cannot be written: {problem.strerror}") from problem
