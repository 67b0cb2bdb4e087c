# SPDX-License-Identifier: Apache-2.0
"""An overlay into an ext2, ext3 or ext4 file system, wherever its blocks are: plan, shadow, debugfs, carry
over.

The file system itself is not touched before everything has succeeded on the shadow (see `shadow`), so a full
file system or a broken tarball leaves it as it was. Afterwards each new file is looked up again in the
result.
"""

from __future__ import annotations

import stat
from collections.abc import Sequence
from pathlib import Path

from executor.errors import InfrastructureError, JobError
from executor.model.deadline import Deadline
from executor.tools.image import debugfs, journal, shadow
from executor.tools.image.blocks import Blocks
from executor.tools.image.extfs import ExtFs
from executor.tools.image.extsuper import SHARED_BLOCKS
from executor.tools.image.members import Form, Member
from executor.tools.image.merge import Merge, Plan, Step
from executor.tools.proc import LineSink


def put(
    blocks: Blocks,
    members: list[Member],
    *,
    workdir: Path,
    deadline: Deadline,
    log: LineSink | None = None,
) -> int:
    """Put `members` into the file system that fills `blocks`, as root's. Returns how many things were made.

    `workdir` holds some megabytes for a moment. Raises JobError when the file system is damaged, full, or of
    a kind that cannot be written to, or when image and overlay contradict each other.
    """
    stand_in = workdir / "shadow.ext"
    fs = ExtFs(blocks)
    if fs.super.read_only & SHARED_BLOCKS:
        raise JobError(
            "the file system shares blocks between files and cannot be written to", "unshare it first"
        )
    if fs.super.needs_recovery:
        if log is not None:
            log("the file system was not unmounted: replaying its journal")
        journal.recover(fs, stand_in, deadline=deadline, log=log)
        fs = ExtFs(blocks)
    plan = Merge(fs).plan(members)
    if not plan.steps:
        return 0
    _check_space(fs, plan)
    with shadow.opened(fs, stand_in, deadline=deadline) as copy:
        copy.load(plan.touched)
        copy.give_back(plan.freed)
        debugfs.apply(stand_in, plan.steps, workdir=workdir, deadline=deadline, log=log)
        for offset, data in copy.changes():
            blocks.pwrite(offset, data)
    _verify(blocks, plan.steps)
    return len(plan.steps)


def _check_space(fs: ExtFs, plan: Plan) -> None:
    """Refuse what cannot fit before any work is done. Maps and growing directories are left to debugfs."""
    made = fs.super
    cluster = made.cluster_size
    needed = sum(-(-_bytes(step) // cluster) for step in plan.steps)
    freed = sum(count for _, count in plan.freed) * made.block_size // cluster
    free = sum(group.free_blocks for group in fs.groups) + freed
    if needed > free:
        raise JobError(
            f"the overlay needs {needed * cluster >> 10} KiB, "
            f"the file system has {free * cluster >> 10} KiB free",
            "make the image larger",
        )
    inodes = sum(group.free_inodes for group in fs.groups) + sum(step.replace for step in plan.steps)
    if len(plan.steps) > inodes:
        raise JobError(
            f"the overlay needs {len(plan.steps)} inodes, the file system has {inodes} free",
            "make the image with more inodes (mke2fs -N)",
        )


def _bytes(step: Step) -> int:
    member = step.member
    if member.form is Form.LINK:
        length = len(member.target.encode("utf-8", "surrogateescape"))
        return length if length >= 60 else 0
    return 1 if member.form is Form.DIRECTORY else member.size


def _verify(blocks: Blocks, steps: Sequence[Step]) -> None:
    """Look each new thing up in the result: kind, size, mode and owner, and the content of the last file."""
    fs = ExtFs(blocks)
    tree = Merge(fs)
    last: Step | None = None
    for step in steps:
        node = tree.resolve(step.path)
        inode = node.inode if node is not None else None
        member = step.member
        good = inode is not None and (inode.uid, inode.gid) == (0, 0)
        if inode is not None and member.form is Form.FILE:
            good = good and (stat.S_ISREG(inode.mode), inode.size) == (True, member.size)
            last = step
        elif inode is not None:
            good = good and (inode.is_dir if member.form is Form.DIRECTORY else inode.is_link)
        if inode is not None and member.form is not Form.LINK:
            good = good and stat.S_IMODE(inode.mode) == member.mode
        if not good:
            raise InfrastructureError(f"/{'/'.join(step.path)} is not in the image as it should be")
    if last is not None and last.member.size < 1 << 20:
        node = tree.resolve(last.path)
        inode = None if node is None else node.inode
        if inode is None or fs.content(inode) != b"".join(last.member.read()):
            raise InfrastructureError(f"/{'/'.join(last.path)} has not the right content in the image")
