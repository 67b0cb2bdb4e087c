# SPDX-License-Identifier: Apache-2.0
"""Device files, old and new forms (spec: device-config)."""

from __future__ import annotations

from typing import Any

import pytest

from executor.model.device import Device
from executor.schema.device import parse_device

SMALL = """\
hostname: shelf-3
devicetype: demo
actions:
  deploy: {methods: {tftp: , image: {parameters: {guest: {size: 64}}}}, connections: {serial: }}
  boot: {methods: {minimal: , u-boot: {parameters: {bootloader_prompt: '=>'}}}, connections: {serial: }}
"""


def good(text: str) -> Device:
    parsed = parse_device(text)
    assert not parsed.problems
    assert parsed.device is not None
    return parsed.device


def faults(text: str) -> list[tuple[int, str, str]]:
    """(line, path, message) of every problem; all of them are the admin's."""
    parsed = parse_device(text, "device.yaml")
    assert all(p.error_type == "Configuration" and p.file == "device.yaml" for p in parsed.problems)
    return [(p.line, ".".join(map(str, p.path)), p.message) for p in parsed.errors]


def test_a_small_device() -> None:
    device = good(SMALL)
    assert (device.hostname, device.device_type) == ("shelf-3", "demo")
    assert device.deploy_methods == {"tftp": {}, "image": {"parameters": {"guest": {"size": 64}}}}
    assert device.boot_methods["u-boot"]["parameters"]["bootloader_prompt"] == "=>"
    assert device.boot_connections == {"serial": {}}
    assert not device.has_commands
    assert device.raw["hostname"] == "shelf-3"


def test_the_seeds_lists_of_methods() -> None:
    device = good(
        "actions:\n"
        "  deploy: {methods: [image, {ssh: {host: h}}], connections: [serial]}\n"
        "  boot: {methods: [qemu]}\n"
    )
    assert device.deploy_methods == {"image": {}, "ssh": {"host": "h"}}
    assert list(device.boot_methods) == ["qemu"]


def test_a_map_that_was_read_already() -> None:
    parsed = parse_device(
        {"actions": {"deploy": {"methods": {}}, "boot": {"methods": {}}}, "hostname": 7}, "x"
    )
    assert not parsed.problems
    assert parsed.device is not None
    assert parsed.device.hostname == "7"


def test_commands_become_lists() -> None:
    device = good(
        SMALL + "commands:\n"
        "  connect: telnet ser1 7001\n"
        "  power_on: pdu on 3\n"
        "  hard_reset: [pdu off 3, '', pdu on 3]\n"
        "  soft_reset: reboot -f\n"
        "  power_off: ''\n"
        "  users: {mux: {do: mux dut, undo: [mux a, mux b]}}\n"
    )
    assert device.has_commands
    assert device.commands == {
        "power_on": ["pdu on 3"],
        "hard_reset": ["pdu off 3", "pdu on 3"],
        "soft_reboot": ["reboot -f"],
    }
    assert device.users["mux"].do == ["mux dut"]
    assert device.users["mux"].undo == ["mux a", "mux b"]
    assert device.primary is not None
    assert device.primary.connect == "telnet ser1 7001"


def test_several_consoles() -> None:
    device = good(
        SMALL + "commands:\n  connections:\n"
        "    uart0: {connect: telnet a 1, tags: [primary, telnet]}\n"
        "    uart1: {connect: telnet a 2}\n"
    )
    assert device.primary is not None
    assert device.primary.name == "uart0"
    assert device.connections["uart1"].tags == []


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 0, "empty"),
        ("{}", 1, "empty"),
        ("[]", 1, "a list"),
        ("a: [", 1, "not valid YAML"),
        ("hostname: x\n", 1, "actions is missing"),
    ],
)
def test_files_that_are_no_devices(text: str, line: int, message: str) -> None:
    [(found, _, said)] = faults(text)
    assert found == line
    assert message in said


def test_sections_and_methods_must_be_there() -> None:
    assert faults("actions:\n  deploy: {connections: }\n") == [
        (1, "actions", "boot is missing"),
        (2, "actions.deploy", "methods is missing"),
    ]


