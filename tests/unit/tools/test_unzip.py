# SPDX-License-Identifier: Apache-2.0
"""Zip archives, good and hostile."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path

import pytest

from executor.errors import JobError, JobTimeout
from executor.model.deadline import Deadline
from executor.testing.clock import FakeClock
from executor.tools.tartree import Limits
from executor.tools.unzip import unpack_zip


def archive(path: Path, *members: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members:
            file.writestr(name, data)
    return path


def test_files_and_directories_come_out(tmp_path: Path) -> None:
    packed = archive(tmp_path / "a.zip", ("MB/", b""), ("MB/x.txt", b"x"), ("config.txt", b"c"))
    assert unpack_zip(packed, tmp_path / "out", deadline=Deadline.after(60)) == 2
    assert (tmp_path / "out/MB/x.txt").read_bytes() == b"x"


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x"])
def test_nothing_leaves_the_target(tmp_path: Path, name: str) -> None:
    packed = archive(tmp_path / "a.zip", ("good", b"g"), (name, b"x"))
    with pytest.raises(JobError, match="leads out of the archive"):
        unpack_zip(packed, tmp_path / "in/out", deadline=Deadline.after(60))
    assert not (tmp_path / "x").exists()


def test_links_are_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with pytest.raises(JobError, match="no plain file"):
        unpack_zip(
            archive(tmp_path / "a.zip", (link, b"/etc")), tmp_path / "out", deadline=Deadline.after(60)
        )


@pytest.mark.parametrize("limits", [Limits(size=1000, count=10), Limits(size=1 << 30, count=1)])
def test_bombs_are_refused(tmp_path: Path, limits: Limits) -> None:
    packed = archive(tmp_path / "a.zip", ("a", bytes(5000)), ("b", b""))
    with pytest.raises(JobError):
        unpack_zip(packed, tmp_path / "out", deadline=Deadline.after(60), limits=limits)


def test_damage_is_the_jobs_fault(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(JobError, match="not a good zip archive"):
        unpack_zip(tmp_path / "a.zip", tmp_path / "out", deadline=Deadline.after(60))


def test_the_deadline_holds(tmp_path: Path) -> None:
    clock = FakeClock()
    deadline = Deadline.after(1, clock)
    clock.advance(2)
    with pytest.raises(JobTimeout):
        unpack_zip(archive(tmp_path / "a.zip", ("a", b"1")), tmp_path / "out", deadline=deadline)
