# SPDX-License-Identifier: Apache-2.0
"""Partition tables made by hand, good and bad."""

from __future__ import annotations

import struct
import zlib

import pytest

from executor.errors import JobError
from executor.tools.image.blocks import BytesBlocks
from executor.tools.image.partitions import Partition, read_table

Row = tuple[int, int, int]  # type, first sector, sectors


def mbr(rows: list[Row], sectors: int = 8192) -> bytearray:
    """A disk with primary partitions."""
    disk = bytearray(sectors * 512)
    put(disk, 0, rows)
    return disk


def put(disk: bytearray, sector: int, rows: list[Row]) -> None:
    """A boot record."""
    for n, (kind, start, count) in enumerate(rows):
        struct.pack_into("<B3xB3xII", disk, sector * 512 + 446 + 16 * n, 0, kind, start, count)
    disk[sector * 512 + 510 : sector * 512 + 512] = b"\x55\xaa"


def gpt(names: list[str], *, sector: int = 512, sectors: int = 512) -> bytearray:
    """A disk with one partition of 10 sectors for each name; an empty name is an empty entry."""
    disk = bytearray(sectors * sector)
    put(disk, 0, [(0xEE, 1, sectors - 1)])
    table = bytearray(128 * 128)
    for n, name in enumerate(names):
        if name:
            first = 100 + 10 * n
            text = name.encode("utf-16-le")
            struct.pack_into("<16s16sQQQ72s", table, n * 128, b"T" * 16, b"U" * 16, first, first + 9, 0, text)
    disk[2 * sector : 2 * sector + len(table)] = table
    header = bytearray(92)
    fields = (b"EFI PART", 0x10000, 92, 0, 0, 1, sectors - 1, 34, sectors - 34, b"D" * 16, 2, 128, 128)
    struct.pack_into("<8sIIIIQQQQ16sQIII", header, 0, *fields, zlib.crc32(bytes(table)))
    struct.pack_into("<I", header, 16, zlib.crc32(bytes(header)))
    disk[sector : sector + 92] = header
    return disk


def read(disk: bytes | bytearray) -> tuple[Partition, ...]:
    table = read_table(BytesBlocks(bytes(disk)))
    assert table is not None
    return table.partitions


def test_primary() -> None:
    first, second = read(mbr([(0x83, 2048, 1024), (0, 0, 0), (0x0C, 4096, 1024)]))
    assert first == Partition(1, 2048 * 512, 1024 * 512, "83")
    assert (second.number, second.type) == (3, "0c")


def test_logical_ones_are_numbered_from_five() -> None:
    disk = mbr([(0x83, 64, 64), (0x05, 1024, 2048)])
    put(disk, 1024, [(0x83, 64, 100), (0x05, 512, 200)])
    put(disk, 1024 + 512, [(0x82, 64, 50)])
    found = read(disk)
    assert [(one.number, one.start // 512, one.size // 512) for one in found] == [
        (1, 64, 64),
        (2, 1024, 2048),
        (5, 1024 + 64, 100),
        (6, 1024 + 512 + 64, 50),
    ]
    assert [one.container for one in found] == [False, True, False, False]


def test_a_chain_of_logical_ones_that_turns_in_circles() -> None:
    disk = mbr([(0x0F, 1024, 2048)])
    put(disk, 1024, [(0x83, 64, 100), (0x05, 512, 200)])
    put(disk, 1024 + 512, [(0x83, 64, 50), (0x05, 512, 200)])
    with pytest.raises(JobError, match="does not end"):
        read(disk)


def test_a_broken_link_in_the_chain() -> None:
    with pytest.raises(JobError, match="boot record of logical partition 5"):
        read(mbr([(0x05, 1024, 2048)]))


def test_a_partition_behind_the_end() -> None:
    with pytest.raises(JobError, match="partition 1 starts at byte"):
        read(mbr([(0x83, 10_000, 10)]))


def test_no_table() -> None:
    code = bytearray(512)
    code[0:3], code[446:510], code[510:] = b"\xeb\x58\x90", b"\x66\x0f" * 32, b"\x55\xaa"
    for disk in (b"", b"\0" * 511, bytes(512), bytes(code), bytes(mbr([]))):
        assert read_table(BytesBlocks(disk)) is None


@pytest.mark.parametrize("sector", [512, 4096])
def test_gpt(sector: int) -> None:
    disk = gpt(["EFI", "", "wurzel ü"], sector=sector)
    first, second = read(disk)
    assert (first.number, first.label, first.start, first.size) == (1, "EFI", 100 * sector, 10 * sector)
    assert (second.number, second.label) == (3, "wurzel ü")
    assert second.type == "54545454-5454-5454-5454-545454545454"


@pytest.mark.parametrize(
    ("offset", "what"),
    [
        (512, "there is none"),
        (512 + 24, "header is wrong"),
        (1024, "entries is wrong"),
        (512 + 13, "no sense"),
    ],
)
def test_damaged_gpt(offset: int, what: str) -> None:
    disk = gpt(["root"])
    disk[offset] ^= 0xFF
    with pytest.raises(JobError, match=what):
        read(disk)


def test_gpt_partition_behind_the_end() -> None:
    with pytest.raises(JobError, match="outside of the image"):
        read(gpt(["root"])[: 90 * 512])
