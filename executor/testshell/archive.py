# SPDX-License-Identifier: Apache-2.0
"""A tar.gz written member by member: root's, with fixed times, so that the same input gives the same bytes.

What comes from a repository is not trusted: links that lead out of it and anything that is no file are
refused.
"""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from pathlib import Path
from typing import IO

from executor.errors import JobError

MAX_FILES = 200_000
MAX_BYTES = 2 << 30
_TIME = 946684800  # 2000-01-01: tar programs complain of the year 1970


class Archive:
    """The archive in the making; use as a context manager. A member that is written twice stays as it was
    first.
    """

    def __init__(self, path: Path, mode: int = 0o644) -> None:
        self._path, self._mode = path, mode
        self._seen: dict[str, bool] = {}  # name -> is it a directory?
        self._bytes = 0
        self.count = 0

    def __enter__(self) -> Archive:
        self._path.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._file = os.fdopen(os.open(self._path, flags, self._mode), "wb")
        self._gzip = gzip.GzipFile("", "wb", compresslevel=1, fileobj=self._file, mtime=0)
        self._tar = tarfile.open(fileobj=self._gzip, mode="w", format=tarfile.GNU_FORMAT)  # noqa: SIM115
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._tar.close()
        self._gzip.close()
        self._file.close()
        if kind is not None:
            self._path.unlink(missing_ok=True)

    def directory(self, name: str, mode: int = 0o755) -> None:
        self._add(_info(name, mode, tarfile.DIRTYPE))

    def file(self, name: str, data: bytes, mode: int = 0o644) -> None:
        info = _info(name, mode)
        info.size = len(data)
        self._add(info, io.BytesIO(data))

    def tree(self, source: Path, target: str, label: str) -> None:
        """The content of a directory. Raises JobError for what leads out of it, is no file, or too much."""
        top = source.resolve()
        for base, directories, names in os.walk(top):
            directories.sort()
            here = Path(base)
            for name in sorted([*directories, *names]):
                self._entry(here / name, f"{target}/{(here / name).relative_to(top)}", top, label)

    def _entry(self, path: Path, name: str, top: Path, label: str) -> None:
        if path.is_symlink():
            info = _info(name, 0o777, tarfile.SYMTYPE)
            info.linkname = _checked_link(path, top, label)
            self._add(info)
        elif path.is_dir():
            self.directory(name)
        elif path.is_file():
            with path.open("rb") as file:
                state = os.fstat(file.fileno())
                info = _info(name, 0o755 if state.st_mode & 0o111 else 0o644)
                info.size = state.st_size
                self._add(info, file)
        else:
            raise JobError(f"{label}: {path.relative_to(top)} is neither a file nor a directory")

    def _add(self, info: tarfile.TarInfo, data: IO[bytes] | None = None) -> None:
        if info.name in self._seen:
            return
        self._seen[info.name] = info.isdir()
        if not self._seen.get(info.name.rpartition("/")[0], True):
            raise JobError(f"{info.name} lies in a directory that has the name of a file made for the test")
        self._bytes += info.size
        self.count += 1
        if self.count > MAX_FILES or self._bytes > MAX_BYTES:
            raise JobError(
                f"the test definitions are larger than {MAX_BYTES >> 30} GiB or {MAX_FILES} files",
                "fetch large files on the device, or deploy them as artefacts",
            )
        self._tar.addfile(info, data)


def _checked_link(path: Path, top: Path, label: str) -> str:
    """Where the link points to. Both as it reads and as it resolves it must stay inside."""
    link = os.readlink(path)  # noqa: PTH115 - Path.readlink would normalise
    reads = os.path.normpath(path.parent / link)
    try:
        inside = path.resolve().is_relative_to(top)
    except (OSError, RuntimeError):  # a loop of links: it leads nowhere
        inside = True
    if link.startswith("/") or not Path(reads).is_relative_to(top) or not inside:
        raise JobError(
            f"{label}: {path.relative_to(top)} is a link out of the repository",
            "only relative links inside the repository are taken along",
        )
    return link


def _info(name: str, mode: int, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name.strip("/"))
    info.mode, info.type, info.mtime = mode, kind, _TIME
    info.uname = info.gname = "root"
    return info
