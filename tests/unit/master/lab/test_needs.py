# SPDX-License-Identifier: Apache-2.0
"""What a device needs of its worker, read off its configuration."""

from __future__ import annotations

from typing import Any

from executor.master.lab.needs import needs
from executor.schema.device import parse_device
from executor.testing import jobs


def found(**keys: Any) -> set[tuple[str, str, str]]:
    device = parse_device(jobs.device(**keys)).device
    assert device is not None
    return {(need.kind, need.what, need.where) for need in needs(device)}


def test_a_guest_needs_nothing() -> None:
    assert found() == set()


def test_programs_of_the_lab_and_ports_of_the_worker() -> None:
    assert found(commands={"connect": "telnet localhost 7001", "power_on": ["/opt/pdu on 1", "sleep 1"]}) == {
        ("network", "telnet localhost 7001", "commands.connect"),
        ("tool", "/opt/pdu", "commands.power_on"),
    }
    assert found(commands={"connect": "telnet ser1 7001", "soft_reboot": "my-reboot"}) == set()
    for host in ("127.0.0.1", "root@localhost", "localhost:7001", "[::1]:22"):
        assert [kind for kind, *_ in found(commands={"connect": f"ssh {host}"})] == ["network"]


def test_nodes_and_boards() -> None:
    connections = {"uart0": {"connect": "picocom /dev/ttyUSB0", "tags": ["primary"]}}
    users = {"mux": {"do": "mux /dev/usb-sd-mux/id-1 dut", "undo": "mux /dev/usb-sd-mux/id-1 host"}}
    assert found(
        commands={"connections": connections, "users": users},
        fastboot_serial_number="0000000000",
        adb_serial_number="0123",
        device_info=[{"board_id": "77"}],
        storage_info=[{"SATA": "/dev/disk/by-id/ata-1"}],
    ) == {
        ("tool", "picocom", "commands.connections.uart0.connect"),
        ("serial", "/dev/ttyUSB0", "commands.connections.uart0.connect"),
        ("tool", "mux", "commands.users.mux.do"),
        ("tool", "mux", "commands.users.mux.undo"),
        ("usb", "/dev/usb-sd-mux/id-1", "commands.users.mux.do"),
        ("usb", "/dev/usb-sd-mux/id-1", "commands.users.mux.undo"),
        ("usb", "0123", "adb_serial_number"),
        ("usb", "77", "device_info[0].board_id"),
        ("storage", "/dev/disk/by-id/ata-1", "storage_info[0].SATA"),
    }


def test_commands_that_want_a_shell() -> None:
    for line in ("pdu off 1 && pdu on 1", "pdu off; pdu on", "pdu 'off"):
        assert ("shell", line, "commands.hard_reset") in found(commands={"hard_reset": line})


def test_methods_that_nobody_knows() -> None:
    actions = jobs.device()["actions"]
    actions["boot"]["methods"]["qmeu"] = {}
    assert found(actions=actions) == {("method", "qmeu", "actions.boot.methods.qmeu")}
