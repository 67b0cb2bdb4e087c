# SPDX-License-Identifier: Apache-2.0
"""Unpacking zip archives that users bring: the counterpart of tarsafe.py, for what firmware comes in."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path, PurePosixPath

from executor.errors import InfrastructureError, JobError
from executor.model.deadline import Deadline
from executor.tools.proc import overdue
from executor.tools.tartree import Limits

LIMITS = Limits(size=8 << 30, count=100_000)
_PIECE = 1 << 20


def unpack_zip(source: Path, target: Path, *, deadline: Deadline, limits: Limits = LIMITS) -> int:
    """Unpack files and directories of `source` into the new directory `target`; the number of files.

    Raises JobError for a bad or dangerous archive, InfrastructureError for a full disk, JobTimeout.
    """
    name = source.name
    left = limits.size
    try:
        target.mkdir(parents=True)
        with zipfile.ZipFile(source) as archive:
            members = archive.infolist()
            if len(members) > limits.count:
                raise JobError(f"{name} holds {len(members)} files", f"{limits.count} are allowed")
            files = [(_place(target, info, name), info) for info in members if not info.is_dir()]
            for path, info in files:
                path.parent.mkdir(parents=True, exist_ok=True)
                left -= _write(archive, info, path, left, deadline)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError) as problem:
        raise JobError(f"{name} is not a good zip archive: {problem}") from problem
    except OSError as problem:
        raise InfrastructureError(f"{name} cannot be unpacked: {problem.strerror or problem}") from problem
    return len(files)


def _place(target: Path, info: zipfile.ZipInfo, name: str) -> Path:
    """Where a member goes, which is below `target`. Raises JobError."""
    inside = PurePosixPath(info.filename)
    mode = info.external_attr >> 16
    if inside.is_absolute() or ".." in inside.parts or not inside.parts:
        raise JobError(f"{name}: {info.filename!r} leads out of the archive", "taken for an attack")
    if mode and not stat.S_ISREG(mode) and stat.S_IFMT(mode):
        raise JobError(f"{name}: {info.filename!r} is no plain file", "links and devices are refused")
    return target / inside


def _write(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path, left: int, deadline: Deadline) -> int:
    """Unpack one file; its size, which what is written decides and not the archive's word."""
    size = 0
    with archive.open(info) as packed, path.open("wb") as plain:
        while piece := packed.read(_PIECE):
            size += len(piece)
            if size > left:
                raise JobError(f"{archive.filename} is too large when unpacked", "taken for an attack")
            if deadline.expired:
                raise overdue(f"unpacking {path.name} did not end", deadline)
            plain.write(piece)
    return size
