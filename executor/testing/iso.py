# SPDX-License-Identifier: Apache-2.0
"""ISO 9660 images for tests, as plain as the standard allows: Linux mounts them."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

SECTOR = 2048
_FIRST = 18  # sector of the root directory


def write_iso(path: Path, files: Mapping[str, bytes]) -> Path:
    """An image with these files, `name` or `directory/name`; returns `path`."""
    folders: dict[str, dict[str, bytes]] = {"": {}}
    for name, content in files.items():
        folder, _, last = name.rpartition("/")
        folders.setdefault(folder, {})[last] = content
    sectors = {folder: _FIRST + number for number, folder in enumerate(folders)}
    at = _FIRST + len(folders)
    body, places = [], {}
    for folder, inside in folders.items():
        for name, content in inside.items():
            places[folder, name] = (at, len(content))
            padded = content + bytes(-len(content) % SECTOR)
            body.append(padded)
            at += len(padded) // SECTOR
    made = []
    for folder, inside in folders.items():
        records = [_record(b"\0", sectors[folder], SECTOR, 2), _record(b"\1", _FIRST, SECTOR, 2)]
        names = [(name, *places[folder, name], 0, ";1") for name in inside]
        if not folder:
            names += [(name, sectors[name], SECTOR, 2, "") for name in folders if name]
        for name, sector, size, flags, suffix in sorted(names):
            records.append(_record(f"{name.upper()}{suffix}".encode(), sector, size, flags))
        made.append(b"".join(records).ljust(SECTOR, b"\0"))
    path.write_bytes(b"".join([bytes(16 * SECTOR), _descriptor(at), _end(), *made, *body]))
    return path


def _both(value: int) -> bytes:
    """32 bits in both orders, as the standard wants it."""
    return struct.pack("<I", value) + struct.pack(">I", value)


def _record(name: bytes, sector: int, size: int, flags: int) -> bytes:
    made = bytes(1) + bytes(1) + _both(sector) + _both(size) + bytes(7) + bytes([flags, 0, 0, 1, 0, 0, 1])
    made += bytes([len(name)]) + name
    made += bytes(len(made) % 2)
    return bytes([len(made)]) + made[1:]


def _descriptor(sectors: int) -> bytes:
    made = bytearray(b"\1CD001\1".ljust(SECTOR, b"\0"))
    made[8:72] = b" " * 64
    made[80:88] = _both(sectors)
    for place in (120, 124):  # volumes in the set, number of this one
        made[place : place + 4] = b"\1\0\0\1"
    made[128:132] = struct.pack("<H", SECTOR) + struct.pack(">H", SECTOR)
    made[156:190] = _record(b"\0", _FIRST, SECTOR, 2)
    made[881] = 1  # version of the structure
    return bytes(made)


def _end() -> bytes:
    return b"\xffCD001\1".ljust(SECTOR, b"\0")
