# SPDX-License-Identifier: Apache-2.0
"""Tar archives described in one line a member, for tests of whatever unpacks them; hostile ones too."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True)
class Item:
    """One member: `kind` as in tarfile, `target` of links. Owner and time are not ours."""

    name: str
    kind: bytes = tarfile.REGTYPE
    content: bytes = b""
    mode: int = 0o644
    target: str = ""
    mtime: int = 1_700_000_000

    def info(self) -> tarfile.TarInfo:
        """The header."""
        made = tarfile.TarInfo(self.name)
        made.type, made.mode, made.linkname, made.mtime = self.kind, self.mode, self.target, self.mtime
        made.size = len(self.content)
        made.uid, made.gid, made.uname, made.gname = 1234, 1234, "tester", "tester"
        return made


def file(name: str, content: bytes = b"", mode: int = 0o644) -> Item:
    """A regular file."""
    return Item(name, content=content, mode=mode)


def directory(name: str, mode: int = 0o755) -> Item:
    """A directory."""
    return Item(name, tarfile.DIRTYPE, mode=mode)


def symlink(name: str, target: str) -> Item:
    """A symbolic link."""
    return Item(name, tarfile.SYMTYPE, mode=0o777, target=target)


def hard_link(name: str, target: str) -> Item:
    """A hard link to a member of the same archive."""
    return Item(name, tarfile.LNKTYPE, target=target)


def write_tar(path: Path, items: Iterable[Item], compression: Literal["", "gz", "bz2", "xz"] = "") -> Path:
    """Write the archive; returns `path`."""
    with tarfile.open(path, f"w:{compression}") as archive:  # type: ignore[call-overload]
        for item in items:
            archive.addfile(item.info(), io.BytesIO(item.content))
    return path
