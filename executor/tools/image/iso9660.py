# SPDX-License-Identifier: Apache-2.0
"""Single files out of an ISO 9660 image, such as the kernel of an installer; nothing is mounted.

Names are those of Rock Ridge where an entry has one, else the plain ones, which are upper case and may end in
`.;1`; both are compared without regard to case. What the image says of itself is checked against its size.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from executor.errors import InfrastructureError, JobError
from executor.model.deadline import Deadline
from executor.tools.image.copy import copy_range
from executor.tools.image.sparse import new_file

SECTOR = 2048
_DESCRIPTORS = range(16, 64)  # sectors in which the primary volume descriptor is looked for
_PRIMARY, _END = 1, 255
_DIRECTORY_MAX = 8 << 20  # bytes of one directory
_IS_DIRECTORY, _HAS_MORE = 0x02, 0x80


@dataclass(frozen=True)
class _Entry:
    name: str
    start: int  # in bytes
    size: int
    flags: int

    @property
    def is_directory(self) -> bool:
        return bool(self.flags & _IS_DIRECTORY)


def extract(image: Path, name: str, target: Path, *, deadline: Deadline) -> int:
    """Copy the file `name` (`/install.amd/vmlinuz`) to the new file `target`; its size.

    Raises JobError when the image is none, is damaged, or has no such file.
    """
    try:
        handle = os.open(image, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as problem:
        raise InfrastructureError(f"{image} cannot be read: {problem.strerror}") from problem
    try:
        found = _Image(handle).find(name)
        with new_file(target) as made:
            copy_range(handle, made, found.start, 0, found.size, deadline=deadline)
    finally:
        os.close(handle)
    return found.size


class _Image:
    def __init__(self, handle: int) -> None:
        self.handle = handle
        self.size = os.fstat(handle).st_size

    def find(self, name: str) -> _Entry:
        here = self._root()
        for part in (part for part in name.split("/") if part):
            if not here.is_directory:
                raise JobError(f"{name} is not in the ISO image: {here.name} is a file")
            inside = list(self._list(here))
            matching = [entry for entry in inside if entry.name.lower() == part.lower()]
            if not matching:
                known = ", ".join(sorted(entry.name for entry in inside)[:20])
                raise JobError(f"{name} is not in the ISO image", f"beside {part!r} there is: {known}")
            here = next((entry for entry in matching if entry.name == part), matching[0])
        if here.is_directory:
            raise JobError(f"{name} is a directory of the ISO image, not a file")
        if here.flags & _HAS_MORE:
            raise JobError(f"{name} lies in several pieces in the ISO image", "files of 4 GiB do")
        return here

    def _root(self) -> _Entry:
        for sector in _DESCRIPTORS:
            head = os.pread(self.handle, SECTOR, sector * SECTOR)
            if len(head) < SECTOR or head[1:6] != b"CD001" or head[0] == _END:
                break
            if head[0] == _PRIMARY:
                return self._entry(head[156:190])
        raise JobError("this is no ISO 9660 image: it has no volume descriptor", "is it a disk image?")

    def _list(self, directory: _Entry) -> Iterator[_Entry]:
        if directory.size > _DIRECTORY_MAX:
            raise JobError(f"a directory of the ISO image has {directory.size} bytes: it is damaged")
        data = os.pread(self.handle, directory.size, directory.start)
        position = 0
        while position < len(data):
            length = data[position]
            if length == 0:  # records do not cross sectors
                position += SECTOR - position % SECTOR
                continue
            record = data[position : position + length]
            if length >= 34 and record[33:34] not in (b"\0", b"\1"):  # neither . nor ..
                yield self._entry(record)
            position += length

    def _entry(self, record: bytes) -> _Entry:
        try:
            (block,) = struct.unpack_from("<I", record, 2)
            (size,) = struct.unpack_from("<I", record, 10)
            flags, length = record[25], record[32]
        except (struct.error, IndexError):
            raise JobError("a directory of the ISO image is damaged") from None
        if block * SECTOR + size > self.size:
            raise JobError("the ISO image is cut off: a file lies beyond its end")
        plain = record[33 : 33 + length].decode("latin-1").split(";")[0].removesuffix(".")
        extras = record[33 + length + (length + 1) % 2 :]
        return _Entry(_rock_ridge(extras) or plain, block * SECTOR, size, flags)


def _rock_ridge(extras: bytes) -> str:
    """The name in the system use area, or "" when it has none."""
    name = b""
    while len(extras) >= 4 and 4 <= extras[2] <= len(extras):
        if extras[:2] == b"NM" and extras[2] >= 5:
            name += extras[5 : extras[2]]
        extras = extras[extras[2] :]
    return name.decode("utf-8", "replace")
