# SPDX-License-Identifier: Apache-2.0
"""What an image is: the one place that decides, and that refuses what is malformed or dangerous."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from executor.errors import JobError
from executor.tools.image import extsuper, partitions, qcow2, uimage
from executor.tools.image.blocks import Blocks, Window, open_file
from executor.tools.image.magic import HEAD, describe, looks_like


class Kind(StrEnum):
    """What a file can be for us."""

    EXT = "ext"
    QCOW2 = "qcow2"
    PARTITIONED = "partitioned"
    CPIO = "cpio"
    UIMAGE = "uimage"
    SPARSE = "android-sparse"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Volume:
    """A partition and what lies in it; `ext` is None when it holds no ext2/3/4."""

    partition: partitions.Partition
    ext: extsuper.Super | None


@dataclass(frozen=True, slots=True)
class Identified:
    """The kind of a file and the details of that kind; the others are empty."""

    kind: Kind
    size: int
    detail: str  # words for messages
    ext: extsuper.Super | None = None
    qcow2: qcow2.Qcow2 | None = None
    table: str = ""  # "mbr" or "gpt"
    volumes: tuple[Volume, ...] = ()
    header: uimage.Header | None = None


def identify(path: Path, *, own: bool = False) -> Identified:
    """What the file at `path` is. Raises JobError when it is malformed or names other files (qcow2).

    `own`: the file was made by this job itself; then a qcow2 may have a backing file.
    """
    with open_file(path) as blocks:
        try:
            return look(blocks, own=own)
        except JobError as problem:
            raise JobError(f"{path.name}: {problem.message}", problem.hint) from problem


def look(blocks: Blocks, *, own: bool = False) -> Identified:
    """The same for anything with blocks: the inside of a qcow2."""
    head = blocks.pread(0, HEAD)
    detail = describe(head)
    if head.startswith(qcow2.MAGIC):
        found = qcow2.read_header(blocks, own=own)
        return Identified(Kind.QCOW2, blocks.size, f"qcow2 version {found.version}", qcow2=found)
    if head.startswith(uimage.MAGIC.to_bytes(4, "big")):
        return Identified(Kind.UIMAGE, blocks.size, "u-boot image", header=uimage.parse(head))
    if head.startswith((b"070701", b"070702")):
        return Identified(Kind.CPIO, blocks.size, "cpio archive (newc)")
    name = looks_like(head)
    if name == "android sparse image":
        return Identified(Kind.SPARSE, blocks.size, name)
    if extsuper.is_ext(blocks):
        ext = extsuper.read_super(blocks)
        return Identified(Kind.EXT, blocks.size, f"{ext.generation} file system", ext=ext)
    table = partitions.read_table(blocks)
    if table is None:
        return Identified(Kind.OTHER, blocks.size, detail)
    volumes = tuple(Volume(one, _ext(Window(blocks, one.start, one.size))) for one in table.partitions)
    words = f"disk with {len(volumes)} partitions ({table.kind})"
    return Identified(Kind.PARTITIONED, blocks.size, words, table=table.kind, volumes=volumes)


def _ext(window: Window) -> extsuper.Super | None:
    """The file system of a partition; a damaged one counts when somebody wants to write into it."""
    if not extsuper.is_ext(window):
        return None
    try:
        return extsuper.read_super(window)
    except JobError:
        return None


def choose(
    found: Identified, *, index: int | None = None, number: int | None = None, label: str | None = None
) -> Volume:
    """The partition that an overlay goes into.

    `index` counts from 0 over all partitions in the order of their numbers (spec: job-format §4
    `partition`), `number` is that of the table (the seeds' `root_partition`, spec: job-format §5), `label` a
    GPT name or the name of the file system. With none of them: the label "root", else the only ext
    partition, else the largest. Raises JobError, with the table, when there is no such partition or it holds
    no ext file system.
    """
    every = found.volumes
    if index is not None:
        chosen = [every[index]] if 0 <= index < len(every) else []
        wanted = f"partition index {index}"
    elif number is not None:
        chosen = [one for one in every if one.partition.number == number]
        wanted = f"partition number {number}"
    elif label is not None:
        chosen = _labelled(every, label)
        wanted = f"a partition labelled {label!r}"
    else:
        chosen = _labelled(every, "root") or sorted(
            (one for one in every if one.ext), key=lambda one: -one.partition.size
        )
        wanted = "a partition with ext2, ext3 or ext4"
    if not chosen:
        raise JobError(f"the image has no {wanted.removeprefix('a ')}", listing(found))
    if chosen[0].ext is None:
        raise JobError(f"{wanted} holds no ext2, ext3 or ext4 file system", listing(found))
    return chosen[0]


def listing(found: Identified) -> str:
    """The partition table in one line, for hints."""
    words = []
    for index, one in enumerate(found.volumes):
        kind = one.ext.generation if one.ext else f"type {one.partition.type}"
        name = one.partition.label or (one.ext.label if one.ext else "")
        words.append(
            f"index {index}: number {one.partition.number}, {one.partition.size >> 20} MiB, {kind}"
            + (f", {name!r}" if name else "")
        )
    return "; ".join(words) or "the partition table is empty"


def _labelled(every: tuple[Volume, ...], label: str) -> list[Volume]:
    exact = [one for one in every if label in (one.partition.label, one.ext.label if one.ext else None)]
    return [one for one in exact if one.ext] or exact
