# SPDX-License-Identifier: Apache-2.0
"""`file://` artefacts: only below directories that the admin allows, never through a link that leads out."""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from executor.container.cancel import Cancellation
from executor.errors import InfrastructureError, InfrastructureTimeout, JobError
from executor.model.deadline import Deadline

FICLONE = 0x40049409  # linux/fs.h: share the blocks of another file
COPY_AT_MOST = 512 << 20  # bytes; a larger file on the same file system is linked, not copied
_CHUNK = 1 << 20

Tick = Callable[[int], None]  # bytes done


def resolve(url: str, allowed: Sequence[Path], files: Sequence[Path] = ()) -> Path:
    """The real path that a `file://` URL means. `allowed` are directories, `files` single files.

    Raises JobError for a path outside of them.
    """
    parts = urlsplit(url)
    if parts.scheme != "file" or parts.netloc not in ("", "localhost"):
        raise JobError(f"{url!r} does not name a local file", "Local files are file:///absolute/path.")
    path = Path(unquote(parts.path))
    if not path.is_absolute() or "\0" in str(path):
        raise JobError(f"{url!r} does not name a local file", "Local files are file:///absolute/path.")
    try:
        real = path.resolve()
    except (OSError, RuntimeError) as error:
        raise InfrastructureError(f"{path} cannot be read: {error}") from None
    inside = any(real.is_relative_to(directory.resolve()) for directory in allowed)
    if not inside and real not in {file.resolve() for file in files}:
        known = ", ".join(map(str, allowed)) or "none"
        raise JobError(
            f"{path} is not below a directory that jobs may read files from",
            f"Allowed here: {known}. An admin sets them with `file_urls`.",
        )
    return real


def open_file(path: Path) -> tuple[BinaryIO, os.stat_result]:
    """The file behind a resolved path. Raises InfrastructureError when it is not there or not plain."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise InfrastructureError(f"{path} cannot be read: {error.strerror}") from None
    seen = os.fstat(fd)
    # The path was resolved before: what was opened must be that file, whoever moved directories since.
    if not stat.S_ISREG(seen.st_mode) or Path(f"/proc/self/fd/{fd}").readlink() != path:
        os.close(fd)
        raise InfrastructureError(f"{path} is not a plain file")
    return os.fdopen(fd, "rb", buffering=0), seen


def hash_file(
    file: BinaryIO,
    names: Sequence[str],
    deadline: Deadline,
    cancellation: Cancellation,
    tick: Tick = lambda done: None,
) -> dict[str, str]:
    """Hashes by name (md5, sha256, sha512), read in one pass. Raises InfrastructureTimeout, JobCanceled."""
    hashes = {name: hashlib.new(name, usedforsecurity=False) for name in names}
    buffer = bytearray(_CHUNK)
    done = 0
    file.seek(0)
    while count := file.readinto(buffer):  # type: ignore[attr-defined]
        cancellation.check()
        if deadline.expired:
            raise InfrastructureTimeout("reading a file did not end in time")
        for value in hashes.values():
            value.update(memoryview(buffer)[:count])
        done += count
        tick(done)
    return {name: value.hexdigest() for name, value in hashes.items()}


def take(file: BinaryIO, seen: os.stat_result, target: Path) -> str:
    """Bring a local file to `target` in the cheapest way: shared blocks, a copy with its holes, or a link.

    Returns the way: reflink, copy or link. Raises OSError.
    """
    readable = bool(seen.st_mode & stat.S_IROTH)
    if reflink(file.fileno(), target):
        return "reflink"
    if seen.st_blocks * 512 > COPY_AT_MOST and readable and seen.st_dev == target.parent.stat().st_dev:
        try:
            # Naming a directory descriptor makes Python follow the link, which it ignores for this path.
            os.link(f"/proc/self/fd/{file.fileno()}", target, src_dir_fd=file.fileno(), follow_symlinks=True)
        except OSError:  # not ours and links to others' files are protected
            pass
        else:
            return "link"
    copy_sparse(file.fileno(), seen.st_size, target)
    return "copy"


def reflink(source: int, target: Path) -> bool:
    """Share the blocks of `source` with a new file; False where the file system cannot."""
    fd = os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        fcntl.ioctl(fd, FICLONE, source)
    except OSError:
        target.unlink()
        return False
    finally:
        os.close(fd)
    return True


def copy_sparse(source: int, size: int, target: Path) -> None:
    """Copy only the data of a file, not its holes."""
    fd = os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(fd, size)
        position = 0
        while position < size:
            try:
                start = os.lseek(source, position, os.SEEK_DATA)
            except OSError:  # nothing but a hole up to the end
                break
            end = os.lseek(source, start, os.SEEK_HOLE)
            while start < end:
                copied = os.copy_file_range(source, fd, min(end - start, 64 << 20), start, start)
                if not copied:
                    break
                start += copied
            position = end
    finally:
        os.close(fd)
