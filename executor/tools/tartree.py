# SPDX-License-Identifier: Apache-2.0
"""The directory that a tar archive is unpacked into: every name is checked and resolved before anything is
made.
"""

from __future__ import annotations

import os
import stat
import tarfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from executor.errors import JobError
from executor.model.deadline import Deadline
from executor.tools.proc import overdue

_PIECE = 1 << 20
_LINKS_MAX = 40

Parts = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Limits:
    """What an archive may hold."""

    size: int = 64 << 30  # bytes of all files
    count: int = 2_000_000  # members


@dataclass(frozen=True, slots=True)
class Policy:
    """What is done with what a root file system needs and nothing else should have.

    `rooted`: names and symlinks may be absolute or lead upwards, as a system sees them whose root this is.
    `special`: device nodes and fifos are refused, left out, or made (which needs the capability).
    `setid`: keep the setuid, setgid and sticky bits. `owners`: give files to the numbers in the archive.
    """

    rooted: bool = False
    special: Literal["refuse", "skip", "make"] = "refuse"
    setid: bool = False
    owners: bool = False


DEFAULT_LIMITS = Limits()
STRICT = Policy()
ROOTFS = Policy(rooted=True, special="skip", setid=True)


class TarTree:
    """Receives the members of one archive. Nobody else may write below `target` meanwhile."""

    def __init__(
        self, target: Path, policy: Policy, limits: Limits, *, deadline: Deadline, name: str, strip: int = 0
    ) -> None:
        self.count = self.size = self.skipped = 0
        self._top = str(target)
        self._policy = policy
        self._limits = limits
        self._deadline = deadline
        self._name = name
        self._strip = strip  # directories to cut off each name, as tar's --strip-components does
        self._real: dict[Parts, Parts] = {(): ()}  # directories that are known to be no symlinks
        self._directories: list[tuple[str, tarfile.TarInfo]] = []

    def add(self, archive: tarfile.TarFile, info: tarfile.TarInfo) -> None:
        """Make one member. Raises JobError for what may not be, OSError for what the disk refuses."""
        self.count += 1
        if self.count > self._limits.count:
            raise JobError(
                f"{self._name} holds more than {self._limits.count} members", "a limit of the worker"
            )
        if self._deadline.expired:
            raise overdue(f"unpacking {self._name} did not end", self._deadline)
        parts = self._parts(info.name, info)
        if not parts:
            return  # the root itself, whose mode is ours, or what is above it
        parent = self._directory(parts[:-1])
        path = self._path((*parent, parts[-1]))
        if info.isdir():
            self._make_directory((*parent, parts[-1]), path, info)
        elif info.isreg():
            self._make_file(archive, info, path)
        elif info.issym():
            self._check_link(info, len(parent))
            self._clear(path, info)
            os.symlink(info.linkname, path)  # noqa: PTH211
            self._own(path, info)
        elif info.islnk():
            self._make_hard_link(info, path)
        else:
            self._make_special(info, path)

    def finish(self) -> None:
        """Give directories their modes and times, which writing into them would have spoilt."""
        for path, info in reversed(self._directories):
            os.chmod(path, self._mode(info))  # noqa: PTH101  # strings are what this module works on
            os.utime(path, (info.mtime, info.mtime))

    def _parts(self, name: str, info: tarfile.TarInfo) -> Parts:
        if name.startswith("/") and not self._policy.rooted:
            raise JobError(f"{self._name} holds the absolute name {name}", "make it with relative names")
        parts = tuple(part for part in name.split("/") if part not in ("", "."))
        if ".." in parts:
            raise JobError(f"{self._name} holds the name {info.name}, which leads out of the tree")
        return parts[self._strip :]

    def _path(self, parts: Parts) -> str:
        return "/".join((self._top, *parts))

    def _directory(self, parts: Parts, depth: int = 0) -> Parts:
        """Where `parts` really is when symlinks are followed inside the tree; made when missing."""
        known = self._real.get(parts)
        if known is not None:
            return known
        if depth > _LINKS_MAX:
            raise JobError(f"{self._name}: too many symlinks at {'/'.join(parts)}")
        here = (*self._directory(parts[:-1], depth), parts[-1])
        path = self._path(here)
        try:
            mode = os.lstat(path).st_mode
        except FileNotFoundError:
            os.mkdir(path, 0o755)  # noqa: PTH102
            mode = stat.S_IFDIR
        if stat.S_ISLNK(mode):
            target = os.readlink(path)  # noqa: PTH115
            return self._directory(_joined(here[:-1], target), depth + 1)  # not kept: links get replaced
        if not stat.S_ISDIR(mode):
            raise JobError(f"{self._name} has members below {'/'.join(parts)}, which is no directory")
        if here == parts:
            self._real[parts] = here
        return here

    def _make_directory(self, parts: Parts, path: str, info: tarfile.TarInfo) -> None:
        try:
            os.mkdir(path, 0o700)  # noqa: PTH102
        except FileExistsError:
            mode = os.lstat(path).st_mode
            if stat.S_ISLNK(mode):
                self._directory(parts)  # a symlink to a directory stays, as it does in a running system
                return
            if not stat.S_ISDIR(mode):
                self._clear(path, info)
                os.mkdir(path, 0o700)  # noqa: PTH102
        self._own(path, info)
        self._directories.append((path, info))

    def _make_file(self, archive: tarfile.TarFile, info: tarfile.TarInfo, path: str) -> None:
        self.size += info.size
        if self.size > self._limits.size:
            raise JobError(
                f"{self._name} unpacks to more than {self._limits.size} bytes", "a limit of the worker"
            )
        content = archive.extractfile(info)
        if content is None:
            raise JobError(f"{info.name} in {self._name} has no content")
        self._clear(path, info)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            left = info.size
            while left > 0:
                piece = content.read(min(left, _PIECE))
                if not piece:
                    raise JobError(f"{self._name} is cut off in {info.name}")
                left -= len(piece)
                while piece:  # a nearly full disk takes a part
                    piece = piece[os.write(handle, piece) :]
                if self._deadline.expired:
                    raise overdue(f"unpacking {self._name} did not end", self._deadline)
            if self._policy.owners:
                os.fchown(handle, info.uid, info.gid)
            os.fchmod(handle, self._mode(info))
            os.utime(handle, (info.mtime, info.mtime))
        finally:
            os.close(handle)

    def _make_hard_link(self, info: tarfile.TarInfo, path: str) -> None:
        parts = self._parts(info.linkname, info)
        if not parts:
            raise JobError(f"the hard link {info.name} in {self._name} leads nowhere")
        original = self._path((*self._directory(parts[:-1]), parts[-1]))
        try:
            mode = os.lstat(original).st_mode
        except FileNotFoundError:
            mode = 0
        if not stat.S_ISREG(mode):
            raise JobError(
                f"the hard link {info.name} in {self._name} does not lead to a file of the archive"
            )
        if original != path:
            self._clear(path, info)
            os.link(original, path, follow_symlinks=False)

    def _make_special(self, info: tarfile.TarInfo, path: str) -> None:
        if self._policy.special == "refuse":
            raise JobError(f"{info.name} in {self._name} is a device, fifo or of an unknown kind")
        if self._policy.special == "skip" or not (info.isdev() or info.isfifo()):
            self.skipped += 1
            return
        self._clear(path, info)
        kind = stat.S_IFIFO if info.isfifo() else stat.S_IFCHR if info.ischr() else stat.S_IFBLK
        os.mknod(path, kind | 0o600, os.makedev(info.devmajor, info.devminor))
        self._own(path, info)
        os.chmod(path, self._mode(info))  # noqa: PTH101

    def _check_link(self, info: tarfile.TarInfo, depth: int) -> None:
        """Refuse symlinks that lead out of the tree for whoever reads it later.

        Only `..` in front can be judged: behind a name it depends on what that name becomes.
        """
        if not info.linkname:
            raise JobError(f"the symlink {info.name} in {self._name} has no target")
        if self._policy.rooted:
            return
        parts = [part for part in info.linkname.split("/") if part not in ("", ".")]
        upwards = next((n for n, part in enumerate(parts) if part != ".."), len(parts))
        if info.linkname.startswith("/") or upwards > depth or ".." in parts[upwards:]:
            raise JobError(
                f"the symlink {info.name} in {self._name} leads to {info.linkname}, out of the tree"
            )

    def _clear(self, path: str, info: tarfile.TarInfo) -> None:
        """Make room for a member that is no directory."""
        with suppress(FileNotFoundError):
            if stat.S_ISDIR(os.lstat(path).st_mode):
                raise JobError(f"{info.name} in {self._name} would replace a directory")
            os.unlink(path)  # noqa: PTH108

    def _own(self, path: str, info: tarfile.TarInfo) -> None:
        if self._policy.owners:
            os.chown(path, info.uid, info.gid, follow_symlinks=False)

    def _mode(self, info: tarfile.TarInfo) -> int:
        return info.mode & (0o7777 if self._policy.setid else 0o777)


def _joined(base: Parts, target: str) -> Parts:
    """The names that a symlink in `base` leads to, with the tree as root."""
    parts = [] if target.startswith("/") else list(base)
    for part in target.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return tuple(parts)
