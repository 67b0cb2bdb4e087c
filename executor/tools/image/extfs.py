# SPDX-License-Identifier: Apache-2.0
"""Reading an ext2/3/4 file system without mounting it: group descriptors, inodes, directories.

Needed to know what an overlay meets in an image (directories, symlinks, files to replace) and which blocks of
metadata a writer will touch. Content is untrusted: all sizes are bounded, all pointers checked.
"""

from __future__ import annotations

import stat
import struct
from dataclasses import dataclass
from typing import ClassVar

from executor.errors import JobError
from executor.tools.image import extsuper
from executor.tools.image.blocks import Blocks
from executor.tools.image.extsuper import Super

ROOT = 2
_EXTENTS, _INLINE, _ENCRYPTED = 0x80000, 0x10000000, 0x800
_DIRECTORY_MAX = 64 << 20  # bytes of one directory
_RUNS_MAX = 4 << 20  # stretches of one file
_HINT = "run e2fsck on the image"

Run = tuple[int, int, int]  # logical block, physical block, count


@dataclass(frozen=True, slots=True)
class Group:
    """A group descriptor; block numbers of its three tables, and what is free."""

    block_bitmap: int
    inode_bitmap: int
    inode_table: int
    flags: int
    free_blocks: int  # in clusters
    free_inodes: int
    unused_inodes: int

    INODE_UNINIT: ClassVar[int] = 1
    BLOCK_UNINIT: ClassVar[int] = 2


@dataclass(frozen=True, slots=True)
class Inode:
    """A file of any kind. `mode` holds the type; `map` are the 60 bytes of block pointers."""

    number: int
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int
    links: int
    flags: int
    attributes: int  # block of the extended attributes, or 0
    map: bytes

    @property
    def is_dir(self) -> bool:
        return stat.S_ISDIR(self.mode)

    @property
    def is_link(self) -> bool:
        return stat.S_ISLNK(self.mode)


