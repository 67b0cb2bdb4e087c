# SPDX-License-Identifier: Apache-2.0
"""Reading a directory that a job can write to, without being led out of it by what lies there."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

_MAX_DEPTH = 32


def open_beneath(root: Path, relative: str, flags: int = os.O_RDONLY) -> BinaryIO:
    """Open a regular file below `root`; no part of the way may be a symbolic link.

    Raises FileNotFoundError, or another OSError when something else than a plain file is there.
    """
    parts = PurePosixPath(relative).parts
    if not parts or parts[0] == "/" or ".." in parts:
        raise FileNotFoundError(f"not a path below a job's directory: {relative!r}")
    directory = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts[:-1]:
            below = os.open(part, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
            os.close(directory)
            directory = below
        # Without O_NONBLOCK a named pipe put there would hold us for ever.
        extra = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        fd = os.open(parts[-1], flags | extra, 0o640, dir_fd=directory)
    finally:
        os.close(directory)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise FileNotFoundError(f"{relative!r} is not a plain file")
        return os.fdopen(fd, "rb" if flags == os.O_RDONLY else "r+b", buffering=0)
    except BaseException:
        os.close(fd)
        raise


def plain_files(root: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Relative path and stat of each plain file below `root`, links not followed, sorted."""
    stack = [(root, 0)]
    found: list[tuple[str, os.stat_result]] = []
    while stack:
        directory, depth = stack.pop()
        try:
            entries = list(os.scandir(directory))
        except OSError:
            continue  # vanished meanwhile
        for entry in entries:
            try:
                if entry.is_dir(follow_symlinks=False):
                    if depth < _MAX_DEPTH:
                        stack.append((Path(entry.path), depth + 1))
                elif entry.is_file(follow_symlinks=False):
                    seen = entry.stat(follow_symlinks=False)
                    found.append((str(Path(entry.path).relative_to(root)), seen))
            except OSError:
                continue
    yield from sorted(found, key=lambda pair: pair[0])


def disk_usage(*roots: Path) -> int:
    """Bytes that the files below really take, holes not counted."""
    return sum(seen.st_blocks * 512 for root in roots for _, seen in plain_files(root))
