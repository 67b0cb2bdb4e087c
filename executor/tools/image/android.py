# SPDX-License-Identifier: Apache-2.0
"""Android's sparse images, to a plain image and back, without a tool of Android's.

A sparse image is a header and chunks, each some blocks long: data, one word repeated, nothing at all, or a
checksum. What a chunk says is checked against the header and the file before a byte is written. On the way
back every hole becomes a chunk of zeros, never "nothing at all": a board leaves such blocks as they were, and
in an image that has been changed they may be in use now.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path

from executor.errors import InfrastructureError, JobError
from executor.model.deadline import Deadline
from executor.tools.image.copy import copy_range
from executor.tools.image.sparse import data_extents, new_file
from executor.tools.proc import overdue

MAGIC = 0xED26FF3A
BLOCK = 4096
_HEADER = struct.Struct(
    "<IHHHHIIII"
)  # magic, major, minor, sizes of both headers, block, blocks, chunks, sum
_CHUNK = struct.Struct("<HHII")  # kind, nothing, blocks, bytes with this header
_RAW, _FILL, _NOTHING, _CHECKSUM = 0xCAC1, 0xCAC2, 0xCAC3, 0xCAC4
_PIECE = (1 << 30) // BLOCK  # blocks of one chunk of data
_BLOCK_MAX = 1 << 20
_SIZE_MAX = 64 << 30  # bytes of a plain image: more is taken for an attack
_PATTERN = 1 << 20  # bytes of a repeated word that are written at a time


def is_sparse(path: Path) -> bool:
    """Does the file begin as a sparse image does?"""
    with path.open("rb") as file:
        return file.read(4) == MAGIC.to_bytes(4, "little")


def to_plain(source: Path, target: Path, *, deadline: Deadline) -> int:
    """Write `target`, a plain image with holes; its size. Raises JobError for an image that is damaged."""
    handle = _open(source)
    try:
        with new_file(target) as made:
            return _Plain(handle, made, source.name, deadline).write()
    finally:
        os.close(handle)


def to_sparse(source: Path, target: Path, *, deadline: Deadline) -> int:
    """Write `target`, the sparse image of the plain `source`; its size."""
    handle = _open(source)
    try:
        with new_file(target) as made:
            return _sparse(handle, made, deadline)
    finally:
        os.close(handle)


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as problem:
        raise InfrastructureError(f"{path} cannot be read: {problem.strerror}") from problem


class _Plain:
    """Chunk by chunk from `source` to `target`, both descriptors."""

    def __init__(self, source: int, target: int, name: str, deadline: Deadline) -> None:
        self.source, self.target, self.name, self.deadline = source, target, name, deadline
        self.size = os.fstat(source).st_size
        self.block: int = 0  # bytes of one
        self.at: int = 0  # bytes written

    def write(self) -> int:
        head = os.pread(self.source, _HEADER.size, 0)
        if len(head) < _HEADER.size:
            raise self._damaged("it has no header")
        fields: tuple[int, ...] = _HEADER.unpack(head)
        magic, major, _, header, chunk, self.block, blocks, chunks, _ = fields
        if magic != MAGIC or major != 1 or header < _HEADER.size or chunk < _CHUNK.size:
            raise self._damaged("its header is not that of a sparse image of version 1")
        if not 0 < self.block <= _BLOCK_MAX or self.block % 4 or blocks * self.block > _SIZE_MAX:
            raise self._damaged(f"it says {blocks} blocks of {self.block} bytes")
        position, total = header, blocks * self.block
        for _ in range(chunks):
            position = self._chunk(position, chunk, total)
        if self.at != total:
            raise self._damaged(f"its chunks are {self.at} bytes, its header says {total}")
        os.ftruncate(self.target, total)
        return total

    def _chunk(self, position: int, header: int, total: int) -> int:
        """One chunk; where the next begins."""
        if self.deadline.expired:
            raise overdue("unpacking the sparse image did not end", self.deadline)
        head = os.pread(self.source, _CHUNK.size, position)
        if len(head) < _CHUNK.size:
            raise self._damaged("it is cut off")
        fields: tuple[int, ...] = _CHUNK.unpack(head)
        kind, _, blocks, size = fields
        length, data = blocks * self.block, position + header
        wanted = {_RAW: length, _FILL: 4, _NOTHING: 0, _CHECKSUM: 4}.get(kind)
        if wanted is None or size != header + wanted or position + size > self.size:
            raise self._damaged(f"a chunk of kind {kind:#x} has {size} bytes")
        if kind == _CHECKSUM:
            return position + size
        if self.at + length > total:
            raise self._damaged("its chunks go beyond its end")
        if kind == _RAW:
            copy_range(self.source, self.target, data, self.at, length, deadline=self.deadline)
        elif kind == _FILL:
            self._fill(os.pread(self.source, 4, data), length)
        self.at += length
        return position + size

    def _fill(self, word: bytes, length: int) -> None:
        if word == bytes(4):
            return  # a hole reads as zeros
        pattern = memoryview(word * (min(length, _PATTERN) // 4))
        done = 0
        while done < length:
            if self.deadline.expired:
                raise overdue("unpacking the sparse image did not end", self.deadline)
            done += os.pwrite(self.target, pattern[: length - done], self.at + done)

    def _damaged(self, why: str) -> JobError:
        return JobError(f"{self.name} is no good sparse image: {why}", "was the download complete?")


def _sparse(source: int, target: int, deadline: Deadline) -> int:
    size = os.fstat(source).st_size
    blocks = -(-size // BLOCK)
    position, chunks = _HEADER.size, 0
    for start, count, data in _runs(source, size, blocks):
        if data:
            head = _CHUNK.pack(_RAW, 0, count, _CHUNK.size + count * BLOCK)
            first, length = start * BLOCK, min(count * BLOCK, size - start * BLOCK)
            os.pwrite(target, head, position)
            copy_range(source, target, first, position + len(head), length, deadline=deadline)
            position += len(head) + count * BLOCK
        else:
            position += os.pwrite(target, _CHUNK.pack(_FILL, 0, count, _CHUNK.size + 4) + bytes(4), position)
        chunks += 1
    os.ftruncate(target, position)
    header = _HEADER.pack(MAGIC, 1, 0, _HEADER.size, _CHUNK.size, BLOCK, blocks, chunks, 0)
    os.pwrite(target, header, 0)
    return position


def _runs(handle: int, size: int, blocks: int) -> Iterator[tuple[int, int, bool]]:
    """(first block, blocks, has data) from the beginning to the end of the file."""
    at = 0
    for start, stop in data_extents(handle, size):
        first, last = max(at, start // BLOCK), -(-stop // BLOCK)
        if first > at:
            yield at, first - at, False
        while first < last:
            count = min(_PIECE, last - first)
            yield first, count, True
            first += count
        at = max(at, last)
    if at < blocks:
        yield at, blocks - at, False
