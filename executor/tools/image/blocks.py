# SPDX-License-Identifier: Apache-2.0
"""Random access to the bytes of a disk, so that parsers need not know if a file or a qcow2 lies below."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from executor.errors import InfrastructureError, JobError


class Blocks(Protocol):
    """A disk of `size` bytes. `pread` returns fewer bytes than asked for only at its end."""

    size: int

    def pread(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes at `offset`."""

    def pwrite(self, offset: int, data: bytes | memoryview) -> None:
        """Write all of `data` at `offset`."""


class FileBlocks:
    """A raw image file; made by `open_file`."""

    def __init__(self, handle: int, size: int) -> None:
        self._handle = handle
        self.size = size

    def pread(self, offset: int, length: int) -> bytes:
        parts = []
        while length > 0 and offset < self.size:
            part = os.pread(self._handle, length, offset)
            if not part:
                break
            parts.append(part)
            offset += len(part)
            length -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def pwrite(self, offset: int, data: bytes | memoryview) -> None:
        rest = memoryview(data)
        while rest:
            done = os.pwrite(self._handle, rest, offset)
            offset += done
            rest = rest[done:]


class Window:
    """A part of another disk: a partition."""

    def __init__(self, blocks: Blocks, offset: int, size: int) -> None:
        self._blocks = blocks
        self._offset = offset
        self.size = max(0, min(size, blocks.size - offset))

    def pread(self, offset: int, length: int) -> bytes:
        return self._blocks.pread(self._offset + offset, max(0, min(length, self.size - offset)))

    def pwrite(self, offset: int, data: bytes | memoryview) -> None:
        if offset + len(data) > self.size:
            raise JobError(f"a write at {offset} would leave the partition of {self.size} bytes")
        self._blocks.pwrite(self._offset + offset, data)


class BytesBlocks:
    """A disk in memory, read only: heads of files, tests."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    def pread(self, offset: int, length: int) -> bytes:
        return self._data[offset : offset + length] if offset >= 0 else b""

    def pwrite(self, offset: int, data: bytes | memoryview) -> None:
        raise JobError("these bytes are read only")


@contextmanager
def open_file(path: Path, *, writable: bool = False) -> Iterator[FileBlocks]:
    """The raw bytes of `path`. Raises InfrastructureError when it cannot be opened."""
    try:
        handle = os.open(path, (os.O_RDWR if writable else os.O_RDONLY) | os.O_CLOEXEC)
    except OSError as problem:
        raise InfrastructureError(f"{path} cannot be opened: {problem.strerror}") from problem
    try:
        yield FileBlocks(handle, os.lseek(handle, 0, os.SEEK_END))
    finally:
        os.close(handle)
