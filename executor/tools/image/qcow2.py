# SPDX-License-Identifier: Apache-2.0
"""The header of a qcow2, checked before QEMU opens an image that a user brought.

An image may name other files of this machine (a backing file, an external data file); QEMU would open them
and the guest could read them. Such images are refused.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from executor.errors import JobError
from executor.tools.image.blocks import Blocks

MAGIC = b"QFI\xfb"
_HEADER = struct.Struct(">4sIQIIQIIQQIIQ")
_CORRUPT, _EXTERNAL_DATA = 1 << 1, 1 << 2
_KNOWN = 0b11111  # dirty, corrupt, external data file, compression type, extended L2 entries
_DATA_FILE_NAME = 0x44415441
_HINT = "flatten it with `qemu-img convert`"


@dataclass(frozen=True, slots=True)
class Qcow2:
    """What the header says: version 2 or 3, size of the disk inside and of a cluster in bytes."""

    version: int
    size: int
    cluster: int


def read_header(blocks: Blocks, *, own: bool = False) -> Qcow2:
    """Parse and judge the header. Raises JobError when it is damaged, encrypted or names another file.

    `own`: the image was made by this job itself and may have a backing file.
    """
    raw = blocks.pread(0, 4096)
    if len(raw) < _HEADER.size or not raw.startswith(MAGIC):
        raise JobError("the file is not a qcow2, or it is cut off")
    _, version, backing, backing_length, bits, size, crypt, *_ = _HEADER.unpack_from(raw)
    if version not in (2, 3):
        raise JobError(f"the qcow2 is of version {version}; 2 and 3 are supported")
    if not 9 <= bits <= 21:
        raise JobError("the header of the qcow2 makes no sense", "the image is damaged")
    if (backing or backing_length) and not own:
        raise JobError("the qcow2 needs a backing file; images must stand alone", _HINT)
    if crypt:
        raise JobError("the qcow2 is encrypted", _HINT)
    length = 72
    if version == 3:
        if len(raw) < 104:
            raise JobError("the header of the qcow2 is cut off")
        (incompatible,) = struct.unpack_from(">Q", raw, 72)
        (length,) = struct.unpack_from(">I", raw, 100)
        if incompatible & _EXTERNAL_DATA:
            raise JobError("the qcow2 keeps its data in another file; images must stand alone", _HINT)
        if incompatible & _CORRUPT:
            raise JobError("the qcow2 is marked as corrupt", "run `qemu-img check -r all` on it")
        if incompatible & ~_KNOWN:
            raise JobError("the qcow2 needs features that are not known here", _HINT)
    _extensions(raw, length)
    return Qcow2(version, size, 1 << bits)


def _extensions(raw: bytes, offset: int) -> None:
    while offset + 8 <= len(raw):
        kind, length = struct.unpack_from(">II", raw, offset)
        if kind == 0:
            return
        if kind == _DATA_FILE_NAME:
            raise JobError("the qcow2 names another file for its data; images must stand alone", _HINT)
        offset += 8 + (length + 7) // 8 * 8
