# SPDX-License-Identifier: Apache-2.0
"""Recognising images: dangerous ones are refused, random bytes never crash."""

from __future__ import annotations

import struct
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from executor.errors import JobError
from executor.tools.image.blocks import BytesBlocks
from executor.tools.image.extsuper import Super
from executor.tools.image.identify import Identified, Kind, Volume, choose, look
from executor.tools.image.magic import describe, looks_like
from executor.tools.image.partitions import Partition
from executor.tools.image.uimage import Header, pack

MIB = 1 << 20


def qcow2(
    version: int = 3,
    *,
    backing: int = 0,
    crypt: int = 0,
    bits: int = 16,
    incompatible: int = 0,
    extension: int = 0,
) -> bytes:
    """A header, and one extension of the given kind."""
    raw = struct.pack(
        ">4sIQIIQIIQQIIQ", b"QFI\xfb", version, backing, 8 if backing else 0, bits, MIB, crypt, *[0] * 6
    )
    if version == 3:
        raw += struct.pack(">QQQII", incompatible, 0, 0, 4, 104)
    if extension:
        raw += struct.pack(">II", extension, 5) + b"/etc/"
    return raw.ljust(4096, b"\0")


def ext(label: str = "") -> Super:
    sizes = (1024, 8192, 100, 100, 1, 1024, 1024, 8192, 1024, 128, 32)
    return Super(*sizes, 0, 0x42, 0, 0, 0, (0, 0), 0, 0, label, "uuid")


def disk(*volumes: tuple[int, int, str, Super | None]) -> Identified:
    made = tuple(
        Volume(Partition(number, 0, mib * MIB, "83", label), found) for number, mib, label, found in volumes
    )
    return Identified(Kind.PARTITIONED, 0, "disk", table="gpt", volumes=made)


def test_a_good_qcow2() -> None:
    for version in (2, 3):
        found = look(BytesBlocks(qcow2(version)))
        assert found.kind is Kind.QCOW2
        assert found.qcow2 is not None
        assert (found.qcow2.version, found.qcow2.size, found.qcow2.cluster) == (version, MIB, 65536)


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (qcow2(backing=1000), "backing file"),
        (qcow2(version=2, backing=1000), "backing file"),
        (qcow2(incompatible=4), "data in another file"),
        (qcow2(extension=0x44415441), "names another file"),
        (qcow2(crypt=2), "encrypted"),
        (qcow2(version=4), "version 4"),
        (qcow2(bits=40), "no sense"),
        (qcow2(incompatible=2), "corrupt"),
        (qcow2(incompatible=1 << 40), "not known"),
        (qcow2()[:60], "cut off"),
        (qcow2()[:90], "cut off"),
    ],
)
def test_a_qcow2_that_is_refused(raw: bytes, why: str) -> None:
    with pytest.raises(JobError, match=why):
        look(BytesBlocks(raw))


def test_other_kinds() -> None:
    assert look(BytesBlocks(b"070701" + b"0" * 104)).kind is Kind.CPIO
    assert look(BytesBlocks(b"\x3a\xff\x26\xed" + bytes(24))).kind is Kind.SPARSE
    assert look(BytesBlocks(b"")).kind is Kind.OTHER
    assert "looks like gz" in look(BytesBlocks(b"\x1f\x8b" + bytes(50))).detail
    found = look(BytesBlocks(pack(Header(size=5, dcrc=7)) + b"12345"))
    assert found.kind is Kind.UIMAGE
    assert found.header is not None
    assert found.header.size == 5


STARTS = st.sampled_from(
    [b"", b"QFI\xfb\0\0\0\3", b"070701", b"\x27\x05\x19\x56", bytes(510) + b"\x55\xaa", b"\x3a\xff\x26\xed"]
)


@given(start=STARTS, rest=st.binary(max_size=3000), magic=st.booleans())
@settings(max_examples=400, deadline=None)
def test_random_bytes_are_identified_or_refused(start: bytes, rest: bytes, magic: bool) -> None:
    raw = bytearray((start + rest).ljust(2048, b"\0"))
    if magic:
        raw[1080:1082] = b"\x53\xef"
    with suppress(JobError):
        assert look(BytesBlocks(bytes(raw))).kind in Kind


@given(st.binary(max_size=600))
def test_describe_takes_anything(head: bytes) -> None:
    assert describe(head)


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"\xfd7zXZ\0", "xz"),
        (b"  <!DOCTYPE html><html>", "HTML page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git-lfs pointer"),
        (bytes(257) + b"ustar\0", "tar archive"),
        (b"MZ".ljust(0x38, b"\0") + b"ARM\x64", "arm64 kernel image"),
        (b"MZ".ljust(0x202, b"\0") + b"HdrS", "x86 kernel image"),
        (b"nothing", ""),
    ],
)
def test_looks_like(head: bytes, name: str) -> None:
    assert looks_like(head) == name


def test_choosing_a_partition() -> None:
    found = disk((1, 100, "EFI", None), (3, 200, "data", ext()), (5, 300, "", ext("home")))
    assert choose(found, index=1).partition.number == 3
    assert choose(found, number=5).partition.size == 300 * MIB
    assert choose(found, label="data").partition.number == 3
    assert choose(found, label="home").partition.number == 5
    assert choose(found).partition.number == 5  # the largest
    named = disk((1, 100, "root", ext()), (2, 900, "data", ext()))
    assert choose(named).partition.number == 1
    misleading = disk((1, 100, "root", None), (2, 100, "", ext("root")))
    assert choose(misleading).partition.number == 2


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ({"index": 3}, "no partition index 3"),
        ({"index": -1}, "no partition index -1"),
        ({"number": 2}, "no partition number 2"),
        ({"label": "boot"}, "no partition labelled 'boot'"),
        ({"index": 0}, "partition index 0 holds no ext2"),
    ],
)
def test_a_partition_that_cannot_be_chosen(wanted: dict[str, int], why: str) -> None:
    found = disk((1, 100, "EFI", None), (3, 200, "data", ext()))
    with pytest.raises(JobError, match=why) as caught:
        choose(found, **wanted)  # type: ignore[arg-type]
    assert "index 1: number 3, 200 MiB, ext4, 'data'" in caught.value.hint


def test_a_disk_without_any_ext() -> None:
    with pytest.raises(JobError, match="no partition with ext2"):
        choose(disk((1, 100, "EFI", None)))
