# SPDX-License-Identifier: Apache-2.0
"""A small disk that brings the overlay into a guest, in today's form (spec: job-format §5, tmpfs).

mke2fs could fill it itself (`-d`), but would keep the owner of the unpacked files, and that is the
unprivileged user of the container. So it is made empty and filled as every other image; both together take
some 20 ms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from executor.errors import JobError
from executor.model.deadline import Deadline
from executor.tools.image.blocks import open_file
from executor.tools.image.ext4 import put
from executor.tools.image.members import Member, read_overlays
from executor.tools.image.sparse import new_file
from executor.tools.proc import LineSink, run

_BLOCK = 4096
_SPARE = 1 << 20  # bytes beside the content: tables, directories, results that the guest writes


@dataclass(frozen=True, slots=True)
class Disk:
    """A raw ext2 image. `files` of the overlay lie in it."""

    path: Path
    uuid: str
    size: int
    files: int


def make_disk(
    path: Path,
    tar: Path | Sequence[Path],
    *,
    uuid: str,
    deadline: Deadline,
    size_mib: int = 0,
    strip: str = "",
    label: str = "lava",
    qcow2: bool = False,
    log: LineSink | None = None,
) -> Disk:
    """Make `path`, an ext2 file system of `size_mib` (0: as large as needed) that holds the tarballs as
    root's.

    `strip` ("/lava-42"): only what lies below that directory, without it. `qcow2`: as a qcow2 instead of
    raw. Nothing is left on failure. Raises JobError when the overlay does not fit.
    """
    tars = [tar] if isinstance(tar, Path) else list(tar)
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = path.with_name(f"{path.name}.raw") if qcow2 else path
    try:
        with read_overlays(tars, path.parent, deadline=deadline) as every:
            members = _below(every, strip)
            size = size_mib << 20 or _enough(members)
            _format(raw, size, uuid=uuid, label=label, count=len(members), deadline=deadline, log=log)
            with open_file(raw, writable=True) as blocks:
                files = put(blocks, members, workdir=path.parent, deadline=deadline, log=log)
        if qcow2:
            run(
                ["qemu-img", "convert", "-q", "-f", "raw", "-O", "qcow2", raw, path],
                deadline=deadline,
                log=log,
            )
            raw.unlink()
    except BaseException:
        raw.unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        raise
    return Disk(path, uuid, size, files)


def _below(members: list[Member], strip: str) -> list[Member]:
    prefix = tuple(part for part in strip.split("/") if part)
    depth = len(prefix)
    found = [member for member in members if member.path[:depth] == prefix and len(member.path) > depth]
    if not found:
        raise JobError(f"the overlay holds nothing below {strip or '/'}")
    return [replace(member, path=member.path[depth:]) for member in found]


def _enough(members: list[Member]) -> int:
    content = sum(member.size + 2 * _BLOCK for member in members)
    return (content * 5 // 4 + _SPARE) // _BLOCK * _BLOCK


def _format(
    path: Path,
    size: int,
    *,
    uuid: str,
    label: str,
    count: int,
    deadline: Deadline,
    log: LineSink | None,
) -> None:
    """An empty file system that is root's; no journal and no reserve, it lives for one job."""
    with new_file(path):
        pass
    argv = ["mke2fs", "-q", "-F", "-t", "ext2", "-b", str(_BLOCK), "-m", "0", "-L", label, "-U", uuid]
    inodes = str(max(1024, count * 2 + 64))
    argv += ["-N", inodes, "-E", "root_owner=0:0,nodiscard", str(path), f"{size >> 10}k"]
    run(argv, deadline=deadline, log=log)