class ExtFs:
    """A file system on `blocks`. Every method raises JobError for damaged data."""

    def __init__(self, blocks: Blocks) -> None:
        self.blocks = blocks
        self.super: Super = extsuper.read_super(blocks)
        self.checksummed = bool(self.super.read_only & (extsuper.GDT_CSUM | extsuper.METADATA_CSUM))
        self.descriptor_blocks = self._descriptor_blocks()
        self.groups = self._read_groups()

    def read_blocks(self, start: int, count: int) -> bytes:
        """`count` blocks from block `start` on."""
        size = self.super.block_size
        raw = self.blocks.pread(start * size, count * size)
        if len(raw) != count * size:
            raise JobError(f"block {start} lies outside of the file system", _HINT)
        return raw

    def has_super(self, group: int) -> int:
        """1 for a group that starts with a copy of the superblock."""
        if self.super.compatible & extsuper.SPARSE_SUPER2:
            return int(group in (0, *self.super.backup_groups))
        if not self.super.read_only & 1 or group <= 1:  # without sparse_super every group has one
            return 1
        for base in (3, 5, 7):
            power = base
            while power < group:
                power *= base
            if power == group:
                return 1
        return 0

    def inode_place(self, number: int) -> int:
        """Where inode `number` lies, in bytes."""
        made = self.super
        group, index = divmod(number - 1, made.inodes_per_group)
        if number < 1 or group >= len(self.groups):
            raise JobError(f"inode {number} does not exist", _HINT)
        return self.groups[group].inode_table * made.block_size + index * made.inode_size

    def inode(self, number: int) -> Inode:
        """Inode `number`."""
        raw = self.blocks.pread(self.inode_place(number), 128)
        if len(raw) != 128:
            raise JobError(f"inode {number} lies outside of the file system", _HINT)
        mode, uid, size, _, _, mtime, _, gid, links, _, flags = struct.unpack_from("<HHIIIIIHHII", raw)
        low, size_high = struct.unpack_from("<II", raw, 0x68)
        acl_high, uid_high, gid_high = struct.unpack_from("<HHH", raw, 0x76)
        return Inode(
            number,
            mode,
            uid | uid_high << 16,
            gid | gid_high << 16,
            size | size_high << 32,
            mtime,
            links,
            flags,
            low | acl_high << 32,
            raw[40:100],
        )

    def runs(self, inode: Inode) -> tuple[list[Run], list[int]]:
        """The stretches of a file's data, and the blocks that hold the map itself."""
        index: list[int] = []
        if inode.flags & _INLINE or (inode.is_link and inode.size < 60):
            return [], index
        if inode.flags & _EXTENTS:
            return self._extents(inode.map, 6, index), index
        return self._pointers(inode, index), index

    def content(self, inode: Inode, limit: int = _DIRECTORY_MAX) -> bytes:
        """All bytes of a file that is not larger than `limit`."""
        if inode.flags & _INLINE:
            raise JobError("the file system keeps data inside inodes (inline_data)", "make it without")
        if inode.size > limit:
            raise JobError(f"inode {inode.number} is larger than it may be", _HINT)
        if inode.is_link and inode.size < 60:
            return inode.map[: inode.size]
        size = self.super.block_size
        data = bytearray(inode.size)
        for logical, physical, count in self.runs(inode)[0]:
            start = logical * size
            count = min(count, -(-(inode.size - start) // size))  # noqa: PLW2901  # no more than the file needs
            if count > 0:
                part = self.read_blocks(physical, count)[: inode.size - start]
                data[start : start + len(part)] = part
        return bytes(data)

    def entries(self, inode: Inode) -> dict[bytes, int]:
        """The names in a directory and their inodes, `.` and `..` left out."""
        if inode.flags & _ENCRYPTED:
            raise JobError("a directory of the file system is encrypted", "use an image without encryption")
        raw = self.content(inode)
        size = self.super.block_size
        found: dict[bytes, int] = {}
        for start in range(0, len(raw), size):
            self._entries(raw[start : start + size], found)
        return found

    def _entries(self, block: bytes, found: dict[bytes, int]) -> None:
        offset = 0
        while offset + 8 <= len(block):
            number, length, name_length = struct.unpack_from("<IHB", block, offset)
            if length in (0, 65535):  # 64 KiB blocks cannot say their length in 16 bits
                length = len(block)
            if length < 8 or offset + length > len(block) or name_length > length - 8:
                raise JobError("a directory of the file system is damaged", _HINT)
            name = block[offset + 8 : offset + 8 + name_length]
            if number and name not in (b"", b".", b".."):
                found[name] = number
            offset += length

    def _descriptor_blocks(self) -> list[int]:
        made = self.super
        each = made.block_size // made.descriptor_size
        count = -(-made.groups // each)
        meta = made.first_meta_group if made.incompatible & extsuper.META_BG else count
        found = [made.super_block + 1 + number for number in range(min(count, meta))]
        for number in range(meta, count):
            group = number * each
            found.append(made.first_block + group * made.blocks_per_group + self.has_super(group))
        return found

    def _read_groups(self) -> list[Group]:
        made = self.super
        if made.groups > 1 << 20:
            raise JobError("the file system has too many groups", _HINT)
        raw = b"".join(self.read_blocks(block, 1) for block in self.descriptor_blocks)
        return [self._group(raw, number) for number in range(made.groups)]

    def _group(self, raw: bytes, number: int) -> Group:
        size = self.super.descriptor_size
        low = struct.unpack_from("<IIIHHHHIHHHH", raw, number * size)
        high = (0,) * 6
        if size >= 64:
            high = struct.unpack_from("<IIIHH2xH", raw, number * size + 32)
        tables = [low[n] | high[n] << 32 for n in range(3)]
        if any(not 0 < block < self.super.blocks for block in tables):
            raise JobError(f"the descriptor of group {number} is damaged", _HINT)
        counts = (low[3] | high[3] << 16, low[4] | high[4] << 16, low[10] | high[5] << 16)
        return Group(tables[0], tables[1], tables[2], low[6], *counts)

    def _extents(self, node: bytes, depth_limit: int, index: list[int]) -> list[Run]:
        magic, entries, _, depth = struct.unpack_from("<4H", node)
        if magic != 0xF30A or depth >= depth_limit or 12 * (entries + 1) > len(node):
            raise JobError("the extent map of a file is damaged", _HINT)
        found: list[Run] = []
        for number in range(entries):
            at = 12 * (number + 1)
            if depth == 0:
                logical, length, high, low = struct.unpack_from("<IHHI", node, at)
                found.append((logical, low | high << 32, length - 32768 if length > 32768 else length))
                continue
            low, high = struct.unpack_from("<IH", node, at + 4)
            child = low | high << 32
            index.append(child)
            if len(index) > _RUNS_MAX:
                raise JobError("the extent map of a file does not end", _HINT)
            found.extend(self._extents(self.read_blocks(child, 1), depth, index))
        return found

    def _pointers(self, inode: Inode, index: list[int]) -> list[Run]:
        """The block map of ext2: direct, indirect, double and triple indirect pointers."""
        found: list[Run] = []
        pointers = struct.unpack("<15I", inode.map)
        for logical, block in enumerate(pointers[:12]):
            _add(found, logical, block)
        each = self.super.block_size // 4
        logical = 12
        for level, block in enumerate(pointers[12:], 1):
            if block:
                self._indirect(block, level, logical, found, index)
            logical += each**level
        return found

    def _indirect(self, block: int, level: int, logical: int, found: list[Run], index: list[int]) -> None:
        index.append(block)
        if len(index) > _RUNS_MAX or len(found) > _RUNS_MAX:
            raise JobError("the block map of a file does not end", _HINT)
        each = self.super.block_size // 4
        for number, child in enumerate(struct.unpack(f"<{each}I", self.read_blocks(block, 1))):
            at = logical + number * each ** (level - 1)
            if level == 1:
                _add(found, at, child)
            elif child:
                self._indirect(child, level - 1, at, found, index)


def _add(found: list[Run], logical: int, block: int) -> None:
    """Append one block, as part of the last stretch where it continues that."""
    if not block:
        return
    if found:
        first, physical, count = found[-1]
        if first + count == logical and physical + count == block:
            found[-1] = (first, physical, count + 1)
            return
    found.append((logical, block, 1))
