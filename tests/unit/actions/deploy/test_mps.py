# SPDX-License-Identifier: Apache-2.0
"""Deployment to an MPS board by its volume."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from executor.actions.deploy.mps import DeployMpsRebootTxt, DeployMpsTestBinary
from executor.errors import InfrastructureError
from executor.model.job import Resource
from executor.testing.boards import board, names, problems
from executor.testing.pipeline import Scene, placed
from executor.testing.tools import StandIns

PROGRAM = {"url": "http://h/zephyr.elf", "rename": "mbed.elf"}


def device(**parameters: Any) -> dict[str, Any]:
    return board("deploy", "mps", {"parameters": parameters}, usb_filesystem_label="V2M-MPS")


def deploy(**images: Any) -> dict[str, Any]:
    return {"deploy": {"to": "mps", "images": images}}


BEGIN = [
    "mps-deploy",
    "  disconnect-device",
    "  reset-device",
    "    pdu-reboot",
    "  wait-usb-mass-storage-device",
]
DOWNLOAD = ["  download-retry", "    http-download"]


def test_firmware_and_program() -> None:
    block = deploy(recovery_image={"url": "http://h/mb.zip", "compression": "zip"}, test_binary_1=PROGRAM)
    assert names(device(**{"hard-reboot": False, "reboot-string": "x"}), block) == [
        *(*BEGIN, *DOWNLOAD, *DOWNLOAD, "  mount-vexpress-usbmsd", "  extract-vexpress-recovery-image"),
        *("  deploy-vexpress-recovery-image", "  deploy-mps-test-binary", "  deploy-mps-reboot-txt"),
        "  unmount-vexpress-usbmsd",
    ]


def test_a_program_alone_on_a_board_that_is_restarted_by_its_power() -> None:
    assert names(device(**{"hard-reboot": True}), deploy(test_binary=PROGRAM)) == [
        *(*BEGIN, *DOWNLOAD, "  mount-vexpress-usbmsd", "  deploy-mps-test-binary"),
        *("  unmount-vexpress-usbmsd", "  reset-device", "    pdu-reboot"),
    ]


def test_programs_go_into_their_directory_and_the_board_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = StandIns(tmp_path, monkeypatch).fat(tmp_path / "dev/sda", "Software/")
    scene = Scene(tmp_path)
    scene.namespace.volume = tmp_path / "dev/sda"
    scene.artifact("test_binary_1", b"elf", url="http://h/zephyr.elf")
    scene.run(placed(DeployMpsTestBinary({"test_binary_1": Resource(**PROGRAM)})))
    scene.run(placed(DeployMpsRebootTxt("hsyxhj")))
    assert (content / "Software/mbed.elf").read_bytes() == b"elf"
    assert (content / "reboot.txt").read_text() == "hsyxhj"


def test_a_volume_without_that_directory_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    StandIns(tmp_path, monkeypatch).fat(tmp_path / "dev/sda", "CONFIG.TXT")
    scene = Scene(tmp_path)
    scene.namespace.volume = tmp_path / "dev/sda"
    with pytest.raises(InfrastructureError, match="no directory SOFTWARE"):
        scene.run(placed(DeployMpsTestBinary({})))


def test_what_cannot_be_is_refused() -> None:
    assert problems(device(), deploy(kernel=PROGRAM)) == ["an image of mps cannot be called 'kernel'"]
    found = problems(board("deploy", "mps"), deploy(test_binary=PROGRAM))
    assert found == ["the device file has no usb_filesystem_label"]