@pytest.mark.parametrize(
    ("addition", "path"),
    [
        ("commands: [a]", "commands"),
        ("commands: {power_on: 5}", "commands.power_on"),
        ("commands: {power_on: [a, 5]}", "commands.power_on"),
        ("commands: {connect: [a]}", "commands.connect"),
        ("commands: {connect: a, connections: {b: {connect: c}}}", "commands.connect"),
        ("commands: {connect: a, must_use_connection: true}", "commands.connect"),
        ("commands: {connections: {b: {tags: []}}}", "commands.connections.b"),
        ("commands: {connections: {b: {connect: x, tags: primary}}}", "commands.connections.b.tags"),
        (
            "commands: {connections: {b: {connect: x, tags: [primary]}, c: {connect: x, tags: [primary]}}}",
            "commands.connections",
        ),
        ("commands: {users: {a: {do: ''}}}", "commands.users.a.do"),
        ("commands: {users: {a: {do: x, undo: ''}}}", "commands.users.a.undo"),
        ("commands: {users: {a: {undo: x}}}", "commands.users.a"),
        ("commands: {users: {a: x}}", "commands.users.a"),
        ("constants: x", "constants"),
        ("parameters: [x]", "parameters"),
        ("timeouts: {actions: {x: soon}}", "timeouts.actions.x"),
        ("character_delays: {test: x}", "character_delays.test"),
        ("character_delays: {test: -1}", "character_delays.test"),
        ("device_info: [x]", "device_info.0"),
        ("static_info: x", "static_info"),
        ("available_architectures: {a: b}", "available_architectures"),
        ("device_type: [a]", "device_type"),
    ],
)
def test_faults_have_path_and_line(addition: str, path: str) -> None:
    [(line, found, _)] = faults(SMALL + addition + "\n")
    assert (line, found) == (6, path)


def test_a_key_twice_is_only_a_warning_templates_do_it() -> None:
    parsed = parse_device(SMALL + "hostname: other\n")
    assert [p.severity for p in parsed.problems] == ["warning"]
    assert parsed.device is not None
    assert parsed.device.hostname == "other"


def test_old_boot_message() -> None:
    parsed = parse_device(SMALL.replace("bootloader_prompt: '=>'", "boot_message: Booting Linux"))
    assert [p.severity for p in parsed.problems] == ["warning"]
    assert parsed.device is not None
    assert parsed.device.constant("kernel-start-message") == "Booting Linux"


def test_a_boot_message_beside_the_constant_is_not_used() -> None:
    text = SMALL.replace("bootloader_prompt: '=>'", "boot_message: Booting")
    assert (
        good(text + "constants: {kernel-start-message: Linux}\n").constant("kernel-start-message") == "Linux"
    )


@pytest.mark.parametrize(
    ("options", "parameters"),
    [
        (
            {"parameters": {"command": "qemu-system-x86_64", "options": ["-nographic"]}},
            {"command": "qemu-system-x86_64", "options": ["-nographic"]},
        ),
        (
            {
                "parameters": {
                    "command": {"amd64": {"qemu_binary": "qemu-system-x86_64"}},
                    "overrides": ["arch"],
                    "qemu_options": ["-nographic"],
                    "machine": "q35",
                    "net": ["-net nic", "-net user"],
                }
            },
            {
                "command": "qemu-system-x86_64",
                "options": ["-nographic", "-machine q35", "-net nic", "-net user"],
            },
        ),
        (
            {"command": {"amd64": {"qemu_binary": "a"}, "arm": "b"}, "machine": "virt"},
            {"command": {"amd64": "a", "arm": "b"}, "options": ["-machine virt"]},
        ),
    ],
)
def test_qemu_in_old_forms(options: dict[str, Any], parameters: dict[str, Any]) -> None:
    parsed = parse_device({"actions": {"deploy": {"methods": {}}, "boot": {"methods": {"qemu": options}}}})
    assert parsed.device is not None
    assert parsed.device.boot_methods["qemu"]["parameters"] == parameters
