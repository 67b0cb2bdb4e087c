# SPDX-License-Identifier: Apache-2.0
"""A sparse stand-in for a file system, so that debugfs can work on images that are no files.

debugfs needs a file of its own to write to. Copying or converting an image of 1 GB takes a second and more,
but an overlay touches little of it. The shadow is a file with holes as large as the file system that holds
only the metadata which debugfs reads: superblock, descriptors, bitmaps, inodes in use, the directories on
the way. debugfs works on it in milliseconds, and what has changed is carried to wherever the image really
is: a private raw file, a partition in one, or a qcow2 overlay on a shared original that stays as it is.
"""

from __future__ import annotations

import bisect
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from executor.errors import InfrastructureError
from executor.model.deadline import Deadline
from executor.tools.image.extfs import ExtFs, Group, Inode
from executor.tools.image.sparse import data_extents
from executor.tools.proc import overdue

_PIECE = 1 << 20  # bytes read at once
_GAP = 4  # blocks between two wanted stretches that are read along rather than skipped

Stretch = tuple[int, int]  # first block, count


class Shadow:
    """The stand-in for the file system `fs`; made by `opened`."""

    def __init__(self, fs: ExtFs, handle: int, deadline: Deadline) -> None:
        self._fs = fs
        self._handle = handle
        self._deadline = deadline
        self._size = fs.super.block_size
        self._loaded: list[Stretch] = []  # sorted, apart from each other
        self._free: list[Stretch] = []  # blocks that the writer gives back and may take again

    def load(self, wanted: Iterable[Stretch]) -> None:
        """Copy these blocks from the image into the shadow."""
        for first, count in _merged([*wanted], _GAP):
            stop = min(first + count, self._fs.super.blocks)
            for start in range(first, stop, _PIECE // self._size):
                self._tick()
                raw = self._fs.read_blocks(start, min(_PIECE // self._size, stop - start))
                os.pwrite(self._handle, raw, start * self._size)
            self._loaded.append((first, stop - first))
        self._loaded = _merged(self._loaded, 0)

    def give_back(self, blocks: Iterable[Stretch]) -> None:
        """Tell that the writer will free these blocks: what it writes there is new, zeros included."""
        self._free = _merged([*self._free, *blocks], 0)

    def changes(self) -> Iterator[tuple[int, bytes]]:
        """(offset in bytes, data) of all that was written since it was loaded, in order.

        A page of the shadow may hold blocks that nobody wrote when blocks are smaller than pages: they are
        zero, and are told apart from written zeros by asking whether the image used them before.
        """
        size = self._size
        total = self._fs.super.blocks * size
        for begin, stop in data_extents(self._handle, total):
            begin -= begin % size  # noqa: PLW2901  # pages smaller than blocks
            for start in range(begin, stop, _PIECE):
                self._tick()
                length = min(_PIECE, stop - start, total - start)
                length += -length % size
                new = os.pread(self._handle, length, start)
                old = self._fs.blocks.pread(start, length)
                if new != old:
                    yield from self._differing(start, old, new)

    def _differing(self, start: int, old: bytes, new: bytes) -> Iterator[tuple[int, bytes]]:
        size = self._size
        zero = bytes(size)
        begin = -1
        for offset in range(0, len(new), size):
            block = new[offset : offset + size]
            changed = block != old[offset : offset + size]
            if changed and block == zero[: len(block)]:
                changed = not self._untouched((start + offset) // size)
            if changed and begin < 0:
                begin = offset
            elif not changed and begin >= 0:
                yield start + begin, new[begin:offset]
                begin = -1
        if begin >= 0:
            yield start + begin, new[begin:]

    def _untouched(self, block: int) -> bool:
        """Whether a zero block is a hole of the shadow rather than written: the image used it and still
        does.
        """
        if _inside(self._loaded, block) or _inside(self._free, block):
            return False
        made = self._fs.super
        if _inside(self._tables, block):
            return True
        group, index = divmod(block - made.first_block, made.blocks_per_group)
        found = self._fs.groups[group]
        if self._fs.checksummed and found.flags & Group.BLOCK_UNINIT:
            return False
        bit = index // (made.cluster_size // made.block_size)
        byte = self._fs.blocks.pread(found.block_bitmap * self._size + bit // 8, 1)
        return bool(byte and byte[0] >> (bit % 8) & 1)

    @cached_property
    def _tables(self) -> list[Stretch]:
        """What is in use in every group, also where no bitmap says so yet."""
        fs = self._fs
        made = fs.super
        table = -(-made.inodes_per_group * made.inode_size // made.block_size)
        found: list[Stretch] = [(0, made.super_block + 1)]
        for number, group in enumerate(fs.groups):
            found += [(group.block_bitmap, 1), (group.inode_bitmap, 1), (group.inode_table, table)]
            if fs.has_super(number):
                first = made.first_block + number * made.blocks_per_group
                found.append((first, 2 + len(fs.descriptor_blocks) + made.reserved_descriptors))
        return _merged(found, 0)

    def _tick(self) -> None:
        if self._deadline.expired:
            raise overdue("putting files into the file system did not end", self._deadline)


def metadata(fs: ExtFs) -> list[Stretch]:
    """What every writer of a file system reads: superblock, descriptors, bitmaps, inodes in use."""
    made = fs.super
    found: list[Stretch] = [(0, made.super_block + 1)]
    found.extend((block, 1) for block in fs.descriptor_blocks)
    if made.multi_mount_block:
        found.append((made.multi_mount_block, 1))
    for group in fs.groups:
        used = made.inodes_per_group
        if fs.checksummed:
            used = 0 if group.flags & Group.INODE_UNINIT else used - min(used, group.unused_inodes)
        if not (fs.checksummed and group.flags & Group.BLOCK_UNINIT):
            found.append((group.block_bitmap, 1))
        if not (fs.checksummed and group.flags & Group.INODE_UNINIT):
            found.append((group.inode_bitmap, 1))
        if used:
            found.append((group.inode_table, -(-used * made.inode_size // made.block_size)))
    return found


def map_blocks(fs: ExtFs, inode: Inode) -> list[Stretch]:
    """The blocks that say where a file lies, its extended attributes, and for a directory its content."""
    runs, index = fs.runs(inode)
    found = [(block, 1) for block in index]
    if inode.attributes:
        found.append((inode.attributes, 1))
    if inode.is_dir:
        found.extend((physical, count) for _, physical, count in runs)
    return found


@contextmanager
def opened(fs: ExtFs, path: Path, *, deadline: Deadline) -> Iterator[Shadow]:
    """The shadow of `fs` at `path`, its metadata loaded. The file is removed when the context is left."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as problem:
        raise InfrastructureError(f"{path} cannot be made: {problem.strerror}") from problem
    try:
        os.ftruncate(handle, fs.super.blocks * fs.super.block_size)
        shadow = Shadow(fs, handle, deadline)
        shadow.load(metadata(fs))
        yield shadow
    except OSError as problem:
        raise InfrastructureError(f"{path} cannot be written: {problem.strerror}") from problem
    finally:
        os.close(handle)
        path.unlink(missing_ok=True)


def _merged(stretches: list[Stretch], gap: int) -> list[Stretch]:
    """Sorted, and joined where they touch or lie at most `gap` blocks apart."""
    found: list[Stretch] = []
    for first, count in sorted(stretches):
        if found and first <= sum(found[-1]) + gap:
            last, length = found[-1]
            found[-1] = (last, max(length, first + count - last))
        else:
            found.append((first, count))
    return found


def _inside(stretches: list[Stretch], block: int) -> bool:
    at = bisect.bisect_right(stretches, (block, 1 << 62)) - 1
    return at >= 0 and block < sum(stretches[at])
