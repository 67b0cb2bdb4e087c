# SPDX-License-Identifier: Apache-2.0
"""`to: nfs`: the board form and the form for a QEMU guest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from executor.pipeline.check import check_job
from executor.testing import jobs
from executor.testing.netboot import board, deployed
from executor.testing.pipeline import planned
from executor.testing.tarballs import directory, file, write_tar

URL = "http://h/"
IMAGES = {"nfsrootfs": {"url": URL + "root.tar"}, "kernel": {"url": URL + "Image"}}


def guest() -> dict[str, Any]:
    made = board()
    made["actions"]["boot"]["methods"]["qemu-nfs"] = {"parameters": {"command": "qemu-system-x86_64"}}
    return made


@pytest.fixture
def files(tmp_path: Path) -> dict[str, bytes]:
    root = write_tar(tmp_path / "root.tar", [directory("etc"), file("etc/hostname", b"demo")])
    modules = write_tar(tmp_path / "modules.tar", [file("lib/modules/6.1/a.ko", b"module")])
    return {
        URL + "root.tar": root.read_bytes(),
        URL + "modules.tar": modules.read_bytes(),
        URL + "Image": b"kernel",
    }


def test_a_board_gets_modules_and_overlay_in_its_root(tmp_path: Path, files: dict[str, bytes]) -> None:
    block = {"to": "nfs", "os": "debian", "nfsrootfs": URL + "root.tar", "modules": URL + "modules.tar"}
    made = deployed(tmp_path, block, files, tested=True)
    assert made.outcome.error is None
    assert (made.root / "etc/hostname").read_bytes() == b"demo"
    assert (made.root / "lib/modules/6.1/a.ko").read_bytes() == b"module"
    assert (made.root / "lava-42/bin/lava-test-case").is_file()


def test_a_root_that_shall_not_have_them_has_neither(tmp_path: Path, files: dict[str, bytes]) -> None:
    root = {"url": URL + "root.tar", "install_modules": False, "install_overlay": False}
    block = {"to": "nfs", "os": "debian", "nfsrootfs": root, "modules": URL + "modules.tar"}
    made = deployed(tmp_path, block, files, tested=True)
    assert sorted(path.name for path in made.root.iterdir()) == ["etc"]
    assert not made.namespace.overlay_applied


def test_a_guest_gets_its_images_and_the_root(tmp_path: Path, files: dict[str, bytes]) -> None:
    made = deployed(
        tmp_path, {"to": "nfs", "os": "debian", "images": IMAGES}, files, device=guest(), tested=True
    )
    assert made.outcome.error is None
    assert made.namespace.artifacts["kernel"].path.read_bytes() == b"kernel"
    assert (made.root / "lava-42/bin/lava-test-case").is_file()


def test_the_overlay_is_an_action_also_where_there_is_no_test() -> None:
    block = {"to": "nfs", "nfsrootfs": URL + "root.tar"}
    (top, _) = planned(jobs.job({"deploy": block}, device_type="board"), board()).actions
    assert [action.name for action in top.walk()][-3:] == [
        "lava-overlay",
        "extract-modules",
        "apply-overlay-tftp",
    ]


@pytest.mark.parametrize(
    ("block", "text"),
    [
        ({"nfsrootfs": URL + "r", "images": IMAGES}, "images and nfsrootfs in one block"),
        ({"images": {"kernel": URL + "k"}}, "the images have no nfsrootfs"),
        ({}, "nothing to mount"),
    ],
)
def test_what_is_refused(block: dict[str, Any], text: str) -> None:
    found = check_job(jobs.job({"deploy": {"to": "nfs", **block}}, device_type="board"), guest())
    assert text in [problem.message for problem in found.errors]


def test_images_are_for_a_device_with_qemu_nfs() -> None:
    job = jobs.job({"deploy": {"to": "nfs", "images": IMAGES}}, device_type="board")
    assert "no boot method 'qemu-nfs'" in check_job(job, board()).errors[0].message
