# SPDX-License-Identifier: Apache-2.0
"""In which order each bootloader's boot goes, and what of job and device changes it."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from executor.actions.boot.grub import InstallerWait
from executor.actions.bootloader.ums import FlashUms
from executor.errors import InfrastructureError, JobError
from executor.pipeline.check import Checked, check_job
from executor.testing import jobs
from executor.testing.console import FakeClock, Say, ScriptedConsole, ScriptedPort
from executor.testing.pipeline import Scene, placed

PARAMETERS = {"parameters": {"bootloader_prompt": "=>"}, "ramdisk": {"commands": ["dhcp", "boot"]}}
MENU = {"parameters": {"interrupt_prompt": "start in", "bootloader_prompt": "Start:"}}
METHODS: dict[str, Any] = {
    **dict.fromkeys(("u-boot", "grub", "ipxe", "barebox", "depthcharge", "uefi"), PARAMETERS),
    "grub-efi": {**PARAMETERS, "menu_options": "pxe"},
    "uefi-menu": {
        **MENU,
        "pxe": [{"select": {"items": ["Grub"]}}],
        "fastboot": [{"select": {"items": ["x"]}}],
    },
}
SHELL = ["auto-login-action", "login-action", "expect-shell-connection", "export-device-env"]
START = ["bootloader-interrupt", "bootloader-commands"]
RESET = ["reset-device", "pdu-reboot"]


def checked(
    block: dict[str, Any], methods: dict[str, Any] | None = None, *, test: bool = True, commands: bool = True
) -> Checked:
    device = jobs.device(
        commands={"connections": {"u": {"connect": "telnet h 1", "tags": ["primary", "telnet"]}}}
    )
    device["commands"]["hard_reset"] = "pdu cycle 7"
    device["actions"]["boot"]["methods"] = {**copy.deepcopy(METHODS), **(methods or {})}
    common = {"prompts": ["root@"], **({"commands": "ramdisk"} if commands else {})}
    given = {"boot": {**common, **block}}
    return check_job(jobs.job(given, *([jobs.shell_test()] if test else [])), device)


def names(*args: Any, **keywords: Any) -> list[str]:
    found = checked(*args, **keywords)
    assert found.errors == []
    assert found.planned is not None
    return [action.name for action in found.planned.walk() if action.section == "boot"]


@pytest.mark.parametrize(
    ("method", "before"),
    [
        (
            "u-boot",
            ["uboot-action", "uboot-from-media", "bootloader-overlay", "connect-device", "uboot-commands"],
        ),
        ("grub", ["grub-main-action", "bootloader-from-media", "bootloader-overlay", "connect-device"]),
        ("ipxe", ["bootloader-action", "bootloader-overlay", "connect-device", "bootloader-retry"]),
        ("barebox", ["barebox-action", "bootloader-overlay", "connect-device", "barebox-retry"]),
    ],
)
def test_overlay_connection_reset_prompt_commands_shell(method: str, before: list[str]) -> None:
    assert names({"method": method}) == [*before, *RESET, *START, *SHELL]
    assert names({"method": method}, test=False) == [*before, *RESET, *START, *SHELL[:2]]
    assert "reset-device" not in names({"method": method, "reset": False})


def test_depthcharge_connects_anew_and_waits_for_its_start() -> None:
    again = ["reset-connection", "disconnect-device", "connect-device"]
    head = ["depthcharge-action", "depthcharge-overlay", "depthcharge-retry", *again, *RESET]
    assert names({"method": "depthcharge"}) == [*head, "depthcharge-start", "bootloader-commands", *SHELL]


def test_grub_behind_the_menu_of_the_firmware() -> None:
    found = names({"method": "grub-efi"})
    assert found[4:8] == [*RESET, "uefi-menu-interrupt", "grub-efi-menu-selector"]
    found = names({"method": "grub-efi"}, {"grub-efi": {**METHODS["grub-efi"], "reset_device": False}})
    assert "reset-device" not in found


def test_an_installer_ends_without_a_shell() -> None:
    block = {"method": "grub", "boot_finished": ["System halted"], "prompts": []}
    assert names(block, test=False)[-3:] == ["bootloader-commands", "installer-wait", "power-off"]
    assert names({"method": "grub", "expect_shell": False})[-1] == "bootloader-commands"


@pytest.mark.parametrize("method", ["grub", "grub-efi"])
def test_the_devices_own_sequence(method: str) -> None:
    fastboot = {"interrupt_prompt": "fastboot mode", "interrupt_string": " "}
    sequence = ["wait-fastboot-interrupt", "auto-login", "shell-session", "export-env"]
    device = jobs.device(commands={"connect": "telnet h 1"})
    device["actions"]["deploy"]["methods"]["fastboot"] = fastboot
    device["actions"]["boot"]["methods"] = {"grub": {"sequence": sequence}}
    job = jobs.job({"boot": {"method": method, "prompts": ["#"], "commands": "x"}})
    found = check_job(job, device)
    assert found.errors == []
    assert found.planned is not None
    assert [a.name for a in found.planned.walk() if a.section == "boot"] == [
        "grub-sequence-action",
        "wait-fastboot-interrupt",
        *SHELL,
    ]
    device["actions"]["boot"]["methods"] = {"grub": {"sequence": ["dance"]}}
    (problem,) = check_job(job, device).errors
    assert (problem.error_type, "'dance'" in problem.message) == ("Configuration", True)


@pytest.mark.parametrize(
    ("block", "middle"),
    [
        ({}, ["reset-connection", "disconnect-device", "connect-device", *RESET]),
        ({"reset_connection": False}, ["connect-device", *RESET]),
        ({"reset_connection": False, "reset_device": False}, ["connect-device"]),
    ],
)
def test_only_the_prompt(block: dict[str, Any], middle: list[str]) -> None:
    found = names({"method": "bootloader", "bootloader": "u-boot", **block})
    head = ["boot-bootloader-retry", "bootloader-overlay", "boot-bootloader"]
    assert found == [*head, *middle, *START]


def test_the_shell_of_uefi_with_and_without_its_menu() -> None:
    head = ["uefi-shell-main-action", "bootloader-overlay", "menu-connect", *RESET]
    tail = ["uefi-shell-interrupt", "bootloader-commands", *SHELL]
    assert names({"method": "uefi"}) == [*head, *tail]
    shell = {
        "parameters": {**MENU["parameters"], "shell_menu": "shell"},
        "ramdisk": ["a"],
        "shell": [{"select": {"items": ["Shell"]}}],
    }
    menus = ["uefi-shell-menu-interrupt", "uefi-shell-menu-selector"]
    assert names({"method": "uefi"}, {"uefi": shell}) == [*head, *menus, *tail]
    assert names({"method": "uefi", "shell_menu": ""}, {"uefi": shell}) == [*head, *tail]


def test_a_kernel_by_the_menus() -> None:
    tail = ["uefi-menu-interrupt", "uefi-menu-selector", "menu-reset", *SHELL[:2], SHELL[-1]]
    head = ["uefi-menu-action", "uefi-commands"]
    assert names({"method": "uefi-menu", "commands": "pxe"}) == [*head, "menu-connect", *RESET, *tail]
    assert names({"method": "uefi-menu", "commands": "fastboot"}) == [*head, *tail]


# -- U-Boot's variants


def u_boot(**parameters: Any) -> dict[str, Any]:
    return {"u-boot": {**PARAMETERS, "parameters": {"bootloader_prompt": "=>", **parameters}}}


def test_the_other_bank_starts_a_second_bootloader() -> None:
    found = names({"method": "u-boot"}, u_boot(uboot_altbank=True, uboot_altbank_cmd="reset altbank"))
    at = found.index("bootloader-interrupt")
    assert found[at : at + 4] == ["bootloader-interrupt", "bootloader-commands-altbank", *START]


def test_the_other_bank_needs_its_command() -> None:
    (problem,) = checked({"method": "u-boot"}, u_boot(uboot_altbank=True)).errors
    assert "uboot_altbank_cmd" in problem.message


def test_flash_that_is_shown_as_a_disk() -> None:
    found = names(
        {"method": "u-boot"}, u_boot(uboot_ums_flash=True, uboot_mass_storage_device="/dev/disk/by-id/x")
    )
    at = found.index("bootloader-commands")
    assert found[at + 1 : at + 5] == ["wait-device-path", "flash-uboot-ums", *RESET]
    checked_ = checked({"method": "u-boot"}, u_boot(uboot_ums_flash=True))
    assert "uboot_mass_storage_device" in checked_.errors[0].message


def test_without_commands_nothing_can_be_typed() -> None:
    (problem,) = checked({"method": "u-boot"}, commands=False).errors
    assert (problem.error_type, "'commands'" in problem.message) == ("Configuration", True)


def test_a_device_without_addresses_cannot_boot_the_kernel() -> None:
    block = {"method": "u-boot", "type": "bootz"}
    (problem,) = checked(block).errors
    assert "bootz" in problem.message


def flash(tmp_path: Path) -> tuple[Scene, ScriptedPort]:
    clock = FakeClock()
    scene, port = Scene(tmp_path), ScriptedPort(clock, [])
    scene.namespace.console = ScriptedConsole(port, scene.journal)  # type: ignore[arg-type]
    scene.context.dev = tmp_path / "dev"
    scene.context.dev.mkdir()
    return scene, port


def test_the_image_is_written_and_the_disk_let_go(tmp_path: Path) -> None:
    scene, port = flash(tmp_path)
    disk = scene.context.dev / "disk"
    disk.write_bytes(b"")
    scene.artifact("image", b"system")
    scene.run(placed(FlashUms("/dev/disk"), section="boot"))
    assert disk.read_bytes() == b"system"
    assert port.typed == "\x03"


def test_a_disk_that_cannot_be_written(tmp_path: Path) -> None:
    scene, _ = flash(tmp_path)
    with pytest.raises(JobError, match="no image"):
        scene.run(placed(FlashUms("/dev/disk"), section="boot"))
    (scene.context.dev / "disk").mkdir()
    scene.artifact("image", b"system")
    with pytest.raises(InfrastructureError, match="dd"):
        scene.run(placed(FlashUms("/dev/disk"), section="boot"))


def test_an_installer_takes_its_time(tmp_path: Path) -> None:
    clock = FakeClock()
    scene = Scene(tmp_path, clock=clock)
    port = ScriptedPort(clock, [Say("reboot: System halted\r\n", after=50)])
    scene.namespace.console = ScriptedConsole(port, scene.journal)  # type: ignore[arg-type]
    run = scene.run(placed(InstallerWait(["Restarting", "System halted"]), section="boot"))
    assert run.results == {"matched": "System halted"}
