# SPDX-License-Identifier: Apache-2.0
"""Overlay tarballs: what is taken from them and what is refused."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from executor.errors import JobError, JobTimeout
from executor.model.deadline import Deadline
from executor.testing.tarballs import Item, directory, file, hard_link, symlink, write_tar
from executor.tools.image.members import Form, Member, read_overlays


def read(tmp_path: Path, *tars: Path) -> dict[str, tuple[Form, bytes]]:
    with read_overlays(tars, tmp_path, deadline=Deadline.after(60)) as members:
        return {
            m.name: (m.form, b"".join(m.read()) if m.form is Form.FILE else m.target.encode())
            for m in members
        }


def test_two_tarballs_are_one_overlay(tmp_path: Path) -> None:
    first = write_tar(tmp_path / "1", [directory("./d"), file("d/f", b"old"), file("/abs", b"a")], "gz")
    second = write_tar(tmp_path / "2", [file("d/f", b"new"), symlink("d/l", "f"), hard_link("d/h", "d/f")])
    assert read(tmp_path, first, second) == {
        "abs": (Form.FILE, b"a"),
        "d": (Form.DIRECTORY, b""),
        "d/f": (Form.FILE, b"new"),
        "d/h": (Form.FILE, b"new"),
        "d/l": (Form.LINK, b"f"),
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "2"]


def test_fields(tmp_path: Path) -> None:
    tar = write_tar(tmp_path / "t", [file("f", b"123", mode=0o4711)])
    with read_overlays([tar], tmp_path, deadline=Deadline.after(60)) as members:
        (one,) = members
        assert (one.path, one.mode, one.mtime, one.size) == (("f",), 0o4711, 1_700_000_000, 3)


@pytest.mark.parametrize(
    "item",
    [
        Item("null", tarfile.CHRTYPE),
        Item("pipe", tarfile.FIFOTYPE),
        file("a/../b"),
        file("x" * 256),
        hard_link("h", "missing"),
        symlink("l", ""),
    ],
)
def test_refused(tmp_path: Path, item: Item) -> None:
    with pytest.raises(JobError):
        read(tmp_path, write_tar(tmp_path / "t", [item]))


def test_bad_tarballs(tmp_path: Path) -> None:
    good = write_tar(tmp_path / "good", [file("f", bytes(50_000))], "gz").read_bytes()
    for bad in (b"nonsense" * 200, b"\x1f\x8bnonsense", good[: len(good) // 2]):
        (tmp_path / "bad").write_bytes(bad)
        with pytest.raises(JobError, match="bad"):
            read(tmp_path, tmp_path / "bad")


def test_deadline(tmp_path: Path) -> None:
    tar = write_tar(tmp_path / "t", [file("f")])
    with pytest.raises(JobTimeout), read_overlays([tar], tmp_path, deadline=Deadline.after(0)):
        pass


def test_only_files_have_content() -> None:
    with pytest.raises(JobError, match="no content"):
        list(Member(("d",), Form.DIRECTORY, 0o755, 0).read())
