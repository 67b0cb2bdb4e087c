# SPDX-License-Identifier: Apache-2.0
"""Files that are kept with a job (overlay tarball, attachments, launch spec …): sent in chunks, checked, read
back.

`<jobs>/<id>/files/<path>`; while it is incomplete a file lies beside it as `.partial-<name>`.
`<jobs>/<id>/files.ndjson` lists the complete ones. Names come from jobs, so they are never trusted: no `..`,
no links followed, bounded in number, depth and size.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from executor.wire.messages import FileChunk, FileRow

if TYPE_CHECKING:
    from hashlib import _Hash

MAX_FILES = 2000  # of one job
MAX_DEPTH = 8
MAX_PATH = 400  # characters
_PARTIAL = ".partial-"
_LIST = "files.ndjson"
_BAD = re.compile(r"[\x00-\x1f\x7f]")
_HASH = re.compile(r"[0-9a-f]{64}\Z")
_STEP = 1 << 20
_REMEMBERED = 256  # jobs whose list, and uploads whose hash, stay in memory


class BadFile(ValueError):
    """A file that is not accepted; the message is for the one who sends or asks."""


class Files:
    """Chunks in, chunks out. `limit` bounds the files of one job together, in bytes."""

    def __init__(self, directory: Path, limit: int) -> None:
        self._directory = directory
        self._limit = limit
        self._lists: OrderedDict[int, dict[str, FileRow]] = OrderedDict()
        self._hashes: OrderedDict[tuple[int, str], tuple[int, _Hash]] = OrderedDict()

    def root(self, job: int) -> Path:
        return self._directory / str(job) / "files"

    def write(self, job: int, chunk: FileChunk) -> tuple[int, bool]:
        """Take a chunk; returns where to go on, and whether all bytes are there and `finish` is to be called.

        A chunk for another place than the next is not written. Raises BadFile.
        """
        parts = check_path(chunk.path)
        if not _HASH.match(chunk.sha256) or chunk.size < 0 or chunk.offset < 0:
            raise BadFile(f"{chunk.path}: size or sha256 make no sense")
        known = self._list(job).get(chunk.path)
        if known is not None and known.sha256 == chunk.sha256:
            return known.size, False
        partial = self._partial(job, parts)
        there = partial.stat().st_size if partial.is_file() else -1
        if there < 0 or (chunk.offset == 0 and there > 0):
            if chunk.offset != 0:
                return 0, False
            self._begin(job, chunk, parts)
            there = 0
        if chunk.offset != there:
            return there, False
        if there + len(chunk.data) > chunk.size:
            raise BadFile(f"{chunk.path}: more bytes than its size")
        found = self._hash(job, chunk.path, partial, there)
        with partial.open("ab") as file:
            file.write(chunk.data)
        found.update(chunk.data)
        there += len(chunk.data)
        self._hashes[job, chunk.path] = (there, found)
        if there < chunk.size:
            return there, False
        self._hashes.pop((job, chunk.path), None)
        if found.hexdigest() != chunk.sha256:
            partial.unlink()
            raise BadFile(f"{chunk.path}: the bytes that arrived do not have the announced hash")
        return there, True

    def is_complete(self, job: int, chunk: FileChunk) -> bool:
        """Whether this very file is kept already."""
        known = self._list(job).get(chunk.path)
        return known is not None and known.sha256 == chunk.sha256

    def finish(self, job: int, path: str, size: int, sha256: str) -> FileRow:
        """Make a file with all its bytes a kept one, safe against loss of power. Any thread may."""
        parts = check_path(path)
        partial = self._partial(job, parts)
        descriptor = os.open(partial, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        partial.replace(self.root(job).joinpath(*parts))
        row = FileRow(path, size, sha256)
        with (self._directory / str(job) / _LIST).open("a+b") as file:
            end = file.seek(0, os.SEEK_END)
            torn = end > 0 and os.pread(file.fileno(), 1, end - 1) != b"\n"
            file.write((b"\n" if torn else b"") + msgspec.json.encode(row) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        return row

    def finished(self, job: int, row: FileRow) -> None:
        """What `finish` has returned, in the thread of all other calls."""
        self._list(job)[row.path] = row

    def rows(self, job: int) -> list[FileRow]:
        """The complete files of a job, by path."""
        return sorted(self._list(job).values(), key=lambda row: row.path)

    def read(self, job: int, path: str, offset: int, max_bytes: int) -> tuple[bytes, FileRow]:
        """A chunk and the file that it is of. Raises BadFile when there is no such complete file."""
        row = self._list(job).get(path)
        if row is None:
            raise BadFile(f"job {job} has no file {path[:MAX_PATH]!r}")
        target = self.root(job).joinpath(*check_path(path))
        try:
            descriptor = os.open(target, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            raise BadFile(f"the file {path} of job {job} has been removed") from None
        try:
            return os.pread(descriptor, max(0, max_bytes), max(0, offset)), row
        finally:
            os.close(descriptor)

    def size(self, job: int) -> int:
        """Bytes of all complete files of a job."""
        return sum(row.size for row in self._list(job).values())

    def forget(self, job: int) -> None:
        """The job's directory is gone."""
        self._lists.pop(job, None)

    def _partial(self, job: int, parts: tuple[str, ...]) -> Path:
        target = self.root(job).joinpath(*parts)
        return target.with_name(_PARTIAL + target.name)

    def _begin(self, job: int, chunk: FileChunk, parts: tuple[str, ...]) -> None:
        """Room, directories and an empty file."""
        rows = self._list(job)
        if len(rows) >= MAX_FILES and chunk.path not in rows:
            raise BadFile(f"job {job} keeps {MAX_FILES} files already")
        others = sum(row.size for row in rows.values() if row.path != chunk.path)
        if chunk.size + others > self._limit:
            raise BadFile(f"the files of job {job} are larger than the limit of {self._limit} bytes")
        directory = self.root(job)
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            for part in parts[:-1]:
                directory = directory / part
                directory.mkdir(mode=0o700, exist_ok=True)
            partial = self._partial(job, parts)
            partial.unlink(missing_ok=True)
            os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise BadFile(f"{chunk.path}: {error.strerror}") from None
        self._hashes.pop((job, chunk.path), None)

    def _hash(self, job: int, path: str, partial: Path, there: int) -> _Hash:
        """The hash of the first `there` bytes: kept in memory, made again after a restart."""
        known = self._hashes.get((job, path))
        if known is not None and known[0] == there:
            return known[1]
        found = hashlib.sha256()
        with partial.open("rb") as file:
            while chunk := file.read(_STEP):
                found.update(chunk)
        while len(self._hashes) >= _REMEMBERED:
            self._hashes.popitem(last=False)
        return found

    def _list(self, job: int) -> dict[str, FileRow]:
        known = self._lists.get(job)
        if known is None:
            known = _read_list(self._directory / str(job) / _LIST)
            self._lists[job] = known
            while len(self._lists) > _REMEMBERED:
                self._lists.popitem(last=False)
        return known


def check_path(path: str) -> tuple[str, ...]:
    """The parts of a relative path that may be kept. Raises BadFile."""
    parts = tuple(path.split("/"))
    if (
        not path
        or len(path) > MAX_PATH
        or len(parts) > MAX_DEPTH
        or _BAD.search(path)
        or any(_bad_part(part) for part in parts)
    ):
        raise BadFile(f"{path[:100]!r} is no path for a kept file")
    return parts


def _bad_part(part: str) -> bool:
    try:
        return part in ("", ".", "..") or part.startswith(_PARTIAL) or len(part.encode()) > 200
    except UnicodeEncodeError:
        return True


def _read_list(path: Path) -> dict[str, FileRow]:
    """A torn last line, left by the master's death, is passed over; that file is then sent again."""
    rows: dict[str, FileRow] = {}
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return rows
    for line in data.splitlines():
        try:
            row = msgspec.json.decode(line, type=FileRow)
        except msgspec.DecodeError:
            continue
        rows[row.path] = row
    return rows
