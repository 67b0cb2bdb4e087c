# SPDX-License-Identifier: Apache-2.0
"""The newc format: cpio reads what is written, and several archives are read as a kernel does."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import shutil
import stat
import subprocess
import tarfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from executor.errors import JobError
from executor.model.deadline import Deadline
from executor.testing.tarballs import Item, directory, file, symlink, write_tar
from executor.tools.image.cpio import Entry, list_cpio, write_archive
from executor.tools.image.members import Form, Member, read_overlays
from executor.tools.image.ramtree import RamTree

Packer = Callable[[bytes], bytes]
PACKERS: list[Packer] = [
    bytes,
    gzip.compress,
    bz2.compress,
    lzma.compress,
    zstandard.ZstdCompressor().compress,
]


def archive(tmp_path: Path, *items: Item) -> bytes:
    """The newc archive of these members."""
    tar = write_tar(tmp_path / "items.tar", items)
    written = io.BytesIO()
    with read_overlays([tar], tmp_path, deadline=Deadline.after(60)) as members:
        assert write_archive(members, written.write) == len(written.getvalue())
    return written.getvalue()


def names(path: Path, start: int = 0) -> list[str]:
    return [entry.name for entry in list_cpio(path, start)]


@pytest.mark.skipif(shutil.which("cpio") is None, reason="no cpio")
def test_cpio_reads_what_is_written(tmp_path: Path) -> None:
    raw = archive(tmp_path, directory("d", 0o711), file("d/f", b"content", 0o4755), symlink("d/l", "f"))
    assert len(raw) % 512 == 0
    done = subprocess.run(["cpio", "-itv", "--numeric-uid-gid"], input=raw, capture_output=True, check=True)
    rows = [line.split() for line in done.stdout.decode().splitlines()]
    assert [(row[0], row[2], row[3], row[4], row[-1]) for row in rows] == [
        ("drwx--x--x", "0", "0", "0", "d"),
        ("-rwsr-xr-x", "0", "0", "7", "d/f"),
        ("lrwxrwxrwx", "0", "0", "1", "f"),
    ]
    (tmp_path / "out").mkdir()
    subprocess.run(["cpio", "-idm", "--quiet"], input=raw, cwd=tmp_path / "out", check=True)
    assert (tmp_path / "out/d/l").read_text() == "content"


def test_reading_back(tmp_path: Path) -> None:
    (tmp_path / "rd").write_bytes(archive(tmp_path, file("f", b"123"), symlink("l", "ziel ü")))
    assert list(list_cpio(tmp_path / "rd")) == [
        Entry("f", stat.S_IFREG | 0o644, 0, 0, 3, 1_700_000_000),
        Entry("l", stat.S_IFLNK | 0o777, 0, 0, len("ziel ü".encode()), 1_700_000_000, "ziel ü"),
    ]


@pytest.mark.parametrize("first", PACKERS)
@pytest.mark.parametrize("second", PACKERS)
def test_archives_one_behind_the_other(tmp_path: Path, first: Packer, second: Packer) -> None:
    head = first(archive(tmp_path, file("a", b"x" * 100_000)))
    tail = second(archive(tmp_path, file("b", b"y")))
    path = tmp_path / "rd"
    path.write_bytes(head + bytes(-len(head) % 4) + tail)
    assert names(path) == ["a", "b"]
    path.write_bytes(bytes(64) + head + bytes(-len(head) % 4 + 512) + tail)
    assert names(path, 64) == ["a", "b"]


def test_a_plain_archive_at_an_odd_place_is_not_found(tmp_path: Path) -> None:
    raw = archive(tmp_path, file("a"))
    head = gzip.compress(raw)
    (tmp_path / "rd").write_bytes(head + bytes(-len(head) % 4 + 2) + raw)
    with pytest.raises(JobError, match="multiple of 4"):
        names(tmp_path / "rd")


@pytest.mark.parametrize("packer", PACKERS)
def test_damage_is_a_job_error(tmp_path: Path, packer: Packer) -> None:
    raw = packer(archive(tmp_path, file("a", b"x" * 1000), file("b")))
    for bad in (raw[: len(raw) // 2], raw + b"garbage", b"garbage" + raw):
        (tmp_path / "rd").write_bytes(bad)
        with pytest.raises(JobError):
            names(tmp_path / "rd")


@given(st.binary(max_size=400), st.integers(0, 2000))
@settings(max_examples=200, deadline=None)
def test_random_bytes_never_crash(tmp_path_factory: pytest.TempPathFactory, noise: bytes, cut: int) -> None:
    base = tmp_path_factory.mktemp("noise")
    raw = bytearray(archive(base, file("a", b"x" * 300), symlink("l", "a")))
    raw[cut : cut + len(noise)] = noise
    (base / "rd").write_bytes(raw)
    with suppress(JobError):
        assert len(names(base / "rd")) < 100


def test_a_shrunk_file_is_seen(tmp_path: Path) -> None:
    tar = write_tar(tmp_path / "t", [file("f", b"123")])
    with tarfile.open(tar) as opened:
        info = opened.next()
        member = Member(("f",), Form.FILE, 0o644, 0, 5, archive=opened, info=info)
        with pytest.raises(JobError, match="shorter"):
            write_archive([member], lambda data: None)


def entry(name: str, kind: int, target: str = "") -> Entry:
    return Entry(name, kind | 0o755, 0, 0, len(target), 0, target)


RAMDISK = [
    entry(".", stat.S_IFDIR),
    entry("./usr", stat.S_IFDIR),
    entry("usr/lib", stat.S_IFDIR),
    entry("lib", stat.S_IFLNK, "usr/lib"),
    entry("/var", stat.S_IFLNK, "/usr/../usr/lib/./x/.."),
    entry("usr/lib/x", stat.S_IFDIR),
    entry("init", stat.S_IFREG),
    entry("loop", stat.S_IFLNK, "loop"),
    entry("dangling", stat.S_IFLNK, "nowhere"),
]


def place(tmp_path: Path, *items: Item) -> list[tuple[str, Form]]:
    tar = write_tar(tmp_path / "items.tar", items)
    with read_overlays([tar], tmp_path, deadline=Deadline.after(60)) as members:
        return [(member.name, member.form) for member in RamTree(RAMDISK, Deadline.after(60)).place(members)]


def test_directories_of_the_ramdisk_are_not_repeated(tmp_path: Path) -> None:
    placed = place(tmp_path, directory("usr", 0o700), directory("lib"), directory("usr/new"), file("init"))
    assert placed == [("init", Form.FILE), ("usr/new", Form.DIRECTORY)]


def test_symlinks_of_the_ramdisk_are_followed(tmp_path: Path) -> None:
    placed = place(tmp_path, file("lib/modules/m"), file("var/f"), symlink("lib", "elsewhere"))
    assert placed == [
        ("usr/lib/modules", Form.DIRECTORY),
        ("usr/lib/modules/m", Form.FILE),
        ("usr/lib/f", Form.FILE),
        ("lib", Form.LINK),
    ]


@pytest.mark.parametrize(
    "item", [file("init/f"), file("usr/lib"), symlink("usr", "x"), file("loop/f"), file("dangling/f")]
)
def test_contradictions(tmp_path: Path, item: Item) -> None:
    with pytest.raises(JobError):
        place(tmp_path, item)
