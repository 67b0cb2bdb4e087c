# SPDX-License-Identifier: Apache-2.0
"""uuu and bcu: what is done before, how they are called, what is left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from executor.actions.boot.uuu import (
    CheckBootloaderValid,
    CheckSerialAvailability,
    CorruptBootMedia,
    RunUuu,
    UuuCommands,
    UuuParameters,
)
from executor.actions.uuusettings import uuu_settings
from executor.errors import ConfigurationError, InfrastructureError
from executor.model.device import Device
from executor.schema.device import parse_device
from executor.testing.boards import board, names, problems
from executor.testing.pipeline import Scene, placed
from executor.testing.tools import StandIns

OPTIONS: dict[str, Any] = {
    "usb_otg_path": ["1:14", "3:1"],
    "corrupt_boot_media_command": ["mmc dev 1", "mmc erase 0 0x400"],
    "bcu_board_name": "imx8dxlevk",
    "bcu_board_id": "2-1.3",
    "additional_bcu_cleanup_commands": ["reset"],
}
UUU, BCU = {"uuu": "-b sd {boot}"}, {"bcu": "set_boot_mode emmc_s"}
LISTED = """\
uuu (Universal Update Utility) for nxp imx chips -- libuuu_1.4.193
Connected Known USB Devices
\tPath\t Chip\t Pro\t Vid\t Pid\t BcdVersion
\t==================================================
\t1:14\t MX8MQ\t SDP:\t 0x1FC9\t 0x012B\t 0x0001"""


def device(**options: Any) -> dict[str, Any]:
    given = {key: value for key, value in {**OPTIONS, **options}.items() if value is not None}
    made = board("boot", "uuu", {"options": given})
    made["actions"]["boot"]["methods"]["u-boot"] = {"parameters": {"bootloader_prompt": "=>"}}
    return made


def parsed(**options: Any) -> Device:
    found = parse_device(device(**options)).device
    assert found is not None
    return found


def boot(*commands: dict[str, str], **keys: Any) -> dict[str, Any]:
    return {"boot": {"method": "uuu", "commands": list(commands), **keys}}


def scene(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str = "", code: int = 0
) -> tuple[Scene, StandIns]:
    tools = StandIns(tmp_path, monkeypatch)
    tools.make("uuu", says=says or "Success 1    Failure 0", code=code)
    tools.make("bcu", says="set boot mode successfully")
    made = Scene(tmp_path)
    made.artifact("boot", b"1", url="http://h/imx-boot.bin")
    return made, tools


RESET = ["    reset-device", "      pdu-reboot"]
PROMPT = [
    *(
        "      connect-device",
        "      bootloader-overlay",
        "      boot-bootloader",
        "        reset-connection",
    ),
    *(
        "          disconnect-device",
        "          connect-device",
        "        reset-device",
        "          pdu-reboot",
    ),
    *("        bootloader-interrupt", "        bootloader-commands", "      disconnect-device"),
]
END = ["    connect-device", "    uuu-boot", "    disconnect-device"]


def test_a_board_that_boots_by_itself_is_brought_into_download_mode() -> None:
    assert names(device(), boot(UUU)) == [
        *("uuu-boot-retry", "  uuu", "    disconnect-device", *RESET, "    check-serial-availability"),
        *("    boot-corrupt-boot-media", *PROMPT, *RESET, *END),
    ]
    off_first = names(device(power_off_before_corrupt_boot_media=True), boot(UUU))
    assert off_first[off_first.index("    boot-corrupt-boot-media") + 1] == "      power-off"


def test_jumpers_alone_need_no_download_mode() -> None:
    assert names(device(), boot(BCU)) == ["uuu-boot-retry", "  uuu", "    disconnect-device", *RESET, *END]


def test_a_good_bootloader_is_looked_for_a_short_while() -> None:
    from executor.testing import jobs
    from executor.testing.pipeline import planned

    plan = planned(jobs.job(boot(BCU, skip_uuu_if_bootloader_valid=True, timeout={"minutes": 2})), device())
    by_name = {action.name: action for action in plan.actions[0].walk()}
    assert plan.actions[0].children[0].name == "check-bootloader-valid"
    assert (by_name["bootloader-interrupt"].limit, by_name["bootloader-commands"].limit) == (15, 120)


def test_a_board_in_download_mode_is_not_wiped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, tools = scene(tmp_path, monkeypatch, says=LISTED)
    settings = uuu_settings(parsed())
    run = made.run(placed(CheckSerialAvailability(settings), section="boot"))
    assert tools.calls("uuu") == [["-lsusb"]]
    assert run.results == {"available": True}
    assert not CorruptBootMedia(parsed(), settings).applies(run)
    made.run(placed(CheckSerialAvailability(uuu_settings(parsed(usb_otg_path="1:1"))), section="boot"))
    assert CorruptBootMedia(parsed(), settings).applies(run)


def test_a_bootloader_that_does_not_show_itself_is_an_answer(tmp_path: Path) -> None:
    made = Scene(tmp_path)
    look = placed(CheckBootloaderValid(parsed()), section="boot")
    run = made.run(look)
    load = RunUuu(UuuParameters(method="uuu", commands=[UUU]), parsed())
    assert not load.applies(run)
    assert look.forgives(run, InfrastructureError("no prompt"))
    assert load.applies(run)
    assert not look.forgives(run, ConfigurationError("no prompt in the device file"))


def test_commands_run_in_order_on_this_board_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, tools = scene(tmp_path, monkeypatch)
    action = placed(UuuCommands([BCU, UUU], uuu_settings(parsed())), section="boot")
    run = made.run(action)
    [argv] = tools.calls("uuu")
    assert argv[:6] == ["-m", "1:14", "-m", "3:1", "-b", "sd"]
    assert Path(argv[6]).name == "imx-boot.bin"
    ours = ["-board=imx8dxlevk", "-id=2-1.3"]
    assert tools.calls("bcu") == [["set_boot_mode", "emmc_s", *ours]]
    action.cleanup(run)
    assert tools.calls("bcu")[1:] == [["reset", *ours], ["deinit", *ours]]


def test_numbers_that_change_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, tools = scene(tmp_path, monkeypatch)
    tools.make("where", says="12:1234\n1:1234")
    given = parsed(
        usb_otg_path=None,
        usb_otg_path_command=["where", "is"],
        bcu_board_id=None,
        bcu_board_id_command="where",
    )
    made.run(placed(UuuCommands([UUU, BCU], uuu_settings(given)), section="boot"))
    assert tools.calls("uuu")[0][:4] == ["-m", "12:1234", "-m", "1:1234"]
    assert tools.calls("bcu")[0][-1] == "-id=12:1234"
    assert ["is"] in tools.calls("where")


def test_a_failure_has_the_programs_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, _ = scene(tmp_path, monkeypatch, says="Error: fail to open usb device", code=1)
    with pytest.raises(InfrastructureError, match="uuu failed with code 1: Error: fail to open usb device"):
        made.run(placed(UuuCommands([UUU], uuu_settings(parsed())), section="boot"))


@pytest.mark.parametrize(
    ("options", "commands", "text"),
    [
        ({"usb_otg_path": None}, [UUU], "neither usb_otg_path nor usb_otg_path_command"),
        ({"bcu_board_name": ""}, [BCU], "no bcu_board_name"),
        ({"bcu_board_id": "2"}, [BCU], "bcu_board_id '2' of the device file is no path"),
        ({}, [{"dd": "x"}], "a command of uuu cannot be dd"),
        ({"docker_image": "atline/uuu"}, [UUU], "docker_image is not used"),
    ],
)
def test_what_cannot_work_is_told(options: dict[str, Any], commands: list[dict[str, str]], text: str) -> None:
    assert any(text in found for found in problems(device(**options), boot(*commands)))
