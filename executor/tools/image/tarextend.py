# SPDX-License-Identifier: Apache-2.0
"""Overlays that a job brings by URL: moved to their place in the tree, and put behind a root file system that
is a tarball itself (spec: job-format §4, `overlays`).
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from executor.errors import JobError
from executor.model.deadline import Deadline
from executor.tools.image import copy
from executor.tools.image.magic import HEAD, describe, looks_like
from executor.tools.image.members import COUNT_MAX, SIZE_MAX, Form, Member, read_overlays
from executor.tools.image.methods import DATA_ERRORS
from executor.tools.proc import overdue
from executor.tools.tarsafe import BoundedInfo


def moved(source: Path, target: Path, place: str, *, tar: bool, deadline: Deadline, name: str) -> None:
    """Write the tarball `target`: the file `source` as `place`, or the members of the tarball `source` below
    it. What is dangerous in it is refused when `target` is read as an overlay.

    Raises JobError for what is no tarball or too large, JobTimeout at the deadline.
    """
    names = [part for part in place.split("/") if part not in ("", ".")]
    if ".." in names or (not tar and not names):
        raise JobError(f"the path {place!r} of the overlay {name} cannot be")
    prefix = "/".join(names)
    with tarfile.open(target, "w", format=tarfile.GNU_FORMAT) as out:
        if not tar:
            with source.open("rb") as file:
                info = tarfile.TarInfo(prefix)
                info.size, info.mode = source.stat().st_size, 0o644
                out.addfile(info, file)
            return
        for info, content in _read(source, deadline, name):
            info.name = f"{prefix}/{info.name}" if prefix else info.name
            if info.islnk():
                info.linkname = f"{prefix}/{info.linkname}" if prefix else info.linkname
            info.pax_headers = {}  # or the name in them would win
            out.addfile(info, content)


def _read(source: Path, deadline: Deadline, name: str) -> Iterator[tuple[tarfile.TarInfo, IO[bytes] | None]]:
    """Header and content of each member, within the bounds of an overlay."""
    count = size = 0
    try:
        with tarfile.open(source, "r:", tarinfo=BoundedInfo) as archive:
            for info in archive:
                count, size = count + 1, size + max(info.size, 0)
                if count > COUNT_MAX or size > SIZE_MAX:
                    raise JobError(
                        f"the overlay {name} holds more than {SIZE_MAX >> 30} GiB or {COUNT_MAX} files"
                    )
                if deadline.expired:
                    raise overdue(f"reading the overlay {name} did not end", deadline)
                yield info, archive.extractfile(info) if info.isreg() else None
    except (tarfile.TarError, *DATA_ERRORS) as problem:
        with source.open("rb") as file:
            head = file.read(HEAD)
        hint = "say its `compression`" if looks_like(head) in ("gz", "bz2", "xz", "zstd") else ""
        raise JobError(
            f"the overlay {name} is not a tar archive: it {describe(head)} ({problem})", hint
        ) from None


def extend(image: Path, tars: Sequence[Path], target: Path, *, workdir: Path, deadline: Deadline) -> Path:
    """Write `target`: the tarball `image` with the members of `tars` behind its own, so that they win.

    Nothing is left at `target` on failure. Raises JobError for an image that is no plain tarball.
    """
    target.unlink(missing_ok=True)
    copy.private_copy(image, target, deadline=deadline)
    try:
        with (
            tarfile.open(target, "a", format=tarfile.GNU_FORMAT) as out,
            read_overlays(tars, workdir, deadline=deadline) as members,
        ):
            for member in members:
                if deadline.expired:
                    raise overdue(f"extending {image.name} did not end", deadline)
                _add(out, member)
    except tarfile.TarError as problem:
        target.unlink(missing_ok=True)
        raise JobError(
            f"{image.name} is not a tar archive: {problem}", "correct `format` in the job"
        ) from None
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return target


def _add(out: tarfile.TarFile, member: Member) -> None:
    info = tarfile.TarInfo(member.name)
    info.mode, info.mtime, info.uname, info.gname = member.mode, member.mtime, "root", "root"
    if member.form is Form.DIRECTORY:
        info.type = tarfile.DIRTYPE
    elif member.form is Form.LINK:
        info.type, info.linkname = tarfile.SYMTYPE, member.target
    info.size = member.size
    content = _Content(member) if member.form is Form.FILE else None
    out.addfile(info, content)  # type: ignore[arg-type]  # it only reads


class _Content:
    """A member's pieces as a file that is read from its begin to its end."""

    def __init__(self, member: Member) -> None:
        self._pieces = member.read()
        self._rest = b""

    def read(self, size: int) -> bytes:
        while len(self._rest) < size and (piece := next(self._pieces, b"")):
            self._rest += piece
        data, self._rest = self._rest[:size], self._rest[size:]
        return data
