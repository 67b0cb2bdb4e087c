# SPDX-License-Identifier: Apache-2.0
"""Private copies, and the overlay as a disk of its own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from executor.errors import InfrastructureError, JobError, JobTimeout
from executor.model.deadline import Deadline
from executor.testing.images import (
    listed,
    sh,
    soon,
)
from executor.testing.tarballs import file, write_tar
from executor.tools.image import copy
from executor.tools.image.disk import make_disk
from executor.tools.image.identify import identify

UUID = "6f1d2f9e-1111-4222-8333-123456789abc"


def test_a_private_copy_keeps_holes(tmp_path: Path) -> None:
    source = tmp_path / "source"
    with source.open("wb") as out:
        out.truncate(64 << 20)
        out.seek(10 << 20)
        out.write(os.urandom(1 << 20))
    way = copy.private_copy(source, tmp_path / "copy", deadline=soon())
    assert way in ("reflink", "sparse")
    assert (tmp_path / "copy").read_bytes() == source.read_bytes()
    assert (tmp_path / "copy").stat().st_blocks * 512 < 3 << 20
    with pytest.raises(InfrastructureError, match="cannot be read"):
        copy.private_copy(tmp_path / "missing", tmp_path / "other", deadline=soon())
    with pytest.raises(JobTimeout):
        copy.private_copy(source, tmp_path / "other", deadline=Deadline.after(0))
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("qcow2", [False, True])
def test_the_overlay_as_a_disk(tmp_path: Path, tar: Path, qcow2: bool) -> None:
    path = tmp_path / "disk.ext2"
    made = make_disk(path, tar, uuid=UUID, size_mib=16, strip="/lava-7", deadline=soon(), qcow2=qcow2)
    assert made.size == 16 << 20
    raw = path
    if qcow2:
        raw = tmp_path / "raw"
        sh("qemu-img", "convert", "-f", "qcow2", "-O", "raw", path, raw)
    sh("e2fsck", "-fn", raw)
    header = sh("dumpe2fs", "-h", raw)
    assert UUID in header
    assert identify(raw).size == 16 << 20
    assert listed(raw, "/")["bin"] == ["040755", "0", "0"]
    assert listed(raw, "/")["."][1:] == ["0", "0"]
    assert listed(raw, "/bin")["helper-5"] == ["100755", "0", "0"]
    assert sorted(path.name for path in tmp_path.iterdir() if path != raw) == ["disk.ext2"] * qcow2 + [
        "overlay.tar.gz"
    ]


def test_a_disk_as_large_as_needed(tmp_path: Path) -> None:
    tar = write_tar(tmp_path / "t.tar", [file(f"d/{n}", os.urandom(n * 1000)) for n in range(200)])
    made = make_disk(tmp_path / "disk", tar, uuid=UUID, deadline=soon())
    assert made.files == 201
    sh("e2fsck", "-fn", made.path)


def test_a_disk_that_is_too_small(tmp_path: Path) -> None:
    tar = write_tar(tmp_path / "t.tar", [file("f", os.urandom(2 << 20))])
    with pytest.raises(JobError, match="KiB free"):
        make_disk(tmp_path / "disk", tar, uuid=UUID, size_mib=1, deadline=soon())
    with pytest.raises(JobError, match="nothing below /lava-8"):
        make_disk(tmp_path / "disk", tar, uuid=UUID, strip="/lava-8", deadline=soon())
    assert [path.name for path in tmp_path.iterdir()] == ["t.tar"]
