# SPDX-License-Identifier: Apache-2.0
"""A bootloader as the device file describes it: parameters, then constants, then what is built in."""

from __future__ import annotations

from typing import Any

import pytest

from executor.actions.bootloader.settings import bootloader, command_set, set_names
from executor.model.device import Device
from executor.model.job import Job


def device(constants: dict[str, Any] | None = None, **parameters: Any) -> Device:
    return Device(
        boot_methods={"u-boot": {"parameters": {"bootloader_prompt": "=>", **parameters}}},
        constants={"u-boot": constants} if constants else {},
    )


def test_what_is_built_in() -> None:
    found = bootloader(device(), "u-boot", Job(job_name="t"))
    assert (found.prompt, found.interrupt, found.needs_interrupt) == ("=>", " ", True)
    assert "autoboot" in found.interrupt_prompt
    assert found.final_message == "Starting kernel"
    assert found.error_messages
    assert found.faults() == []


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (device({"interrupt-prompt": "stop it"}), "stop it"),
        (device({"interrupt-prompt": "stop it"}, interrupt_prompt="halt"), "halt"),
    ],
)
def test_parameters_win_over_constants(given: Device, expected: str) -> None:
    assert bootloader(given, "u-boot", Job(job_name="t")).interrupt_prompt == expected


def test_an_empty_interrupt_character_is_one() -> None:
    assert bootloader(device(interrupt_char=""), "u-boot", Job(job_name="t")).interrupt == ""
    assert bootloader(device(interrupt_character="c"), "u-boot", Job(job_name="t")).interrupt == "c"


@pytest.mark.parametrize("value", [False, "false", "No", 0])
def test_no_interrupt_is_needed(value: object) -> None:
    assert not bootloader(device(needs_interrupt=value), "u-boot", Job(job_name="t")).needs_interrupt


def test_the_block_may_say_what_the_last_message_is() -> None:
    own = {"bootloader-final-message": "Booting /efi"}
    assert bootloader(device(), "u-boot", Job(job_name="t"), own).final_message == "Booting /efi"
    assert (
        bootloader(device(), "u-boot", Job(job_name="t"), {"bootloader-final-message": ""}).final_message
        == ""
    )


def test_control_characters_in_place_of_the_key() -> None:
    ipxe = Device(boot_methods={"ipxe": {"parameters": {"bootloader_prompt": "iPXE>"}}})
    assert bootloader(ipxe, "ipxe", Job(job_name="t")).interrupt_controls == ("b",)


def test_faults_of_the_device_file() -> None:
    nothing = bootloader(Device(boot_methods={"u-boot": None}), "u-boot", Job(job_name="t"))
    assert "no bootloader_prompt" in nothing.faults()[0]
    broken = bootloader(device({"error-messages": ["("]}), "u-boot", Job(job_name="t"))
    assert "not a regular expression" in broken.faults()[0]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (device(lava_mac="00:11:22:33:44"), "no MAC address"),
        (device(interrupt_ctrl_list=["ctrl-b"]), "single letters"),
    ],
)
def test_more_faults(given: Device, words: str) -> None:
    (fault,) = bootloader(given, "u-boot", Job(job_name="t")).faults()
    assert words in fault


def test_a_single_line_is_a_list_of_one() -> None:
    given = bootloader(device(apply_dtbo_commands="fdt apply 1"), "u-boot", Job(job_name="t"))
    assert given.lines("apply_dtbo_commands") == ["fdt apply 1"]
    assert given.lines("nothing") == []


def test_command_sets() -> None:
    options = {
        "parameters": {},
        "nfs": {"commands": ["a", 1]},
        "plain": ["b"],
        "reset_device": False,
        "none": None,
    }
    assert command_set(options, "nfs") == ["a", 1]
    assert command_set(options, "plain") == ["b"]
    assert [command_set(options, name) for name in ("parameters", "none", "reset_device", "absent")] == [
        None
    ] * 4
    assert set_names(options) == ["nfs", "plain"]
