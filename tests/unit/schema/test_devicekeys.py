# SPDX-License-Identifier: Apache-2.0
"""Types of what methods read from a device file (spec: device-config §1, §4, §5)."""

from __future__ import annotations

from typing import Any

import pytest

from executor.schema.device import parse_device
from executor.testing import jobs


def faults(**keys: Any) -> list[tuple[str, str]]:
    parsed = parse_device(jobs.device(**keys))
    assert parsed.device is not None
    assert all(p.error_type == "Configuration" for p in parsed.problems)
    return [(".".join(map(str, p.path)), p.expected) for p in parsed.problems]


@pytest.mark.parametrize(
    ("keys", "where", "expected"),
    [
        (
            {"constants": {"failure_retry": "often"}},
            "constants.failure_retry",
            "a whole number of at least 1",
        ),
        ({"constants": {"boot_retry": 0}}, "constants.boot_retry", "a whole number of at least 1"),
        ({"constants": {"spawn_maxread": "much"}}, "constants.spawn_maxread", "a whole number"),
        ({"constants": {"posix": "sh"}}, "constants.posix", "a map"),
        (
            {"constants": {"u-boot": {"error-messages": "bad"}}},
            "constants.u-boot.error-messages",
            "a list of text",
        ),
        (
            {"constants": {"grub": {"interrupt-newline": 1}}},
            "constants.grub.interrupt-newline",
            "true or false",
        ),
        ({"constants": {"shutdown-message": []}}, "constants.shutdown-message", "text"),
        ({"flash_cmds_order": "boot"}, "flash_cmds_order", "a list of text"),
        ({"parameters": {"media": {"usb": ["stick"]}}}, "parameters.media.usb", "a map"),
        ({"parameters": {"bootz": "0x8000"}}, "parameters.bootz", "a map"),
        ({"board_id": ["1"]}, "board_id", "text, a whole number or a number"),
    ],
)
def test_a_wrong_type_is_told(keys: dict[str, Any], where: str, expected: str) -> None:
    assert faults(**keys) == [(where, expected)]


def test_what_has_been_told_is_gone() -> None:
    device = parse_device(jobs.device(constants={"failure_retry": "often", "boot_retry": 2})).device
    assert device is not None
    assert device.constant("failure_retry") == 1
    assert device.constant("boot_retry") == 2
    assert "failure_retry" not in device.raw["constants"]


def test_what_the_field_writes_is_right() -> None:
    media = {"usb": {"UUID-required": False, "stick": {"uuid": "u", "device_id": 0}}, "sd": None}
    assert (
        faults(
            constants={"spawn_maxread": 4092, "boot_retry": None, "u-boot": {"own": [1]}, "mine": {"a": []}},
            parameters={"media": media, "bootz": {"kernel": "0x8"}, "interfaces": {"target": {"ip": "1"}}},
            fastboot_serial_number=12345,
            flash_cmds_order=["boot"],
            more={"of": ["this"]},
        )
        == []
    )


def test_options_of_a_method_are_a_map() -> None:
    data = {"actions": {"deploy": {"methods": {"tftp": True}}, "boot": {"methods": {"minimal": ""}}}}
    parsed = parse_device(data)
    assert parsed.device is not None
    assert (parsed.device.deploy_methods, parsed.device.boot_methods) == ({"tftp": {}}, {"minimal": {}})
    assert [(p.severity, p.message) for p in parsed.problems] == [
        ("warning", "tftp is true"),
        ("warning", "minimal is the text ''"),
    ]
