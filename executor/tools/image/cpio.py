# SPDX-License-Identifier: Apache-2.0
"""The newc cpio format of initramfs archives: written from an overlay, and read as the kernel reads it.

A ramdisk is a sequence of archives, each plain or compressed by its own method, with zeros between them; a
later entry of the same name wins. Reading follows these rules, so that what is listed here is what a kernel
sees.
"""

from __future__ import annotations

import bz2
import lzma
import stat
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

import zstandard

from executor.errors import JobError
from executor.tools.image.magic import describe
from executor.tools.image.members import Form, Member
from executor.tools.image.methods import DATA_ERRORS

MAGICS = (b"070701", b"070702")
_TRAILER = b"TRAILER!!!"
_HEADER = 110
_NAME_MAX = 4096
_PIECE = 1 << 18
_PACKED_PIECE = 1 << 12  # compressed bytes at once: a bomb's step is bounded by it
_TYPES = {Form.FILE: stat.S_IFREG, Form.DIRECTORY: stat.S_IFDIR, Form.LINK: stat.S_IFLNK}


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry as it stands in an archive; `target` of a symlink. `mode` holds the type."""

    name: str
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int
    target: str = ""


def write_archive(members: Iterable[Member], write: Callable[[bytes], object]) -> int:
    """A whole archive, padded to 512 bytes, in pieces to `write`; all of it root's. Returns its length."""
    length = 0
    for inode, member in enumerate(members, 1):
        target = member.target.encode("utf-8", "surrogateescape")
        size = len(target) if member.form is Form.LINK else member.size
        if size >= 1 << 32:
            raise JobError(f"{member.name} is too large for a ramdisk (4 GiB)")
        mode = member.mode | _TYPES[member.form]
        links = 2 if member.form is Form.DIRECTORY else 1
        name = member.name.encode("utf-8", "surrogateescape")
        length += _put(
            write, _header(name, inode=inode, mode=mode, links=links, mtime=member.mtime, size=size)
        )
        content = [target] if member.form is Form.LINK else member.read() if member.form is Form.FILE else []
        written = sum(_put(write, piece) for piece in content)
        if written != size:
            raise JobError(f"{member.name} in the overlay is shorter than its header says")
        length += written + _put(write, bytes(-written % 4))
    length += _put(write, _header(_TRAILER))
    return length + _put(write, bytes(-length % 512))


def _put(write: Callable[[bytes], object], data: bytes) -> int:
    write(data)
    return len(data)


def _header(
    name: bytes, *, inode: int = 0, mode: int = 0, links: int = 1, mtime: int = 0, size: int = 0
) -> bytes:
    if len(name) + 1 > _NAME_MAX:
        raise JobError("the overlay holds a name that is too long for a ramdisk")
    fields = (inode, mode, 0, 0, links, min(mtime, 0xFFFFFFFF), size, 0, 0, 0, 0, len(name) + 1, 0)
    raw = MAGICS[0] + b"".join(b"%08X" % field for field in fields) + name + b"\0"
    return raw + bytes(-len(raw) % 4)


def list_cpio(path: Path, start: int = 0) -> Iterator[Entry]:
    """Every entry of a ramdisk in order, those of appended archives included.

    `start`: where the ramdisk begins in the file (behind a u-boot header). Raises JobError for what a kernel
    would not unpack.
    """
    with path.open("rb") as file:
        yield from _segments(file, start)


def _segments(file: BinaryIO, start: int) -> Iterator[Entry]:
    position = start
    while True:
        position = _skip_zeros(file, position)
        file.seek(position)
        head = file.read(8)
        if not head:
            return
        if head.startswith(MAGICS):
            if (position - start) % 4:
                raise JobError(
                    f"the cpio archive at byte {position - start} does not start at a multiple of 4"
                )
            plain = _Plain(file, position)
            yield from _entries(plain)
            position = plain.position
            continue
        method = next((made for magic, made in _METHODS if head.startswith(magic)), None)
        if method is None:
            raise JobError(
                f"there is no archive at byte {position - start} of the ramdisk ({describe(head)})"
            )
        packed = _Packed(file, position, method)
        yield from _entries(packed)
        position = packed.end()


def _skip_zeros(file: BinaryIO, position: int) -> int:
    file.seek(position)
    while chunk := file.read(_PIECE):
        rest = chunk.lstrip(b"\0")
        if rest:
            return position + len(chunk) - len(rest)
        position += len(chunk)
    return position


class _Reader(Protocol):
    def take(self, count: int) -> bytes: ...
    def skip(self, count: int) -> None: ...


