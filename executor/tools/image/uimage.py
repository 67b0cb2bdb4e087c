# SPDX-License-Identifier: Apache-2.0
"""The 64-byte header that U-Boot's bootm wants around a ramdisk or kernel: read, checked and made by
ourselves.

mkimage would read and write the whole payload once more; here a changed payload costs one pass of CRC.
"""

from __future__ import annotations

import os
import struct
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

from executor.errors import JobError
from executor.model.deadline import Deadline
from executor.tools.image.copy import copy_range
from executor.tools.image.sparse import new_file
from executor.tools.proc import overdue

SIZE = 64
MAGIC = 0x27051956
_HEADER = struct.Struct(">IIIIIIIBBBB32s")
_PIECE = 4 << 20

OS_LINUX = 5
TYPE_KERNEL, TYPE_RAMDISK, TYPE_MULTI = 2, 3, 4
COMP_NONE = 0
# Architectures by the names that mkimage -A takes.
ARCHES = {
    "arm": 2,
    "x86": 3,
    "mips": 5,
    "mips64": 6,
    "ppc": 7,
    "sh": 9,
    "arm64": 22,
    "x86_64": 24,
    "riscv": 26,
}


@dataclass(frozen=True, slots=True)
class Header:
    """What the header says of its payload. Times in seconds since 1970, addresses as U-Boot uses them."""

    size: int  # bytes of the payload
    dcrc: int  # CRC-32 of the payload
    time: int = 0
    load: int = 0
    entry: int = 0
    os: int = OS_LINUX
    arch: int = ARCHES["arm"]
    type: int = TYPE_RAMDISK
    comp: int = COMP_NONE
    name: bytes = b""


def parse(raw: bytes) -> Header:
    """The header at the start of `raw`. Raises JobError when there is none or its checksum is wrong."""
    if len(raw) < SIZE:
        raise JobError("the file is too short for a u-boot header")
    magic, hcrc, time, size, load, entry, dcrc, os_, arch, type_, comp, name = _HEADER.unpack_from(raw)
    if magic != MAGIC:
        raise JobError(
            f"the file has no u-boot header (it starts with {raw[:4].hex(' ')})",
            "leave out `header: u-boot` when the file is a bare one",
        )
    if zlib.crc32(raw[:4] + bytes(4) + raw[8:SIZE]) != hcrc:
        raise JobError("the checksum of the u-boot header is wrong", "the file is damaged")
    return Header(size, dcrc, time, load, entry, os_, arch, type_, comp, name.rstrip(b"\0"))


def pack(header: Header) -> bytes:
    """The 64 bytes, header checksum included."""
    fields = (header.size, header.load, header.entry, header.dcrc)
    kinds = (header.os, header.arch, header.type, header.comp, header.name[:32])
    raw = _HEADER.pack(MAGIC, 0, header.time, *fields, *kinds)
    return raw[:4] + struct.pack(">I", zlib.crc32(raw)) + raw[8:]


def wrap(source: Path, target: Path, header: Header, *, deadline: Deadline) -> None:
    """Write `target`: `source` behind `header`, whose size and checksum are filled in.

    Nothing is left at `target` on failure. Raises JobError for a file that is too large.
    """
    with source.open("rb") as file, new_file(target) as output:
        size = os.fstat(file.fileno()).st_size
        if size >= 1 << 32:
            raise JobError("a u-boot image cannot hold 4 GiB or more")
        copy_range(file.fileno(), output, 0, SIZE, size, deadline=deadline)
        crc = payload_crc(output, SIZE, size, deadline=deadline)
        os.pwrite(output, pack(replace(header, size=size, dcrc=crc)), 0)


def payload_crc(handle: int, start: int, size: int, *, deadline: Deadline, crc: int = 0) -> int:
    """CRC-32 of `size` bytes at `start` of an open file, going on from `crc`. Raises JobError when the file
    is shorter.
    """
    buffer = memoryview(bytearray(_PIECE))
    while size > 0:
        if deadline.expired:
            raise overdue("the checksum of the u-boot image was not done", deadline)
        count = os.preadv(handle, [buffer[: min(size, _PIECE)]], start)
        if not count:
            raise JobError("the u-boot image is shorter than its header says", "the file is cut off")
        crc = zlib.crc32(buffer[:count], crc)
        start, size = start + count, size - count
    return crc
