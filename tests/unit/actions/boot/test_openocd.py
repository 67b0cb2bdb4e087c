# SPDX-License-Identifier: Apache-2.0
"""OpenOCD: the device's command line with the job's images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from executor.actions.boot.openocd import FlashOpenocd
from executor.errors import InfrastructureError, JobError
from executor.schema.device import parse_device
from executor.testing.boards import board, names
from executor.testing.pipeline import Scene, placed
from executor.testing.tools import StandIns

OPTIONS: dict[str, Any] = {
    "board_selection_cmd": "adapter serial 0240AB",
    "parameters": {
        "command": "openocd",
        "options": {
            "file": ["board/launchpad.cfg"],
            "search": ["/opt/scripts"],
            "command": ["init", "flash write_image erase {BINARY}", "reset run", "shutdown"],
            "debug": 2,
        },
    },
}


def flash() -> FlashOpenocd:
    device = parse_device(board("boot", "openocd", OPTIONS)).device
    assert device is not None
    action = FlashOpenocd(device)
    placed(action, section="boot")
    return action


def test_the_plan() -> None:
    assert names(board("boot", "openocd", OPTIONS), {"boot": {"method": "openocd"}}) == [
        "boot-openocd-image",
        "  reset-device",
        "    pdu-reboot",
        "  wait-device-boardid",
        "  connect-device",
        "  flash-openocd",
    ]


def test_the_command_line_is_the_devices_with_the_image_in_place() -> None:
    assert flash().command_line({"zephyr": Path("/z y.elf")}) == [
        *("openocd", "-d2", "-s", "/opt/scripts", "-f", "board/launchpad.cfg"),
        *("-c", "adapter serial 0240AB", "-c", "init", "-c", "flash write_image erase /z y.elf"),
        *("-c", "reset run", "-c", "shutdown"),
    ]


def test_a_script_of_the_job_replaces_the_devices_file() -> None:
    argv = flash().command_line({"binary": Path("/b"), "openocd_script": Path("/s.cfg"), "other": Path("/o")})
    assert argv[argv.index("-f") + 1] == "/s.cfg"
    assert "flash write_image erase /b" in argv


def test_two_images_of_which_none_is_the_binary_are_refused() -> None:
    with pytest.raises(JobError, match="2 images, and none is called 'binary'"):
        flash().command_line({"a": Path("/a"), "b": Path("/b")})


def test_a_failure_has_the_programs_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools = StandIns(tmp_path, monkeypatch)
    tools.make(
        "openocd", says="Open On-Chip Debugger 0.12.0\nError: unable to find a matching device", code=1
    )
    scene = Scene(tmp_path)
    scene.artifact("zephyr", b"1", url="http://h/z.elf")
    with pytest.raises(InfrastructureError, match="Error: unable to find"):
        scene.run(flash())
