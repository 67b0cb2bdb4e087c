# SPDX-License-Identifier: Apache-2.0
"""Where the members of an overlay really go in a ramdisk, whose names are known only from its archives."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Sequence
from dataclasses import replace

from executor.errors import JobError
from executor.model.deadline import Deadline
from executor.tools.image.cpio import Entry
from executor.tools.image.members import Form, Member
from executor.tools.proc import overdue

_LINKS_MAX = 40
_DIRECTORY = ""  # as the value in the tree: a directory; None: a file; else the target of a symlink

Path = tuple[str, ...]


def is_new(member: Member, prefixes: Sequence[str]) -> bool:
    """Whether the member lies in a tree that no ramdisk has."""
    return member.path[0].startswith(tuple(prefixes))


class RamTree:
    """The names in a ramdisk: directories, files, symlinks."""

    def __init__(self, entries: Iterable[Entry], deadline: Deadline) -> None:
        self._kinds: dict[Path, str | None] = {(): _DIRECTORY}
        for entry in entries:
            if deadline.expired:
                raise overdue("reading the names in the ramdisk did not end", deadline)
            path = tuple(part for part in entry.name.split("/") if part not in ("", "."))
            kind: str | None = None
            if stat.S_ISDIR(entry.mode):
                kind = _DIRECTORY
            elif stat.S_ISLNK(entry.mode):
                kind = entry.target
            if path:
                self._kinds[path] = kind

    def place(self, members: list[Member]) -> list[Member]:
        """The entries to append, each with the path behind all symlinks.

        Directories that are there already are left out, so that they keep their modes; missing ones on the
        way are added. Raises JobError where overlay and ramdisk contradict each other.
        """
        placed: list[Member] = []
        for member in members:
            path = (*self._parent(member, placed), member.path[-1])
            if member.form is Form.DIRECTORY and self._is_directory(path):
                continue
            if self._kinds.get(path) == _DIRECTORY:
                raise JobError(
                    f"the overlay has a {member.form.value} {member.name}, the ramdisk has a directory there"
                )
            self._add(replace(member, path=path), placed)
        return placed

    def _add(self, member: Member, placed: list[Member]) -> None:
        kinds = {Form.DIRECTORY: _DIRECTORY, Form.LINK: member.target, Form.FILE: None}
        self._kinds[member.path] = kinds[member.form]
        placed.append(member)

    def _parent(self, member: Member, placed: list[Member]) -> Path:
        """The directory that the member goes into, made with mode 0755 where it is missing."""
        here: Path = ()
        for name in member.path[:-1]:
            step = (*here, name)
            if step not in self._kinds:
                self._add(Member(step, Form.DIRECTORY, 0o755, member.mtime), placed)
            found = self._resolve(step, 0)
            if found is None or self._kinds.get(found) != _DIRECTORY:
                raise JobError(
                    f"{member.name} of the overlay lies below {'/'.join(step)}, which is no directory"
                )
            here = found
        return here

    def _is_directory(self, path: Path) -> bool:
        found = self._resolve(path, 0)
        return found is not None and self._kinds.get(found) == _DIRECTORY

    def _resolve(self, path: Path, depth: int) -> Path | None:
        """The place that `path` names when symlinks are followed; None when there is nothing."""
        if depth > _LINKS_MAX:
            raise JobError(f"too many symlinks at {'/'.join(path)} in the ramdisk")
        here: Path = ()
        for name in path:
            if name in ("", "."):
                continue
            if name == "..":
                here = here[:-1]
                continue
            here = (*here, name)
            if here not in self._kinds:
                return None
            target = self._kinds[here]
            if target:
                start = () if target.startswith("/") else here[:-1]
                found = self._resolve((*start, *target.split("/")), depth + 1)
                if found is None:
                    return None
                here = found
        return here
