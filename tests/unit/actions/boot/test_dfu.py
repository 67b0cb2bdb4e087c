# SPDX-License-Identifier: Apache-2.0
"""Device Firmware Upgrade, with U-Boot or the boot ROM as the other side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from executor.actions import usb
from executor.actions.boot.dfu import EnterDfu, FlashDfu, WaitDfuDevice
from executor.actions.bootloader.settings import Bootloader
from executor.errors import InfrastructureError, JobError
from executor.schema.device import parse_device
from executor.testing.boards import ID, board, names, problems
from executor.testing.console import FakeClock, Hear, Say, ScriptedConsole, ScriptedPort, Step
from executor.testing.pipeline import Scene, placed
from executor.testing.tools import StandIns

USB = {"usb_vendor_id": "045b", "usb_product_id": "0239"}
BOOT = {"boot": {"method": "dfu"}}
LOADER = Bootloader("u-boot", prompt="=> ")
TAKEN = "DOWNLOAD ... OK\r\nCtrl+C to exit ...\r\n"


def device(implementation: str = "u-boot", **options: Any) -> dict[str, Any]:
    parameters = {"enter-commands": ["nand erase.part fs1", "dfu 0 nand 0"], "command": "dfu-util"}
    made = board(
        "boot", "dfu", {"implementation": implementation, "parameters": parameters, **options}, **USB
    )
    made["actions"]["boot"]["methods"]["u-boot"] = {"parameters": {"bootloader_prompt": "=>"}}
    return made


def scene(tmp_path: Path, *steps: Step) -> tuple[Scene, ScriptedPort]:
    clock = FakeClock()
    made = Scene(tmp_path, clock=clock)
    port = ScriptedPort(clock, steps)
    made.namespace.console = ScriptedConsole(port)
    made.artifact("fsbl", b"1", url="http://h/fsbl.img", image_arg="--alt sf_fsbl --download {fsbl}")
    made.artifact("kernel", b"2", url="http://h/fit.itb")
    return made, port


def flash(loader: Bootloader | None, implementation: str, **options: Any) -> FlashDfu:
    parsed = parse_device(device(implementation, **options)).device
    assert parsed is not None
    action = FlashDfu(loader, parsed)
    placed(action, section="boot")
    return action


def test_the_plan_through_u_boot_and_through_the_boot_rom() -> None:
    begin = ["boot-dfu-retry", "  connect-device", "  reset-device", "    pdu-reboot"]
    through = ["  bootloader-interrupt", "  enter-dfu"]
    end = ["  wait-dfu-device", "  flash-dfu"]
    assert names(device(), BOOT) == [*begin, *through, *end]
    assert names(device("hardware"), BOOT) == [*begin, *end]


def test_the_last_command_does_not_come_back_to_the_prompt(tmp_path: Path) -> None:
    made, port = scene(tmp_path, Hear("nand erase.part fs1\n"), Say("OK\r\n=> "), Hear("dfu 0 nand 0\n"))
    parsed = parse_device(device()).device
    assert parsed is not None
    made.run(placed(EnterDfu(LOADER, parsed), section="boot"))
    assert port.typed == "nand erase.part fs1\ndfu 0 nand 0\n"


def test_u_boot_says_when_it_has_taken_each_image_and_is_ended_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = StandIns(tmp_path, monkeypatch)
    tools.make("dfu-util", says="Download done.\nDone!")
    made, port = scene(tmp_path, Say(TAKEN), Say(TAKEN), Hear("\x03"), Say("\r\n=> "))
    run = made.run(flash(LOADER, "u-boot"))
    board_ = ["--serial", ID, "--device", "045b:0239"]
    calls = [[Path(w).name if w.startswith("/") else w for w in call] for call in tools.calls("dfu-util")]
    assert calls == [
        [*board_, "--alt", "sf_fsbl", "--download", "fsbl.img"],
        [*board_, "--alt", "kernel", "--download", "fit.itb"],
    ]
    assert port.finished
    assert run.results == {"fsbl": "fsbl.img", "kernel": "fit.itb"}


def test_the_boot_rom_is_told_to_reset_with_the_last_image_where_that_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = StandIns(tmp_path, monkeypatch)
    tools.make("dfu-util", says="Done!")
    made, _ = scene(tmp_path)
    made.run(flash(None, "hardware", reset_works=True))
    assert ["--reset" in call for call in tools.calls("dfu-util")] == [False, True]


def test_a_failure_has_the_programs_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    StandIns(tmp_path, monkeypatch).make("dfu-util", says="No DFU capable USB device available", code=74)
    made, _ = scene(tmp_path)
    with pytest.raises(InfrastructureError, match="dfu-util failed with code 74: No DFU capable USB device"):
        made.run(flash(None, "hardware"))
    made.namespace.artifacts.clear()
    with pytest.raises(JobError, match="no image to flash"):
        made.run(flash(None, "hardware"))


def test_the_board_is_found_by_all_its_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usb, "SYSFS", tmp_path / "sys")
    entry = tmp_path / "sys/1-2"
    entry.mkdir(parents=True)
    values = {"serial": ID, "idVendor": "045b", "idProduct": "0239", "busnum": 1, "devnum": 9}
    for name, value in values.items():
        (entry / name).write_text(f"{value}\n")
    node = tmp_path / "dev/bus/usb/001/009"
    node.parent.mkdir(parents=True)
    node.touch()
    parsed = parse_device(device()).device
    assert parsed is not None
    assert WaitDfuDevice(parsed).look(tmp_path / "dev") == node


def test_what_the_device_file_lacks_is_named() -> None:
    found = problems(board("boot", "dfu", {"implementation": "hardware"}, board_id="0000000000"), BOOT)
    assert found == [
        f"the device file has no {key}" for key in ("board_id", "usb_vendor_id", "usb_product_id")
    ]
