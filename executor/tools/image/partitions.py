# SPDX-License-Identifier: Apache-2.0
"""Partition tables, read by ourselves: no tool that needs a device or root is involved.

A table is untrusted data: every number is checked against the disk, every chain is bounded.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from executor.errors import JobError
from executor.tools.image.blocks import Blocks

_SECTOR = 512
_EXTENDED = {0x05, 0x0F, 0x85}
_PROTECTIVE = 0xEE
_LOGICAL_MAX = 128
_GPT_HEADER = struct.Struct("<8sIIIIQQQQ16sQIII")
_GPT_ENTRY = struct.Struct("<16s16sQQQ72s")
_EMPTY_GUID = bytes(16)


@dataclass(frozen=True, slots=True)
class Partition:
    """One partition: bytes `start` … `start + size` of the disk.

    `number` counts from 1 as in /dev/sdaN. `type` is the MBR type as hex ("83") or the GPT type GUID.
    """

    number: int
    start: int
    size: int
    type: str
    label: str = ""  # GPT only

    @property
    def container(self) -> bool:
        """An extended partition: it holds the logical ones and no file system."""
        return self.type in ("05", "0f", "85")


@dataclass(frozen=True, slots=True)
class Table:
    """A partition table; `partitions` in the order of their numbers."""

    kind: str  # "mbr" or "gpt"
    partitions: tuple[Partition, ...]


def read_table(blocks: Blocks) -> Table | None:
    """The partition table of a disk, or None when it has none. Raises JobError for a damaged one."""
    sector = blocks.pread(0, _SECTOR)
    if len(sector) < _SECTOR or sector[510:] != b"\x55\xaa":
        return None
    entries = [struct.unpack_from("<B3xB3xII", sector, 446 + 16 * n) for n in range(4)]
    if any(entry[1] == _PROTECTIVE for entry in entries):
        return Table("gpt", _gpt(blocks))
    if any(status not in (0, 0x80) for status, *_ in entries):
        return None  # the boot sector of a file system: code where the table would be
    used = [(n, *entry[1:]) for n, entry in enumerate(entries, 1) if entry[1] and entry[3]]
    if not used or any(start == 0 for _, _, start, _ in used):
        return None
    found = []
    for number, type_, start, count in used:
        found.append(_partition(blocks, number, start, count, f"{type_:02x}"))
        if type_ in _EXTENDED:
            found.extend(_logical(blocks, start))
    return Table("mbr", tuple(sorted(found, key=lambda one: one.number)))


def _partition(blocks: Blocks, number: int, start: int, count: int, type_: str) -> Partition:
    begin, size = start * _SECTOR, count * _SECTOR
    if begin >= blocks.size:
        raise JobError(
            f"partition {number} starts at byte {begin}, but the image has only {blocks.size}",
            "the image is cut off",
        )
    return Partition(number, begin, size, type_)


def _logical(blocks: Blocks, base: int) -> list[Partition]:
    """The chain of boot records inside an extended partition."""
    found: list[Partition] = []
    record = base
    seen = set()
    while True:
        if record in seen or len(found) >= _LOGICAL_MAX:
            raise JobError("the chain of logical partitions does not end", "the partition table is damaged")
        seen.add(record)
        sector = blocks.pread(record * _SECTOR, _SECTOR)
        if len(sector) < _SECTOR or sector[510:] != b"\x55\xaa":
            raise JobError(f"the boot record of logical partition {5 + len(found)} is missing or damaged")
        _, type_, start, count = struct.unpack_from("<B3xB3xII", sector, 446)
        if type_ and count:
            found.append(_partition(blocks, 5 + len(found), record + start, count, f"{type_:02x}"))
        _, next_type, next_start, next_count = struct.unpack_from("<B3xB3xII", sector, 462)
        if next_type not in _EXTENDED or not next_count:
            return found
        record = base + next_start


def _gpt(blocks: Blocks) -> tuple[Partition, ...]:
    for sector in (512, 4096):
        raw = blocks.pread(sector, sector)
        if raw.startswith(b"EFI PART"):
            return _gpt_entries(blocks, raw, sector)
    raise JobError("the disk says it has a GPT, but there is none", "the image is damaged")


def _gpt_entries(blocks: Blocks, raw: bytes, sector: int) -> tuple[Partition, ...]:
    if len(raw) < _GPT_HEADER.size:
        raise JobError("the GPT is cut off")
    fields = _GPT_HEADER.unpack_from(raw)
    header_size, header_crc = fields[2], fields[3]
    table_lba, count, entry_size, table_crc = fields[10:14]
    if not _GPT_HEADER.size <= header_size <= sector or count > 1024 or not 128 <= entry_size <= 4096:
        raise JobError("the header of the GPT makes no sense", "the image is damaged")
    if zlib.crc32(raw[:16] + bytes(4) + raw[20:header_size]) != header_crc:
        raise JobError("the checksum of the GPT's header is wrong", "the image is damaged")
    table = blocks.pread(table_lba * sector, count * entry_size)
    if len(table) != count * entry_size or zlib.crc32(table) != table_crc:
        raise JobError("the checksum of the GPT's entries is wrong", "the image is damaged or cut off")
    found = []
    for number in range(1, count + 1):
        kind, _, first, last, _, name = _GPT_ENTRY.unpack_from(table, (number - 1) * entry_size)
        if kind == _EMPTY_GUID:
            continue
        if last < first or first * sector >= blocks.size:
            raise JobError(f"GPT partition {number} lies outside of the image", "the image is cut off")
        label = name.decode("utf-16-le", "replace").split("\0", 1)[0]
        found.append(Partition(number, first * sector, (last - first + 1) * sector, _guid(kind), label))
    return tuple(found)


def _guid(raw: bytes) -> str:
    first, second, third = struct.unpack_from("<IHH", raw)
    return f"{first:08x}-{second:04x}-{third:04x}-{raw[8:10].hex()}-{raw[10:].hex()}"
