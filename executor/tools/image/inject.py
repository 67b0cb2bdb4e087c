# SPDX-License-Identifier: Apache-2.0
"""The overlay into an image that jobs share, whatever the image is (spec: job-format §4 `overlays`, §5
tmpfs).

What was measured on two cores for an image of 1 GB with 0.4 GB of data decides the ways that are used:
converting a qcow2 takes 1 to 1.6 s, copying the data of a raw file 0.4 to 1.8 s, both beyond the aim of 0.3
s. So a qcow2 gets a qcow2 overlay on the unchanged original, and a raw image gets one as well when the user
of the image can open it (`as_overlay=True`; QEMU can, even where the job says `format=raw`: see
`copy.drive_file`). Where a raw file is needed it is a reflink if the file system has them, else a copy of
the parts that are not holes.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from executor.errors import InfrastructureError, JobError
from executor.model.deadline import Deadline
from executor.tools.image import copy, nbd
from executor.tools.image.blocks import Blocks, Window, open_file
from executor.tools.image.compress import decompress
from executor.tools.image.ext4 import put
from executor.tools.image.identify import Kind, choose, identify, look
from executor.tools.image.members import read_overlays
from executor.tools.proc import LineSink


@dataclass(frozen=True, slots=True)
class Injected:
    """An image with the overlay in it. `backing` is the original that a qcow2 overlay still needs."""

    path: Path
    format: str  # "raw" or "qcow2"
    seconds: float
    partition: int | None = None  # number in the partition table
    backing: Path | None = None

    def drive_file(self, wanted: str = "") -> str:
        """What to write after `file=` in a `-drive` that says `format=<wanted>`."""
        return copy.drive_file(self.path, self.format, wanted)


def inject(
    image: Path,
    tar: Path | Sequence[Path],
    *,
    workdir: Path,
    deadline: Deadline,
    log: LineSink | None = None,
    partition: int | None = None,
    number: int | None = None,
    label: str | None = None,
    shared: bool = True,
    compression: str = "",
    as_overlay: bool = False,
) -> Injected:
    """Put the tarball (or several) into the root file system of `image`; everything becomes root's.

    `partition` counts from 0, `number` is that of the partition table, `label` names a partition or its file
    system; without any of them: "root", else the only or largest ext. `shared`: the image is not this job's
    own, it stays as it is and the result lies in `workdir`; otherwise it was made by this job and is changed
    in place. `compression`: what the image is still packed with. `as_overlay`: a raw image may become a
    qcow2 on top of it. Raises JobError for an image that cannot take it.
    """
    begin = time.monotonic()
    tars = [tar] if isinstance(tar, Path) else list(tar)
    workdir.mkdir(parents=True, exist_ok=True)
    made: Path | None = None  # what has to go when something fails
    original = image
    try:
        if compression:
            image = made = _unused(workdir, image.stem, "plain")
            decompress(original, image, compression, deadline=deadline, name=original.name)
        found = identify(image, own=not shared and not compression)
        format_ = result = "qcow2" if found.kind is Kind.QCOW2 else "raw"
        _refuse(found.kind, original.name, found.detail)
        backing = None
        if shared and not compression:
            result = "qcow2" if as_overlay else format_
            backing = image if result == "qcow2" else None
            made = _unused(workdir, image.stem, "qcow2" if backing else "img")
            _prepare(image, format_, made, result=result, deadline=deadline, log=log)
        target = made or image
        with (
            _opened(target, result, deadline) as blocks,
            read_overlays(tars, workdir, deadline=deadline) as members,
        ):
            window, chosen = _root(blocks, original.name, partition, number, label)
            count = put(window, members, workdir=workdir, deadline=deadline, log=log)
    except BaseException as problem:
        if made is not None:
            made.unlink(missing_ok=True)
        if isinstance(problem, OSError):
            raise InfrastructureError(f"{original.name}: {problem.strerror}") from problem
        if isinstance(problem, JobError) and not problem.message.startswith(original.name):
            raise type(problem)(f"{original.name}: {problem.message}", problem.hint) from problem
        raise
    seconds = time.monotonic() - begin
    if log is not None:
        where = "" if chosen is None else f" partition {chosen}"
        log(f"{original.name}:{where} got {count} files of the overlay in {seconds:.2f} s ({target.name})")
    return Injected(target, result, seconds, chosen, backing)


def _unused(workdir: Path, stem: str, suffix: str) -> Path:
    """A name in `workdir` that no other image has."""
    names = (workdir / f"{stem}{f'-{n}' if n else ''}.{suffix}" for n in itertools.count())
    return next(path for path in names if not path.exists())


def _refuse(kind: Kind, name: str, detail: str) -> None:
    if kind is Kind.SPARSE:
        raise JobError(f"{name} is an android sparse image", "convert it with simg2img first")
    if kind in (Kind.CPIO, Kind.UIMAGE, Kind.OTHER):
        raise JobError(f"{name} holds no file system for an overlay ({detail})")


def _prepare(
    image: Path, format_: str, target: Path, *, result: str, deadline: Deadline, log: LineSink | None
) -> None:
    """Something that may be written to and shows the content of `image`."""
    if result == "qcow2":
        copy.overlay(image, format_, target, deadline=deadline, log=log)
    else:
        way = copy.private_copy(image, target, deadline=deadline)
        if log is not None:
            log(f"{image.name}: private copy ({way})")


@contextmanager
def _opened(path: Path, format_: str, deadline: Deadline) -> Iterator[Blocks]:
    if format_ == "qcow2":
        with nbd.serve(path, deadline=deadline, writable=True) as inside:
            yield inside
    else:
        with open_file(path, writable=True) as file:
            yield file


def _root(
    blocks: Blocks, name: str, index: int | None, number: int | None, label: str | None
) -> tuple[Blocks, int | None]:
    """The part of the disk that holds the root file system, and its number in the partition table."""
    found = look(blocks)
    if found.kind is Kind.EXT:
        if number is not None or index not in (None, 0):
            raise JobError(f"{name} has no partitions, it is one {found.detail}", "leave out the partition")
        return blocks, None
    if found.kind is not Kind.PARTITIONED:
        raise JobError(f"{name} holds no file system for an overlay ({found.detail})")
    volume = choose(found, index=index, number=number, label=label)
    chosen = volume.partition
    return Window(blocks, chosen.start, chosen.size), chosen.number
