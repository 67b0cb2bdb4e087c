# SPDX-License-Identifier: Apache-2.0
"""What an overlay tarball holds: checked names and kinds, whoever made it, and the bytes of its files."""

from __future__ import annotations

import gzip
import stat
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import IO

from executor.errors import JobError
from executor.model.deadline import Deadline
from executor.tools.image.methods import DATA_ERRORS
from executor.tools.proc import overdue

_PIECE = 1 << 20
COUNT_MAX = 200_000
SIZE_MAX = 8 << 30  # bytes of all files together


class Form(Enum):
    """The kinds that an overlay may hold."""

    FILE = "file"
    DIRECTORY = "directory"
    LINK = "symlink"


@dataclass(slots=True)
class Member:
    """One file, directory or symlink. `path` are the names from the root on, `mode` the permission bits."""

    path: tuple[str, ...]
    form: Form
    mode: int
    mtime: int
    size: int = 0
    target: str = ""  # of a symlink
    archive: tarfile.TarFile | None = field(default=None, repr=False)
    info: tarfile.TarInfo | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        return "/".join(self.path)

    def read(self) -> Iterator[bytes]:
        """The content of a file, in pieces."""
        try:
            file = self.archive.extractfile(self.info) if self.archive and self.info else None
            if file is None:
                raise JobError(f"{self.name} in the overlay has no content")
            with file:
                while piece := file.read(_PIECE):
                    yield piece
        except (tarfile.TarError, KeyError, *DATA_ERRORS) as problem:
            raise JobError(f"{self.name} in the overlay cannot be read: {problem}") from problem


@contextmanager
def read_overlays(tars: Sequence[Path], workdir: Path, *, deadline: Deadline) -> Iterator[list[Member]]:
    """The members of the tarballs (plain or gz), a later one of the same name in the place of an earlier.

    Everything becomes root's. Hard links become files of their own. Raises JobError for members that leave
    the tree, for devices, sockets and the like, and for names that cannot be.
    """
    with ExitStack() as stack:
        found: dict[tuple[str, ...], Member] = {}
        for path in tars:
            archive = stack.enter_context(_open(stack, path, workdir, deadline))
            for member in _members(archive, path.name, deadline):
                found[member.path] = member
        if sum(member.size for member in found.values()) > SIZE_MAX:
            raise JobError(f"the overlay holds more than {SIZE_MAX >> 30} GiB")
        yield sorted(found.values(), key=lambda member: (member.form is Form.LINK, member.path))


def _open(stack: ExitStack, path: Path, workdir: Path, deadline: Deadline) -> tarfile.TarFile:
    try:
        file: IO[bytes] = stack.enter_context(path.open("rb"))
        if file.read(2) == b"\x1f\x8b":
            spool = stack.enter_context(tempfile.TemporaryFile(dir=workdir))  # noqa: SIM115  # the stack closes it
            file.seek(0)
            with gzip.GzipFile(fileobj=file) as packed:
                while piece := packed.read(_PIECE):
                    spool.write(piece)
                    if spool.tell() > SIZE_MAX:
                        raise JobError(f"the overlay {path.name} holds more than {SIZE_MAX >> 30} GiB")
                    if deadline.expired:
                        raise overdue(f"reading {path.name} did not end", deadline)
            file = spool
        file.seek(0)
        return tarfile.open(fileobj=file, mode="r:")
    except (tarfile.TarError, *DATA_ERRORS) as problem:
        raise JobError(f"the overlay {path.name} is not a good tarball: {problem}") from problem


def _members(archive: tarfile.TarFile, name: str, deadline: Deadline) -> Iterator[Member]:
    count = 0
    try:
        for info in archive:
            count += 1
            if count > COUNT_MAX:
                raise JobError(f"the overlay {name} holds more than {COUNT_MAX} members")
            if deadline.expired:
                raise overdue(f"reading {name} did not end", deadline)
            member = _member(archive, info, name)
            if member is not None:
                yield member
    except (tarfile.TarError, *DATA_ERRORS) as problem:
        raise JobError(f"the overlay {name} is not a good tarball: {problem}") from problem


def _member(archive: tarfile.TarFile, info: tarfile.TarInfo, name: str) -> Member | None:
    path = tuple(part for part in info.name.split("/") if part not in ("", "."))
    if not path:
        return None  # the root itself
    if ".." in path or any(len(part.encode("utf-8", "surrogateescape")) > 255 for part in path):
        raise JobError(f"the overlay {name} holds the impossible name {info.name!r}")
    mtime = max(0, int(info.mtime))
    mode = stat.S_IMODE(info.mode)
    if info.isdir():
        return Member(path, Form.DIRECTORY, mode, mtime)
    if info.issym():
        if not info.linkname:
            raise JobError(f"the symlink {info.name} in the overlay {name} has no target")
        return Member(path, Form.LINK, 0o777, mtime, target=info.linkname)
    if info.isreg():
        return Member(path, Form.FILE, mode, mtime, info.size, archive=archive, info=info)
    if info.islnk():
        original = _original(archive, info, name)
        return Member(path, Form.FILE, mode, mtime, original.size, archive=archive, info=original)
    raise JobError(f"{info.name} in the overlay {name} is neither file, directory nor link")


def _original(archive: tarfile.TarFile, info: tarfile.TarInfo, name: str) -> tarfile.TarInfo:
    """The file that a hard link names."""
    for _ in range(8):
        try:
            info = archive.getmember(info.linkname)
        except KeyError:
            break
        if info.isreg():
            return info
        if not info.islnk():
            break
    raise JobError(f"the hard link {info.name} in the overlay {name} leads nowhere")
