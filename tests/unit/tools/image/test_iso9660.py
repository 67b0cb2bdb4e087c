# SPDX-License-Identifier: Apache-2.0
"""Files out of ISO 9660 images: names of both kinds, and images that lie."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from executor.errors import InfrastructureError, JobError
from executor.model.deadline import Deadline
from executor.tools.image.iso9660 import SECTOR, extract

KERNEL = b"kernel" * 1000


def record(name: bytes, sector: int, size: int, *, flags: int = 0, rock_ridge: str = "") -> bytes:
    """A directory record."""
    extra = b""
    if rock_ridge:
        text = rock_ridge.encode()
        half = len(text) // 2
        for part, more in ((text[:half], 1), (text[half:], 0)):
            extra += b"NM" + bytes([5 + len(part), 1, more]) + part
    body = bytearray(33 + len(name) + (len(name) + 1) % 2 + len(extra))
    body[0] = len(body)
    struct.pack_into("<I", body, 2, sector)
    struct.pack_into("<I", body, 10, size)
    body[25], body[32] = flags, len(name)
    body[33 : 33 + len(name)] = name
    body[len(body) - len(extra) :] = extra
    return bytes(body)


def folder(sector: int, *records: bytes) -> bytes:
    dots = record(b"\0", sector, SECTOR, flags=2) + record(b"\1", sector, SECTOR, flags=2)
    return (dots + b"".join(records)).ljust(SECTOR, b"\0")


def image(path: Path, *, root: bytes | None = None, kernel: bytes | None = None) -> Path:
    """/install.amd/vmlinuz with Rock Ridge names, and /README.;1 without."""
    descriptor = bytearray(SECTOR)
    descriptor[0:6] = b"\1CD001"
    descriptor[156:190] = record(b"\0", 18, SECTOR, flags=2)[:34]
    sub = record(b"INSTALL", 19, SECTOR, flags=2, rock_ridge="install.amd")
    readme = record(b"README.;1", 20, 5)
    root = root if root is not None else folder(18, sub, readme)
    kernel = kernel or record(b"VMLINUZ.;1", 21, len(KERNEL), rock_ridge="vmlinuz")
    path.write_bytes(
        bytes(16 * SECTOR)
        + bytes(descriptor)
        + b"\xffCD001".ljust(SECTOR, b"\0")
        + root
        + folder(19, kernel)
        + b"hello".ljust(SECTOR, b"\0")
        + KERNEL
    )
    return path


def out_of(iso: Path, name: str) -> bytes:
    target = iso.with_name("out")
    extract(iso, name, target, deadline=Deadline.after(60))
    return target.read_bytes()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("/install.amd/vmlinuz", KERNEL),
        ("install.amd//VMLINUZ", KERNEL),
        ("/readme", b"hello"),
    ],
)
def test_a_file_is_found_by_both_kinds_of_names(tmp_path: Path, name: str, content: bytes) -> None:
    assert out_of(image(tmp_path / "cd.iso"), name) == content


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("/install.amd/initrd.gz", "is not in the ISO image"),
        ("/readme/x", "README is a file"),
        ("/install.amd", "is a directory"),
        ("/../etc/passwd", "is not in the ISO image"),
    ],
)
def test_what_is_not_there_is_told_with_what_is(tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(JobError, match=words) as caught:
        out_of(image(tmp_path / "cd.iso"), name)
    if "initrd" in name:
        assert "vmlinuz" in caught.value.hint
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("root", "kernel", "words"),
    [
        (None, record(b"VMLINUZ", 21, 1 << 20, rock_ridge="vmlinuz"), "cut off"),
        (None, record(b"VMLINUZ", 0xFFFFFFFF, 1, rock_ridge="vmlinuz"), "cut off"),
        (None, record(b"VMLINUZ", 21, 9, flags=0x80, rock_ridge="vmlinuz"), "several pieces"),
        (b"\x21" + bytes(SECTOR - 1), None, "is not in the ISO image"),
        (b"\xff" * SECTOR, None, "cut off"),
    ],
)
def test_an_image_that_lies_is_refused(
    tmp_path: Path, root: bytes | None, kernel: bytes | None, words: str
) -> None:
    with pytest.raises(JobError, match=words):
        out_of(image(tmp_path / "cd.iso", root=root, kernel=kernel), "/install.amd/vmlinuz")


def test_a_disk_image_is_no_iso_image(tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(bytes(100 * SECTOR))
    with pytest.raises(JobError, match="no ISO 9660 image"):
        out_of(tmp_path / "disk", "/x")
    with pytest.raises(InfrastructureError, match="cannot be read"):
        out_of(tmp_path / "nothing", "/x")
