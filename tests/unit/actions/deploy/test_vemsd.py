# SPDX-License-Identifier: Apache-2.0
"""Firmware of a Versatile Express board: the dialogue with its controller, and its volume."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest

from executor.actions.deploy.vemsd import EnableVExpressMassStorage, EnterVExpressMCC, EraseVExpressFlash
from executor.actions.vexpress import DeployVExpressRecoveryImage, ExtractVExpressRecoveryImage
from executor.errors import JobError
from executor.model.device import Device
from executor.pipeline.action import Action
from executor.schema.device import parse_device
from executor.testing.boards import board, names, problems
from executor.testing.console import FakeClock, Hear, Say, ScriptedConsole, ScriptedPort, Step
from executor.testing.pipeline import Scene, placed
from executor.testing.tools import StandIns

OPTIONS: dict[str, Any] = {
    "mcc_prompt": "Cmd>",
    "msd_mount_cmd": "usb_on",
    "flash_prompt": "Flash>",
    "flash_enter_cmd": "flash",
    "flash_erase_cmd": "eraseall",
    "flash_erase_msg": "Erasing Flash",
    "flash_exit_cmd": "exit",
    "autorun_prompt": "Press Enter to stop auto boot...",
    "mcc_reset_msg": "Programming NOR Flash",
}
DEPLOY = {"deploy": {"to": "vemsd", "recovery_image": {"url": "http://h/mb.zip", "compression": "zip"}}}


def device(**options: Any) -> dict[str, Any]:
    given = {key: value for key, value in {**OPTIONS, **options}.items() if value is not None}
    return board("deploy", "vemsd", {"parameters": given}, usb_filesystem_label="JUNO01")


def parsed() -> Device:
    found = parse_device(device()).device
    assert found is not None
    return found


def talk(tmp_path: Path, action: Action, *steps: Step) -> ScriptedPort:
    clock = FakeClock()
    scene = Scene(tmp_path, clock=clock)
    port = ScriptedPort(clock, steps)
    scene.namespace.console = ScriptedConsole(port)
    scene.run(placed(action))
    return port


def test_the_plan() -> None:
    assert names(device(), DEPLOY) == [
        *("vexpress-fw-deploy-retry", "  vexpress-fw-deploy", "    download-retry", "      http-download"),
        *(
            "    connect-device",
            "    reset-device",
            "      pdu-reboot",
            "    extract-vexpress-recovery-image",
        ),
        *("    enter-vexpress-mcc", "    enable-vexpress-usbmsd", "    wait-usb-mass-storage-device"),
        *("    mount-vexpress-usbmsd", "    deploy-vexpress-recovery-image", "    unmount-vexpress-usbmsd"),
        "    erase-vexpress-flash",
    ]
    assert "    erase-vexpress-flash" not in names(device(flash_prompt=""), DEPLOY)


def test_the_controller_is_stopped_before_it_boots(tmp_path: Path) -> None:
    steps = (Say("\r\nPress Enter to stop auto boot...\r\n"), Hear("\n"), Say("\r\nCmd> "))
    assert talk(tmp_path, EnterVExpressMCC(parsed()), *steps).typed == "\n"


def test_a_controller_that_waits_already_is_not_disturbed(tmp_path: Path) -> None:
    assert talk(tmp_path, EnterVExpressMCC(parsed()), Say("\r\nCmd> ")).typed == ""


def test_the_volume_is_asked_for(tmp_path: Path) -> None:
    steps = (Hear("usb_on\n"), Say("\r\nEnabling debug USB...\r\nCmd> "))
    assert talk(tmp_path, EnableVExpressMassStorage(parsed()), *steps).finished


def test_the_flash_is_erased(tmp_path: Path) -> None:
    steps = (
        *(Hear("flash\n"), Say("\r\nFlash> "), Hear("eraseall\n"), Say("\r\nErasing Flash image\r\nFlash> ")),
        *(Hear("exit\n"), Say("\r\nCmd> ")),
    )
    assert talk(tmp_path, EraseVExpressFlash(parsed()), *steps).finished


def test_the_volume_gets_the_files_of_the_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = StandIns(tmp_path, monkeypatch).fat(tmp_path / "dev/sda", "OLD.TXT")
    with zipfile.ZipFile(tmp_path / "mb.zip", "w") as archive:
        archive.writestr("firmware/SITE1/images.txt", "images")
        archive.writestr("firmware/config.txt", "config")
    scene = Scene(tmp_path)
    scene.namespace.volume = tmp_path / "dev/sda"
    scene.artifact("recovery_image", (tmp_path / "mb.zip").read_bytes(), compression="zip")
    scene.run(placed(ExtractVExpressRecoveryImage()))
    scene.run(placed(ExtractVExpressRecoveryImage()))
    scene.run(placed(DeployVExpressRecoveryImage()))
    assert sorted(path.name for path in content.iterdir()) == ["SITE1", "config.txt"]
    assert (content / "SITE1/images.txt").read_text() == "images"


def test_an_archive_that_is_none_is_the_jobs_fault(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.artifact("recovery_image", b"no archive")
    with pytest.raises(JobError, match="not a good tar archive"):
        scene.run(placed(ExtractVExpressRecoveryImage()))


def test_texts_that_the_device_file_lacks_are_named() -> None:
    found = problems(device(mcc_reset_msg=None), DEPLOY)
    assert found == ["the device file has no mcc_reset_msg for vemsd"]
