# SPDX-License-Identifier: Apache-2.0
"""Unpacking tar archives that users bring, so that nothing lands outside of the target or takes more than
allowed.

Used for `archive: tar`, NFS root file systems and test definitions. A member is written only below
directories that were looked at one by one, never through a symlink by the kernel: what a symlink means is
worked out here, inside the tree, as a system started from that tree would see it.
"""

from __future__ import annotations

import errno
import io
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

from executor.errors import InfrastructureError, JobError
from executor.model.deadline import Deadline
from executor.tools.image.sources import Source
from executor.tools.image.streams import open_stream
from executor.tools.tartree import DEFAULT_LIMITS, STRICT, Limits, Policy, TarTree

_PIECE = 1 << 20
_BUFFER = 1 << 15  # the module copies the rest of its buffer at each read: larger is slower
_HEADER_MAX = 1 << 20  # bytes of one extended header; the module would read any length into memory


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What was made: members, bytes of files, members left out."""

    count: int
    size: int
    skipped: int


def unpack(
    source: Path | Source,
    target: Path,
    *,
    deadline: Deadline,
    compression: str = "",
    policy: Policy = STRICT,
    limits: Limits = DEFAULT_LIMITS,
    name: str = "",
    strip: int = 0,
) -> Unpacked:
    """Unpack the tar archive `source` (gz, bz2, xz, zstd by `compression`) into the directory `target`.

    `target` is made when missing; what it holds already may be replaced file by file. `strip`: directories to
    cut off each name; members with fewer are left out. On failure what was unpacked stays for the caller to
    remove. Raises JobError for a bad or dangerous archive, InfrastructureError for a full disk, JobTimeout at
    the deadline.
    """
    name = name or (source.name if isinstance(source, Path) else "the archive")
    job = TarTree(target, policy, limits, deadline=deadline, name=name, strip=strip)
    try:
        target.mkdir(parents=True, exist_ok=True)
        with _stream(source, compression, deadline, name) as stream:
            with tarfile.open(fileobj=stream, mode="r|", bufsize=_BUFFER, tarinfo=BoundedInfo) as archive:
                while (info := archive.next()) is not None:
                    job.add(archive, info)
                    cast("Any", archive).members.clear()  # or it keeps every header that it has seen
            while stream.read(_PIECE):  # to the end, so that damage behind the last member is seen
                pass
            job.finish()
    except (tarfile.TarError, EOFError, UnicodeError, ValueError) as problem:
        raise JobError(f"{name} is not a good tar archive: {problem}") from problem
    except OSError as problem:
        cause = JobError if problem.errno in (errno.ENAMETOOLONG, errno.EINVAL) else InfrastructureError
        raise cause(f"{name} cannot be unpacked: {problem.strerror or problem}") from problem
    return Unpacked(job.count, job.size, job.skipped)


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


@contextmanager
def _stream(source: Path | Source, how: str, deadline: Deadline, name: str) -> Iterator[_Filled]:
    if how:
        with open_stream(source, how, deadline=deadline, name=name) as stream:
            yield _Filled(stream)
    elif isinstance(source, Path):
        try:
            file = source.open("rb", buffering=0)
        except OSError as problem:
            raise InfrastructureError(f"{source} cannot be read: {problem.strerror}") from problem
        with file:
            yield _Filled(file)
    else:
        yield _Filled(source)


class _Filled(io.RawIOBase):
    """Reads that are shorter than asked for only at the end: tarfile takes less for the end."""

    def __init__(self, source: _Readable) -> None:
        self._source = source

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        size = size if size > 0 else _PIECE
        parts = []
        while size > 0 and (part := self._source.read(size)):
            parts.append(part)
            size -= len(part)
        return b"".join(parts)


class BoundedInfo(tarfile.TarInfo):
    """A header that cannot make the module read a gigabyte of names into memory."""

    _EXTENDED = (
        tarfile.GNUTYPE_LONGNAME,
        tarfile.GNUTYPE_LONGLINK,
        tarfile.XHDTYPE,
        tarfile.XGLTYPE,
        tarfile.SOLARIS_XHDTYPE,
    )

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        # The one step from a header to its contents in every version of the module, made to be overridden:
        # later security updates of Python 3.11 pass `frombuf` by.
        if self.type in self._EXTENDED and self.size > _HEADER_MAX:
            raise JobError(f"the tar archive has a header of {self.size} bytes", "taken for an attack")
        return cast("tarfile.TarInfo", cast("Any", super())._proc_member(archive))
