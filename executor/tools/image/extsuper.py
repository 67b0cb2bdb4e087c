# SPDX-License-Identifier: Apache-2.0
"""The superblock of ext2, ext3 and ext4: everything else is found from here."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from executor.errors import JobError
from executor.tools.image.blocks import Blocks

MAGIC = 0xEF53
OFFSET, LENGTH = 1024, 1024

HAS_JOURNAL, SPARSE_SUPER2 = 0x4, 0x200  # compatible
FILETYPE, RECOVER, JOURNAL_DEV, META_BG, EXTENTS, BIT64 = 0x2, 0x4, 0x8, 0x10, 0x40, 0x80  # incompatible
GDT_CSUM, BIGALLOC, METADATA_CSUM, SHARED_BLOCKS = 0x10, 0x200, 0x400, 0x4000  # read-only compatible


@dataclass(frozen=True, slots=True)
class Super:
    """The fields that matter here; sizes in bytes, block numbers from the start of the file system."""

    inodes: int
    blocks: int
    free_blocks: int
    free_inodes: int
    first_block: int
    block_size: int
    cluster_size: int  # what one bit of a block bitmap stands for
    blocks_per_group: int
    inodes_per_group: int
    inode_size: int
    descriptor_size: int
    compatible: int
    incompatible: int
    read_only: int
    first_meta_group: int
    reserved_descriptors: int  # blocks kept for growing the table of descriptors
    backup_groups: tuple[int, ...]  # sparse_super2 only
    journal_inode: int
    multi_mount_block: int
    label: str
    uuid: str

    @property
    def groups(self) -> int:
        return -(-(self.blocks - self.first_block) // self.blocks_per_group)

    @property
    def super_block(self) -> int:
        """The block that holds the superblock; with bigalloc it is not always the first."""
        return OFFSET // self.block_size

    @property
    def generation(self) -> str:
        """ "ext2", "ext3" or "ext4"."""
        if self.incompatible & (EXTENTS | BIT64) or self.read_only & (METADATA_CSUM | GDT_CSUM):
            return "ext4"
        return "ext3" if self.compatible & HAS_JOURNAL else "ext2"

    @property
    def needs_recovery(self) -> bool:
        """The journal holds changes that are not in the file system yet: it was not unmounted."""
        return bool(self.incompatible & RECOVER)


def is_ext(blocks: Blocks) -> bool:
    """Whether there is an ext superblock."""
    return blocks.pread(OFFSET + 56, 2) == MAGIC.to_bytes(2, "little")


def read_super(blocks: Blocks) -> Super:
    """Parse and check the superblock. Raises JobError when it is missing, damaged or larger than the disk."""
    raw = blocks.pread(OFFSET, LENGTH)
    if len(raw) < LENGTH or not is_ext(blocks):
        raise JobError("there is no ext2, ext3 or ext4 file system")
    inodes, low, _, free_low, free_inodes, first, log_block, log_cluster = struct.unpack_from("<8I", raw, 0)
    per_group, clusters_per_group, inodes_per_group = struct.unpack_from("<3I", raw, 32)
    (revision,) = struct.unpack_from("<I", raw, 76)
    (inode_size,) = struct.unpack_from("<H", raw, 88)
    compatible, incompatible, read_only = struct.unpack_from("<3I", raw, 92)
    (reserved,) = struct.unpack_from("<H", raw, 206)
    (journal_inode,) = struct.unpack_from("<I", raw, 224)
    descriptor_size, first_meta = struct.unpack_from("<H4xI", raw, 254)
    (mmp_block,) = struct.unpack_from("<Q", raw, 0x168)
    high, free_high = struct.unpack_from("<I4xI", raw, 0x150)
    if revision == 0:
        inode_size, compatible, incompatible, read_only = 128, 0, 0, 0
    wide = bool(incompatible & BIT64)
    if log_block > 6 or log_cluster > 20:
        raise JobError("the superblock makes no sense", "the file system is damaged")
    size = 1024 << log_block
    made = Super(
        inodes=inodes,
        blocks=low | (high << 32 if wide else 0),
        free_blocks=free_low | (free_high << 32 if wide else 0),
        free_inodes=free_inodes,
        first_block=first,
        block_size=size,
        cluster_size=1024 << log_cluster if read_only & BIGALLOC else size,
        blocks_per_group=per_group,
        inodes_per_group=inodes_per_group,
        inode_size=inode_size,
        descriptor_size=descriptor_size if wide else 32,
        compatible=compatible,
        incompatible=incompatible,
        read_only=read_only,
        first_meta_group=first_meta,
        reserved_descriptors=reserved,
        backup_groups=struct.unpack_from("<2I", raw, 0x24C),
        journal_inode=journal_inode,
        multi_mount_block=mmp_block,
        label=raw[120:136].split(b"\0", 1)[0].decode("utf-8", "replace"),
        uuid=_uuid(raw[104:120]),
    )
    _check(made, blocks.size, clusters_per_group if read_only & BIGALLOC else per_group)
    return made


def _check(made: Super, size: int, bits: int) -> None:
    sensible = (
        made.blocks > made.first_block
        and made.first_block in (0, 1)
        and made.block_size <= made.cluster_size
        and 0 < bits <= made.block_size * 8
        and made.blocks_per_group == bits * (made.cluster_size // made.block_size)
        and 0 < made.inodes_per_group <= made.block_size * 8
        and made.inode_size in (128, 256, 512, 1024, 2048, 4096)
        and made.inode_size <= made.block_size
        and made.descriptor_size in (32, 64, 128, 256, 512, 1024)
        and made.inodes <= made.groups * made.inodes_per_group
    )
    if not sensible:
        raise JobError("the superblock makes no sense", "the file system is damaged")
    if made.blocks * made.block_size > size:
        raise JobError(
            f"the file system has {made.blocks * made.block_size} bytes, but only {size} are there",
            "the image is cut off",
        )
    if made.incompatible & JOURNAL_DEV:
        raise JobError("this is an external journal and not a file system")


def _uuid(raw: bytes) -> str:
    text = raw.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
