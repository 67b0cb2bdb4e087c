# SPDX-License-Identifier: Apache-2.0
"""Replaying the journal of a file system that was not unmounted, before anything is written to it.

debugfs would write past the journal, and the replay at the next mount would then undo half of the overlay.
e2fsck does the replay, on a shadow that holds the journal and every block that the journal mentions.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from executor.errors import JobError
from executor.model.deadline import Deadline
from executor.tools.image.extfs import ExtFs
from executor.tools.image.shadow import Stretch, map_blocks, opened
from executor.tools.proc import LineSink, run

_MAGIC = 0xC03B3998
_DESCRIPTOR = 1
_LAST, _SAME_UUID = 8, 2
_BIT64, _CSUM_V2, _CSUM_V3 = 0x2, 0x8, 0x10
_JOURNAL_MAX = 1 << 30


def recover(fs: ExtFs, shadow_path: Path, *, deadline: Deadline, log: LineSink | None = None) -> None:
    """Replay the journal of `fs` into its blocks. Raises JobError when that is not possible."""
    made = fs.super
    if not made.journal_inode:
        raise JobError("the file system was not unmounted and its journal lies elsewhere", "unmount it first")
    inode = fs.inode(made.journal_inode)
    runs, _ = fs.runs(inode)
    if inode.size > _JOURNAL_MAX:
        raise JobError("the journal of the file system is larger than it may be")
    with opened(fs, shadow_path, deadline=deadline) as shadow:
        shadow.load(map_blocks(fs, inode))
        shadow.load((physical, count) for _, physical, count in runs)
        shadow.load(_mentioned(fs, fs.content(inode, _JOURNAL_MAX)))
        argv: list[str | Path] = ["e2fsck", "-y", "-E", "journal_only", shadow_path]
        done = run(argv, deadline=deadline, log=log, check=False)
        if done.returncode not in (0, 1):
            last = done.lines_tail[-1] if done.lines_tail else "e2fsck said nothing"
            raise JobError(
                f"the file system was not unmounted and its journal cannot be replayed: {last}",
                "run e2fsck on the image",
            )
        for offset, data in shadow.changes():
            fs.blocks.pwrite(offset, data)


def _mentioned(fs: ExtFs, journal: bytes) -> Iterator[Stretch]:
    """Every block that a descriptor in the journal names, old transactions included: more does no harm."""
    size = fs.super.block_size
    features = struct.unpack_from(">I", journal, 40)[0] if len(journal) >= 44 else 0
    for start in range(0, len(journal) - size + 1, size):
        magic, kind = struct.unpack_from(">II", journal, start)
        if magic == _MAGIC and kind == _DESCRIPTOR:
            for block in _tags(journal[start + 12 : start + size], features):
                if block < fs.super.blocks:
                    yield block, 1


def _tags(raw: bytes, features: int) -> Iterator[int]:
    wide = bool(features & _BIT64)
    length = 16 if features & _CSUM_V3 else 8 + 4 * wide + 2 * bool(features & _CSUM_V2)
    offset = 0
    while offset + length <= len(raw):
        (low,) = struct.unpack_from(">I", raw, offset)
        if features & _CSUM_V3:
            (flags,) = struct.unpack_from(">I", raw, offset + 4)
        else:
            (flags,) = struct.unpack_from(">H", raw, offset + 6)
        high = struct.unpack_from(">I", raw, offset + 8)[0] if wide else 0
        yield low | high << 32
        if flags & _LAST:
            return
        offset += length + (0 if flags & _SAME_UUID else 16)
