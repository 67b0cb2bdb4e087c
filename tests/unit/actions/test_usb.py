# SPDX-License-Identifier: Apache-2.0
"""Finding a board's nodes, and waiting for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from executor.actions import usb
from executor.actions.usb import (
    UsbIdentity,
    WaitDeviceBoardID,
    WaitDevicePath,
    WaitForNode,
    WaitUsbDevice,
    WaitUsbMassStorage,
    WaitUsbSerial,
    identity,
    local,
)
from executor.errors import InfrastructureTimeout
from executor.model.device import Device
from executor.pipeline.world import IdealWorld
from executor.testing.pipeline import Scene, placed

BOARD: dict[str, Any] = {"board_id": "0240AB", "usb_vendor_id": "0D28", "usb_product_id": "0204"}


def board(**raw: Any) -> Device:
    return Device(raw={**BOARD, **raw})


@pytest.fixture
def dev(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(usb, "SYSFS", tmp_path / "sys")
    (tmp_path / "dev").mkdir()
    return tmp_path / "dev"


def node(dev: Path, path: str) -> Path:
    made = dev / path
    made.parent.mkdir(parents=True, exist_ok=True)
    made.touch()
    return made


def on_the_bus(dev: Path, *, serial: str, vendor: str, product: str, number: int = 7) -> Path:
    entry = dev.parent / "sys" / f"1-{number}"
    entry.mkdir(parents=True)
    values = {
        "serial": serial,
        "idVendor": vendor,
        "idProduct": product,
        "busnum": "1",
        "devnum": str(number),
    }
    for name, value in values.items():
        (entry / name).write_text(f"{value}\n")
    return node(dev, f"bus/usb/001/{number:03d}")


def look(action: WaitForNode, dev: Path) -> Path | None:
    return action.look(dev)


def test_a_board_is_known_by_the_top_of_its_file_or_by_its_first_entry() -> None:
    assert identity(board()) == UsbIdentity("0240AB", "0d28", "0204")
    assert identity(Device(device_info=[{"board_id": 42}])) == UsbIdentity("42")


@pytest.mark.parametrize("unset", ["0000000000", "Undefined", "", None])
def test_what_templates_write_for_nothing_is_nothing(unset: str | None) -> None:
    assert identity(Device(raw={"board_id": unset, "usb_vendor_id": "0000"})) == UsbIdentity()


def test_paths_of_the_device_file_lie_in_the_jobs_own_directory(dev: Path) -> None:
    assert local(dev, "/dev/disk/by-id/usb-X") == dev / "disk/by-id/usb-X"


def test_a_serial_port_is_found_by_the_boards_number(dev: Path) -> None:
    node(dev, "serial/by-id/usb-ARM_DAPLink_9999-if01")
    assert look(WaitUsbSerial(board()), dev) is None
    mine = node(dev, "serial/by-id/usb-ARM_DAPLink_0240AB-if01")
    assert look(WaitUsbSerial(board()), dev) == mine
    assert look(WaitDeviceBoardID(board()), dev) == mine


def test_a_bare_usb_node_is_found_by_sysfs(dev: Path) -> None:
    on_the_bus(dev, serial="0240AB", vendor="1366", product="0105", number=3)
    mine = on_the_bus(dev, serial="0240AB", vendor="0d28", product="0204")
    assert look(WaitUsbDevice(board()), dev) == mine
    mine.unlink()
    assert look(WaitUsbDevice(board()), dev) is None


def test_a_volume_is_found_by_its_label(dev: Path) -> None:
    mine = node(dev, "disk/by-label/V2M-MPS")
    assert look(WaitUsbMassStorage(board(usb_filesystem_label="V2M-MPS")), dev) == mine


def test_the_wait_ends_when_the_node_is_there_and_says_which(dev: Path) -> None:
    node(dev, "disk/by-id/usb-X")
    scene = Scene(dev.parent)
    scene.context.dev = dev
    scene.run(placed(WaitDevicePath(board(), "/dev/disk/by-id/usb-X")))
    assert any(
        text.endswith("disk/by-id/usb-X") and "found" in text for text in scene.journal.messages("info")
    )


def test_a_wait_in_vain_says_what_was_wanted(dev: Path) -> None:
    scene = Scene(dev.parent)
    scene.context.dev = dev
    attempt = scene.attempt(placed(WaitUsbSerial(board())))
    scene.clock.advance(60)  # type: ignore[attr-defined]
    with pytest.raises(InfrastructureTimeout, match="serial port of board 0240AB 0d28:0204 did not turn up"):
        attempt.action.run(attempt)


@pytest.mark.parametrize("action", [WaitDeviceBoardID, WaitUsbSerial, WaitUsbMassStorage])
def test_a_device_file_without_the_key_is_told_at_validation(action: type[Any]) -> None:
    [problem] = placed(action(Device())).validate(IdealWorld())
    assert "the device file has no" in problem.message


def test_needs_are_the_kinds_of_nodes_and_nothing_more() -> None:
    needs = WaitUsbSerial(board()).needs()
    assert (needs.devices, needs.mounts, needs.network) == (frozenset({"serial"}), frozenset(), "none")
