# SPDX-License-Identifier: Apache-2.0
"""Deployment to a Musca board by its volume."""

from __future__ import annotations

from pathlib import Path

import pytest

from executor.actions.deploy.musca import CheckMuscaFlash, DeployMuscaBinary
from executor.errors import InfrastructureError
from executor.testing.boards import board, names, problems
from executor.testing.pipeline import Scene, placed
from executor.testing.tools import StandIns

DEPLOY = {"deploy": {"to": "musca", "images": {"test_binary": {"url": "http://h/blinky.hex"}}}}
OPTIONS = {"id_serial": "usb-MBED_VFS_0240AB-0:0"}


@pytest.fixture
def content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return StandIns(tmp_path, monkeypatch).fat(tmp_path / "dev/sda", "DETAILS.TXT")


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    made = Scene(tmp_path)
    made.namespace.volume = tmp_path / "dev/sda"
    return made


def test_the_plan() -> None:
    opened = ["  wait-musca-path", "  mount-musca-usbmsd"]
    assert names(board("deploy", "musca", OPTIONS), DEPLOY) == [
        *("musca-deploy", "  disconnect-device", "  download-retry", "    http-download"),
        *(
            "  reset-device",
            "    pdu-reboot",
            *opened,
            "  deploy-musca-test-binary",
            "  unmount-musca-usbmsd",
        ),
        *(*opened, "  check-musca-flash", "  unmount-musca-usbmsd"),
    ]


def test_the_program_is_copied_under_its_own_name(scene: Scene, content: Path) -> None:
    scene.artifact("test_binary", b"hex", url="http://h/blinky.hex")
    scene.run(placed(DeployMuscaBinary()))
    assert (content / "blinky.hex").read_bytes() == b"hex"


def test_a_board_that_took_it_says_nothing(scene: Scene, content: Path) -> None:
    scene.run(placed(CheckMuscaFlash()))


def test_a_board_that_refused_it_says_why(scene: Scene, content: Path) -> None:
    (content / "FAIL.TXT").write_text("error: The hex file cannot be decoded\n")
    with pytest.raises(InfrastructureError, match="did not flash the program: error: The hex file"):
        scene.run(placed(CheckMuscaFlash()))


def test_a_device_file_without_the_volume_is_refused() -> None:
    assert problems(board("deploy", "musca"), DEPLOY)[0] == "the device file has no id_serial for musca"
