# SPDX-License-Identifier: Apache-2.0
"""The files with which a Qualcomm board is flashed."""

from __future__ import annotations

from pathlib import Path

import pytest

from executor.actions.deploy.qdl import QdlDeploy, QdlParameters
from executor.errors import JobError
from executor.model.job import Resource
from executor.testing import jobs
from executor.testing.boards import board, names
from executor.testing.pipeline import Scene, placed

FLASH = {"url": "http://h/image.rootfs.qcomflash.tar.gz", "compression": "gz"}
ROOTFS = {"url": "http://h/rootfs.img", "format": "ext4"}
DEPLOY = {"deploy": {"to": "qdl", "os": "oe", "qcomflash": FLASH, "rootfs_image": ROOTFS}}


def test_the_plan_with_a_test() -> None:
    boot = {"boot": {"method": "minimal", "prompts": ["# "]}}
    found = names(board("boot", "qdl"), DEPLOY, boot, jobs.shell_test())
    top = [name for name in found[: found.index("minimal-boot")] if name.startswith("  ") and name[2] != " "]
    assert top == [
        *("  lava-overlay", "  download-retry", "  download-retry", "  apply-overlay-image"),
        "  deploy-device-env",
    ]
    alone = names(board("boot", "qdl"), {"deploy": {"to": "qdl", "qcomflash": FLASH}})
    assert alone == ["qdl-deploy", "  download-retry", "    http-download"]


def deployed(tmp_path: Path, inside: str) -> Path:
    scene = Scene(tmp_path)
    files = tmp_path / "files"
    (files / inside).parent.mkdir(parents=True)
    (files / inside).write_bytes(b"old")
    scene.artifact("qcomflash").path = files
    scene.artifact("rootfs_image", b"new", url="http://h/rootfs.img")
    parameters = QdlParameters(to="qdl", qcomflash=Resource(**FLASH), rootfs_image=Resource(**ROOTFS))  # type: ignore[arg-type]
    action = QdlDeploy(parameters)
    action.after(scene.attempt(placed(action)))
    return files / inside


def test_the_root_file_system_replaces_the_one_of_its_name(tmp_path: Path) -> None:
    assert deployed(tmp_path, "image/rootfs.img").read_bytes() == b"new"


def test_there_must_be_one(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="qcomflash holds no rootfs.img"):
        deployed(tmp_path, "image/system.img")
