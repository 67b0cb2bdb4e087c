# SPDX-License-Identifier: Apache-2.0
"""Reads a bundle from anywhere: only files that its manifest names are written, each checked by hash."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from executor.errors import InfrastructureError, JobError, UsageError
from executor.reproduce.manifest import MAX_MANIFEST, NAME, File, Manifest, decode
from executor.reproduce.tarstream import TarStream

BLOCK = 1 << 20
MAX_BYTES = 256 << 30  # of everything in one bundle
_MAX_WINDOW = 128 << 20  # bytes of memory that a zstd stream may ask for
_ZSTD = b"\x28\xb5\x2f\xfd"

Progress = Callable[[str, int, int], None]  # what, bytes done, bytes in all


def read_manifest(bundle: Path) -> Manifest:
    """Only the manifest. Raises UsageError when there is no such file, JobError when it is no bundle."""
    with _open(bundle) as tar:
        return _manifest(tar)


def unpack(bundle: Path, target: Path, *, progress: Progress = lambda what, done, total: None) -> Manifest:
    """Everything into `target`, which must not exist yet.

    Raises JobError for whatever does not belong into a bundle; then `target` is not to be used.
    """
    with _open(bundle) as tar:
        manifest = _manifest(tar)
        total = sum(file.size for file in manifest.files)
        if total > MAX_BYTES:
            raise JobError(f"the bundle says that it holds {total} bytes, more than {MAX_BYTES}")
        _check_room(target.parent, total)
        target.mkdir(mode=0o700, parents=True)
        expected = {file.path: file for file in manifest.files}
        done = 0
        while tar.next():
            file = expected.pop(tar.name, None)
            if file is None:
                raise JobError(f"the bundle holds {tar.name!r}, which its manifest does not name")
            if tar.size != file.size:
                raise JobError(f"the bundle's {file.path} has another size than the manifest says")
            _write(tar, target, file)
            done += file.size
            progress("bundle", done, total)
        if expected:
            raise JobError(f"the bundle ends before {', '.join(sorted(expected)[:3])}")
    return manifest


def _manifest(tar: TarStream) -> Manifest:
    try:
        found = tar.next()
    except JobError as error:
        raise JobError(f"this is no bundle of lava-exec: {error.message}") from None
    if not found or tar.name != NAME or tar.size > MAX_MANIFEST:
        raise JobError("this is no bundle of lava-exec: it does not begin with a manifest")
    data = b""
    while more := tar.read(MAX_MANIFEST):
        data += more
    return decode(data)


def _write(tar: TarStream, target: Path, file: File) -> None:
    """One file, new, not through a link; kept only when its hash is right."""
    path = target / file.path  # the manifest allows a fixed set of names, none of which leads out
    digest = hashlib.sha256()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(path, flags, 0o600), "wb") as out:
            while data := tar.read(BLOCK):
                digest.update(data)
                out.write(data)
    except OSError as error:
        raise InfrastructureError(f"{path} cannot be written: {error.strerror}") from None
    if digest.hexdigest() != file.sha256:
        path.unlink()
        raise JobError(f"the bundle's {file.path} is damaged: its content is not what the manifest says")


@contextmanager
def _open(bundle: Path) -> Iterator[TarStream]:
    """The archive as a forward-only stream, decompressed where need be."""
    try:
        raw = bundle.open("rb")
    except OSError as error:
        raise UsageError(f"cannot read {bundle}: {error.strerror}") from None
    with raw:
        start = raw.read(4)
        raw.seek(0)
        if start != _ZSTD:
            yield TarStream(raw)
            return
        import zstandard

        decompressor = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW)
        with decompressor.stream_reader(raw, read_across_frames=True) as stream:
            yield TarStream(cast("IO[bytes]", _Guarded(stream)))


class _Guarded:
    """zstandard raises errors of its own kind; the reader of tar knows OSError."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def read(self, size: int = -1) -> bytes:
        import zstandard

        try:
            return self._stream.read(size)
        except zstandard.ZstdError as error:
            raise OSError(str(error)) from None


def _check_room(directory: Path, size: int) -> None:
    while not directory.exists():
        directory = directory.parent
    seen = os.statvfs(directory)
    free = seen.f_bavail * seen.f_frsize
    if free < size:
        raise InfrastructureError(
            f"the bundle needs {size >> 20} MiB, {free >> 20} MiB are free in {directory}",
            "Name another place with --state.",
        )
