# SPDX-License-Identifier: Apache-2.0
"""Copies where the kernel does not help, and names for QEMU."""

from __future__ import annotations

import errno
import fcntl
import json
import os
from pathlib import Path

import pytest

from executor.errors import InfrastructureError
from executor.model.deadline import Deadline
from executor.tools.image import copy


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(os.urandom(3_000_000))
    return path


@pytest.mark.parametrize("code", [errno.EXDEV, errno.ENOSYS, errno.EPERM, 0])
def test_without_help_of_the_kernel(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(*_: int) -> int:
        if code:
            raise OSError(code, os.strerror(code))
        return 0

    monkeypatch.setattr(os, "copy_file_range", refuse)
    copy.private_copy(source, tmp_path / "copy", deadline=Deadline.after(60))
    assert (tmp_path / "copy").read_bytes() == source.read_bytes()


def test_a_full_disk(tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: int) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(fcntl, "ioctl", full)
    with pytest.raises(InfrastructureError, match="No space left"):
        copy.private_copy(source, tmp_path / "copy", deadline=Deadline.after(60))
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_a_reflink_needs_no_copy(tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "ioctl", lambda *_: 0)
    assert copy.private_copy(source, tmp_path / "copy", deadline=Deadline.after(60)) == "reflink"


def test_a_source_that_shrinks(tmp_path: Path, source: Path) -> None:
    new = os.open(tmp_path / "new", os.O_RDWR | os.O_CREAT)
    old = os.open(source, os.O_RDONLY)
    with pytest.raises(InfrastructureError, match="became shorter"):
        copy.copy_range(old, new, 0, 0, 4_000_000, deadline=Deadline.after(60))
    os.close(old)
    os.close(new)


def test_names_for_drives() -> None:
    path = Path("/work/a,b.qcow2")
    assert copy.drive_file(path, "qcow2", "qcow2") == "/work/a,,b.qcow2"
    assert copy.drive_file(path, "raw", "raw") == "/work/a,,b.qcow2"
    nested = copy.drive_file(path, "qcow2", "raw")
    assert nested.replace(",,", "").count(",") == 0
    made = json.loads(nested.removeprefix("json:").replace(",,", ","))
    assert made == {
        "driver": "raw",
        "file": {"driver": "qcow2", "file": {"driver": "file", "filename": str(path)}},
    }
