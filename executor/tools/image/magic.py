# SPDX-License-Identifier: Apache-2.0
"""What the first bytes of a file look like. Used to explain errors, never to guess what a job did not say."""

from __future__ import annotations

HEAD = 4096  # bytes of a file that `looks_like` wants to see

_MAGICS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x1f\x8b", "gz"),
    (0, b"BZh", "bz2"),
    (0, b"\xfd7zXZ\0", "xz"),
    (0, b"\x28\xb5\x2f\xfd", "zstd"),
    (0, b"PK\x03\x04", "zip"),
    (0, b"\x04\x22\x4d\x18", "lz4"),
    (0, b"\x02\x21\x4c\x18", "legacy lz4"),
    (0, b"\x89LZO\0", "lzop"),
    (0, b"]\0\0", "lzma"),
    (0, b"QFI\xfb", "qcow2"),
    (0, b"KDMV", "vmdk"),
    (0, b"conectix", "vhd"),
    (0, b"070701", "cpio archive"),
    (0, b"070702", "cpio archive"),
    (0, b"070707", "old cpio archive"),
    (0, b"\x27\x05\x19\x56", "u-boot image"),
    (0, b"\xd0\x0d\xfe\xed", "device tree or FIT image"),
    (0, b"\x3a\xff\x26\xed", "android sparse image"),
    (0, b"ANDROID!", "android boot image"),
    (0, b"hsqs", "squashfs"),
    (0, b"\x7fELF", "ELF program"),
    (0x38, b"ARM\x64", "arm64 kernel image"),
    (0x202, b"HdrS", "x86 kernel image"),
    (0, b"MZ", "EFI or DOS program"),
    (0, b"%PDF", "PDF"),
    (0, b"#!", "script"),
    (257, b"ustar", "tar archive"),
    (1080, b"\x53\xef", "ext2/3/4 file system"),
    (512, b"EFI PART", "disk with a GPT"),
    (0x1FE, b"\x55\xaa", "disk with a boot sector"),
)


def looks_like(head: bytes) -> str:
    """A name for the format that starts with `head`, or "" when nothing is recognised."""
    for offset, magic, name in _MAGICS:
        if head.startswith(magic, offset):
            return name
    start = head[:256].lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return "HTML page"
    if start.startswith(b"version https://git-lfs"):
        return "git-lfs pointer"
    return ""


def describe(head: bytes) -> str:
    """Words for an error message: `is empty` or `starts with fd 37 7a 58, looks like xz`."""
    if not head:
        return "is empty"
    name = looks_like(head)
    return f"starts with {head[:4].hex(' ')}" + (f", looks like {name}" if name else "")
