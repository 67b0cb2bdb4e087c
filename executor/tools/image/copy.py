# SPDX-License-Identifier: Apache-2.0
"""A private copy of a shared image that costs as little as the file system allows.

In order of cost: a reflink (no data moves), a qcow2 overlay on the shared original (0.2 MB, whatever the
size), a copy of the parts that are not holes. An overlay is the only cheap way where reflinks do not exist
(ext4).
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from pathlib import Path
from typing import BinaryIO

from executor.errors import InfrastructureError
from executor.model.deadline import Deadline
from executor.tools.image.sparse import data_extents, new_file
from executor.tools.proc import LineSink, overdue, run

_FICLONE = 0x40049409
_PIECE = 16 << 20  # bytes between two looks at the deadline


def private_copy(source: Path, target: Path, *, deadline: Deadline) -> str:
    """Copy `source` to `target`, which may then be written to. Returns "reflink" or "sparse".

    Nothing is left at `target` on failure. Raises InfrastructureError for a full or failing disk.
    """
    with _reading(source) as original, new_file(target) as copy:
        return clone(original.fileno(), copy, deadline=deadline)


def clone(source: int, target: int, *, deadline: Deadline) -> str:
    """Fill the empty file `target` with `source` (descriptors). Returns "reflink" or "sparse"."""
    try:
        fcntl.ioctl(target, _FICLONE, source)
        return "reflink"
    except OSError as problem:
        # Whatever the reason is (other file system, no support, a forbidden ioctl): copying works anyway.
        if problem.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            raise
    size = os.fstat(source).st_size
    os.ftruncate(target, size)
    for start, stop in data_extents(source, size):
        copy_range(source, target, start, start, stop - start, deadline=deadline)
    return "sparse"


def copy_range(source: int, target: int, from_: int, to: int, length: int, *, deadline: Deadline) -> None:
    """Copy `length` bytes between descriptors inside the kernel where it can do that."""
    in_kernel = True
    while length > 0:
        if deadline.expired:
            raise overdue("copying the image did not end", deadline)
        done = 0
        if in_kernel:
            try:
                done = os.copy_file_range(source, target, min(length, _PIECE), from_, to)
            except OSError as problem:
                if problem.errno not in (
                    errno.EXDEV,
                    errno.EINVAL,
                    errno.ENOSYS,
                    errno.EOPNOTSUPP,
                    errno.EPERM,
                ):
                    raise
            in_kernel = done > 0  # some file systems answer 0 instead of an error
        if not done:
            done = os.pwrite(target, os.pread(source, min(length, 1 << 20), from_), to)
            if not done:
                raise InfrastructureError("the image became shorter while it was copied")
        from_, to, length = from_ + done, to + done, length - done


def overlay(
    original: Path, format_: str, target: Path, *, deadline: Deadline, log: LineSink | None = None
) -> None:
    """Make `target` a qcow2 whose unwritten parts are those of `original` ("raw" or "qcow2"), which stays as
    it is.
    """
    argv = [
        "qemu-img",
        "create",
        "-q",
        "-f",
        "qcow2",
        "-F",
        format_,
        "-b",
        str(original.absolute()),
        str(target),
    ]
    try:
        run(argv, deadline=deadline, log=log)
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def drive_file(path: Path, format_: str, wanted: str) -> str:
    """What to write after `file=` in a `-drive` option that says `format=<wanted>`, for an image of
    `format_`.

    A qcow2 under `format=raw` needs both drivers by name: `format=raw` overrides the outermost driver of a
    `json:` name, so the qcow2 driver has to stand one level further in. Commas are doubled as `-drive` wants
    it.
    """
    plain = str(path.absolute())
    if format_ != "raw" and wanted == "raw":
        inner = {"driver": format_, "file": {"driver": "file", "filename": plain}}
        plain = "json:" + json.dumps({"driver": "raw", "file": inner}, separators=(",", ":"))
    return plain.replace(",", ",,")


def _reading(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as problem:
        raise InfrastructureError(f"{path} cannot be read: {problem.strerror}") from problem