def _entries(reader: _Reader) -> Iterator[Entry]:
    """The entries up to the end of the archives in one stretch; several may follow each other."""
    offset = 0
    while head := reader.take(1):
        offset += 1
        if head == b"\0":
            continue
        if (offset - 1) % 4 and isinstance(reader, _Plain):
            raise JobError("an entry of the ramdisk does not start at a multiple of 4")
        raw = head + reader.take(_HEADER - 1)
        if len(raw) < _HEADER or not raw.startswith(MAGICS):
            if isinstance(reader, _Plain) and not raw.startswith(MAGICS):
                reader.position -= len(raw)  # another, compressed archive begins here
                return
            raise JobError("the cpio archive in the ramdisk is damaged")
        entry, after = _entry(raw, reader)
        offset += after
        if entry is not None:
            yield entry


def _entry(raw: bytes, reader: _Reader) -> tuple[Entry | None, int]:
    """The entry that starts with the header `raw`, None for a trailer, and how many bytes more it has."""
    try:
        fields = [int(raw[6 + 8 * n : 14 + 8 * n], 16) for n in range(13)]
    except ValueError:
        raise JobError("the cpio archive in the ramdisk is damaged") from None
    mode, uid, gid, mtime, size, length = fields[1], fields[2], fields[3], fields[5], fields[6], fields[11]
    if not 0 < length <= _NAME_MAX or (stat.S_ISLNK(mode) and size > _NAME_MAX):
        raise JobError("the cpio archive in the ramdisk is damaged")
    padded = length + -(_HEADER + length) % 4
    name = reader.take(padded)[: length - 1]
    stored = size + -size % 4
    target = b""
    if stat.S_ISLNK(mode):
        target = reader.take(stored)[:size]
    else:
        reader.skip(stored)
    after = _HEADER - 1 + padded + stored
    if name == _TRAILER:
        return None, after
    text = name.decode("utf-8", "surrogateescape")
    return Entry(text, mode, uid, gid, size, mtime, target.decode("utf-8", "surrogateescape")), after


class _Plain:
    """An uncompressed stretch of the file."""

    def __init__(self, file: BinaryIO, position: int) -> None:
        self._file = file
        self._size = file.seek(0, 2)
        self.position = position

    def take(self, count: int) -> bytes:
        self._file.seek(self.position)
        data = self._file.read(count)
        self.position += len(data)
        return data

    def skip(self, count: int) -> None:
        self.position += count
        if self.position > self._size:
            raise JobError("the archive in the ramdisk is cut off")


class _Unpacker(Protocol):
    """What zlib, bz2, lzma and zstandard have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


class _Packed:
    """A compressed stretch of the file; it ends where the compressed data says so."""

    def __init__(self, file: BinaryIO, position: int, make: Callable[[], _Unpacker]) -> None:
        self._file = file
        self._position = position
        self._unpacker = make()
        self._buffer = b""
        self._at = 0  # what of the buffer has been taken

    def take(self, count: int) -> bytes:
        while len(self._buffer) - self._at < count and self._more():
            pass
        data = self._buffer[self._at : self._at + count]
        self._at += len(data)
        return data

    def skip(self, count: int) -> None:
        while count > len(self._buffer) - self._at:
            count -= len(self._buffer) - self._at
            self._at = len(self._buffer)
            if not self._more():
                raise JobError("the compressed archive in the ramdisk is cut off")
        self._at += count

    def end(self) -> int:
        """Where in the file the stretch ends."""
        while True:
            self._at = len(self._buffer)
            if not self._more():
                return self._position - len(self._unpacker.unused_data)

    def _more(self) -> bool:
        if self._unpacker.eof:
            return False
        self._file.seek(self._position)
        packed = self._file.read(_PACKED_PIECE)
        if not packed:
            raise JobError("the compressed archive in the ramdisk is cut off")
        self._position += len(packed)
        try:
            data = self._unpacker.decompress(packed)
        except DATA_ERRORS as problem:
            raise JobError(f"the compressed archive in the ramdisk is damaged: {problem}") from problem
        self._buffer = self._buffer[self._at :] + data
        self._at = 0
        return True


# What kernels have unpacked for long, also behind another archive. Not lz4, lzma and lzo: their decompressors
# take what follows for more of their own data, or do not say where they stopped.
_METHODS: tuple[tuple[bytes, Callable[[], _Unpacker]], ...] = (
    (b"\x1f\x8b", lambda: zlib.decompressobj(31)),
    (b"BZh", bz2.BZ2Decompressor),
    (b"\xfd7zXZ\0", lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ)),
    (b"\x28\xb5\x2f\xfd", lambda: zstandard.ZstdDecompressor(max_window_size=1 << 28).decompressobj()),
)
EXTENSIBLE = (*MAGICS, *(magic for magic, _ in _METHODS))
