# SPDX-License-Identifier: Apache-2.0
"""A directory or file of this host as a tar archive for a job: test definitions `from: file`.

The same files give the same bytes, so that the cache knows them again. Whoever may write there can swap what
lies in it meanwhile: directories are walked by descriptor and no link is ever followed.
"""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from executor.container.cancel import Cancellation
from executor.errors import InfrastructureError, InfrastructureTimeout, JobError
from executor.model.deadline import Deadline

MAX_FILES = 200_000
MAX_BYTES = 2 << 30
_TIME = 946684800  # 2000-01-01


def pack(source: Path, target: Path, deadline: Deadline, cancellation: Cancellation) -> None:
    """Write `target`. `source` is a resolved path.

    Raises JobError for what is neither file, directory nor link and for too much, InfrastructureError for
    what cannot be read, InfrastructureTimeout, JobCanceled.
    """
    packer = _Packer(source, deadline, cancellation)
    try:
        with tarfile.open(target, "x", format=tarfile.GNU_FORMAT) as archive:
            if source.is_dir():
                packer.directory(archive)
            else:
                with _opened(source.parent) as parent:
                    packer.entry(archive, source.name, parent, source.name)
    except OSError as error:
        raise InfrastructureError(f"{source} cannot be read: {error.strerror or error}") from None


class _Packer:
    def __init__(self, source: Path, deadline: Deadline, cancellation: Cancellation) -> None:
        self._source, self._deadline, self._cancellation = source, deadline, cancellation
        self._count = self._size = 0

    def directory(self, archive: tarfile.TarFile) -> None:
        """All below the source."""
        with _opened(self._source) as top:
            for base, directories, names, here in os.fwalk(".", dir_fd=top, onerror=_raise):
                directories.sort()
                for name in sorted([*directories, *names]):
                    self.entry(archive, os.path.normpath(f"{base}/{name}"), here, name)

    def entry(self, archive: tarfile.TarFile, name: str, directory: int, last: str) -> None:
        """One member: `last` in the open `directory`."""
        self._cancellation.check()
        if self._deadline.expired:
            raise InfrastructureTimeout(f"reading {self._source} did not end in time")
        seen = os.stat(last, dir_fd=directory, follow_symlinks=False)
        info = tarfile.TarInfo(name)
        info.mtime, info.uname, info.gname = _TIME, "root", "root"
        info.mode = 0o755 if seen.st_mode & 0o111 else 0o644
        if stat.S_ISDIR(seen.st_mode):
            info.type = tarfile.DIRTYPE
        elif stat.S_ISLNK(seen.st_mode):
            info.type, info.linkname = tarfile.SYMTYPE, os.readlink(last, dir_fd=directory)
        elif not stat.S_ISREG(seen.st_mode):
            raise JobError(f"{self._source}: {name} is neither a file nor a directory")
        self._add(archive, info, seen.st_size if info.isreg() else 0, last, directory)

    def _add(
        self, archive: tarfile.TarFile, info: tarfile.TarInfo, size: int, last: str, directory: int
    ) -> None:
        self._count, self._size = self._count + 1, self._size + size
        if self._count > MAX_FILES or self._size > MAX_BYTES:
            raise JobError(
                f"{self._source} holds more than {MAX_BYTES >> 30} GiB or {MAX_FILES} files",
                "a test definition brings less; deploy large files as artefacts",
            )
        if not info.isreg():
            archive.addfile(info)
            return
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with os.fdopen(os.open(last, flags, dir_fd=directory), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise JobError(f"{self._source}: {info.name} is not a plain file")
            info.size = size
            archive.addfile(info, file)


@contextmanager
def _opened(directory: Path) -> Iterator[int]:
    """The path was resolved before: what is opened must be that directory, whoever moved others since."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if Path(f"/proc/self/fd/{handle}").readlink() != directory:
            raise InfrastructureError(f"{directory} was moved while it was read")
        yield handle
    finally:
        os.close(handle)


def _raise(error: OSError) -> None:
    raise error
