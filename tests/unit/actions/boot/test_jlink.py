# SPDX-License-Identifier: Apache-2.0
"""J-Link Commander: the script that it gets, how it is called, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from executor.actions.boot.jlink import FlashJlink, JlinkParameters
from executor.errors import InfrastructureError, JobError
from executor.schema.device import parse_device
from executor.testing.boards import ID, board, names, problems
from executor.testing.pipeline import Scene, placed
from executor.testing.tools import StandIns

OPTIONS: dict[str, Any] = {
    "parameters": {
        "command": "JLinkExe",
        "address": 0x1000,
        "processor": "CHIP64",
        "supported_core_types": ["M33", "M7"],
        "erase_command": ["erase"],
        "reset_command": ["r"],
        "options": ["-if SWD", "-speed 4000"],
    }
}
BOOT = {"boot": {"method": "jlink"}}
OK = "Script processing completed."


def flash(**parameters: Any) -> FlashJlink:
    device = parse_device(board("boot", "jlink", OPTIONS)).device
    assert device is not None
    action = FlashJlink(JlinkParameters(method="jlink", **parameters), device)
    placed(action, section="boot")
    return action


def test_a_board_with_a_power_switch_is_reset_and_waited_for() -> None:
    assert names(board("boot", "jlink", OPTIONS), BOOT) == [
        "boot-jlink-image",
        "  reset-device",
        "    pdu-reboot",
        "  wait-device-boardid",
        "  connect-device",
        "  flash-jlink",
    ]


def test_a_board_without_is_taken_as_it_is() -> None:
    found = names(board("boot", "jlink", OPTIONS, power=False), BOOT)
    assert found == ["boot-jlink-image", "  connect-device", "  flash-jlink"]


def test_without_commands_each_image_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools = StandIns(tmp_path, monkeypatch)
    tools.make("JLinkExe", says=OK)
    scene = Scene(tmp_path)
    scene.artifact("boot", b"1", url="http://h/shell.bin")
    scene.artifact("app", b"2", url="http://h/app.elf")
    scene.run(flash())
    [argv] = tools.calls("JLinkExe")
    assert argv[argv.index("-SelectEmuBySN") + 1] == ID
    assert argv[argv.index("-Device") + 1] == "CHIP64"
    assert argv[-6:-2] == ["-if", "SWD", "-speed", "4000"]
    assert argv[argv.index("-ExitOnError") + 1] == "1"
    lines = Path(argv[-1]).read_text().splitlines()
    places = [line.replace(str(scene.context.work), "") for line in lines]
    assert places == [
        "erase",
        'loadfile "/images-common/boot/shell.bin" 0x00001000',
        'loadfile "/images-common/app/app.elf"',
        *("r", "g", "exit"),
    ]


def test_commands_of_the_job_take_the_place_of_loading(tmp_path: Path) -> None:
    action = flash(commands=["loadfile {cpu1} 0x8400000", "sleep 10"], coretype="M33")
    script = action.script({"cpu1": tmp_path / "cpu1.bin"})
    assert script == ["erase", f'loadfile "{tmp_path}/cpu1.bin" 0x8400000', "sleep 10", "r", "g", "exit"]
    assert "CHIP64_M33" in action.command_line(Path("s"))


def test_an_image_that_is_not_there_is_named() -> None:
    with pytest.raises(JobError, match=r"\{cpu2\}"):
        flash(commands=["loadfile {cpu2}"]).script({"cpu1": Path("/x")})
    with pytest.raises(JobError, match="no image to flash"):
        flash().script({})


def test_the_last_line_of_the_program_is_the_cause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    StandIns(tmp_path, monkeypatch).make("JLinkExe", says="Connecting to J-Link...FAILED", code=1)
    scene = Scene(tmp_path)
    scene.artifact("boot", b"1", url="http://h/shell.bin")
    with pytest.raises(InfrastructureError, match="Connecting to J-Link...FAILED"):
        scene.run(flash())


@pytest.mark.parametrize(
    ("block", "keys", "text"),
    [
        ({"coretype": "M36"}, {}, "the device has no core 'M36'"),
        ({}, {"board_id": "0000000000"}, "flash-jlink: the device file has no board_id"),
    ],
)
def test_what_cannot_work_is_refused_before_it_runs(
    block: dict[str, Any], keys: dict[str, Any], text: str
) -> None:
    assert text in problems(board("boot", "jlink", OPTIONS, **keys), {"boot": {"method": "jlink", **block}})
    assert problems(board("boot", "jlink", OPTIONS), {"boot": {"method": "jlink", "coretype": "M33"}}) == []
