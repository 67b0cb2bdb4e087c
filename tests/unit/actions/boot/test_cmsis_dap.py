# SPDX-License-Identifier: Apache-2.0
"""Flashing by a copy to the probe's volume."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from executor.actions.boot.cmsis_dap import FlashCmsis
from executor.errors import InfrastructureError, JobError
from executor.testing.boards import board, names, problems
from executor.testing.pipeline import Scene, placed
from executor.testing.tools import StandIns

PATH = "/dev/disk/by-id/usb-MBED_microcontroller_0240AB-0:0"
BOOT = {"boot": {"method": "cmsis-dap"}}


def options(path: str = PATH, **more: Any) -> dict[str, Any]:
    return {"parameters": {"usb_mass_device": path, **more}}


def test_with_a_power_switch() -> None:
    assert names(board("boot", "cmsis-dap", options()), BOOT) == [
        "boot-cmsis-retry",
        "  reset-device",
        "    pdu-reboot",
        "  wait-device-path",
        "  flash-cmsis",
        "  wait-usb-serial",
        "  connect-device",
    ]


def test_a_probe_that_does_not_reset_the_board_has_it_reset() -> None:
    found = names(board("boot", "cmsis-dap", options(resets_after_flash=False)), BOOT)
    assert found[found.index("  flash-cmsis") + 1] == "  reset-device"


def test_every_image_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(tmp_path)
    scene.context.dev = tmp_path / "dev"
    content = StandIns(tmp_path, monkeypatch).fat(tmp_path / "dev" / PATH.removeprefix("/dev/"))
    scene.artifact("zephyr", b"firmware", url="http://h/zephyr.bin")
    run = scene.run(placed(FlashCmsis(PATH)))
    assert (content / "zephyr.bin").read_bytes() == b"firmware"
    assert run.results == {"zephyr": "zephyr.bin"}


def test_what_is_missing_is_told(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.context.dev = tmp_path / "dev"
    with pytest.raises(JobError, match="no image to flash"):
        scene.run(placed(FlashCmsis(PATH)))
    scene.artifact("zephyr", b"firmware")
    with pytest.raises(InfrastructureError, match="is not there"):
        scene.run(placed(FlashCmsis(PATH)))
    assert problems(board("boot", "cmsis-dap", options("/notset")), BOOT) == [
        "the device file has no usb_mass_device for cmsis-dap"
    ]
