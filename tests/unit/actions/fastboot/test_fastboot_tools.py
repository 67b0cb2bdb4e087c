# SPDX-License-Identifier: Apache-2.0
"""How the tools are called, how a board gets into fastboot, what is flashed in which order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from executor.actions import usb
from executor.actions.fastboot.adb import AdbOverlayUnpack, ConnectAdb
from executor.actions.fastboot.enter import DetectFastbootDevice, EnterFastboot
from executor.actions.fastboot.flash import Flash, Reboot, RebootBootloader, RebootFastboot, in_order
from executor.actions.fastboot.tools import Board
from executor.actions.fastboot.wait import WaitBoard
from executor.errors import (
    ConfigurationError,
    FastbootDeviceNotFound,
    InfrastructureError,
    InfrastructureTimeout,
)
from executor.model import journal
from executor.model.device import Device
from executor.model.job import BootParameters
from executor.pipeline.action import Action
from executor.pipeline.world import IdealWorld
from executor.testing.console import FakeClock, ScriptedConsole, ScriptedPort
from executor.testing.fastboot import ADB_SERIAL, SERIAL, install
from executor.testing.pipeline import Scene, placed
from executor.testing.tools import StandIns

RAW: dict[str, Any] = {
    "fastboot_serial_number": SERIAL,
    "adb_serial_number": ADB_SERIAL,
    "fastboot_options": ["-S", "256M"],
}
BOARD = Board.of(Device(raw=RAW))
CALLED = ["-s", SERIAL, "-S", "256M"]


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIns:
    made = StandIns(tmp_path, monkeypatch)
    install(made)
    return made


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


# -- the board


def test_numbers_that_templates_write_for_nothing_are_nothing() -> None:
    board = Board.of(Device(raw={"fastboot_serial_number": "0000000000", "adb_serial_number": None}))
    assert (board.serial, board.adb_serial, board.options, board.ids) == ("", "", None, ())


def test_usb_may_show_a_board_by_any_of_its_numbers() -> None:
    device = Device(raw=RAW, device_info=[{"board_id": SERIAL}, {"board_id": 42}, {"parent": True}])
    assert Board.of(device).ids == (SERIAL, "42")


# -- into fastboot


@pytest.mark.parametrize(
    ("fastboot", "adb", "called"),
    [
        ((SERIAL,), (ADB_SERIAL,), ("fastboot", [*CALLED, "reboot-bootloader"])),
        (("OTHER",), (ADB_SERIAL,), ("adb", ["-s", ADB_SERIAL, "reboot", "bootloader"])),
        ((), ("OTHER", ADB_SERIAL), ("adb", ["-s", ADB_SERIAL, "reboot", "bootloader"])),
    ],
)
def test_the_tool_that_sees_the_board_reboots_it(
    tools: StandIns,
    scene: Scene,
    fastboot: tuple[str, ...],
    adb: tuple[str, ...],
    called: tuple[str, list[str]],
) -> None:
    install(tools, fastboot=fastboot, adb=adb)
    run = scene.run(EnterFastboot(BOARD))
    assert tools.calls(called[0])[-1] == called[1]
    assert run.results == {"by": called[0]}


def test_a_board_that_is_nowhere_is_not_found(tools: StandIns, scene: Scene) -> None:
    install(tools, fastboot=("OTHER",), adb=("OTHER",))
    with pytest.raises(FastbootDeviceNotFound, match=ADB_SERIAL):
        scene.run(EnterFastboot(BOARD))


def test_a_board_by_its_port_is_taken_for_what_is_there(tools: StandIns, scene: Scene) -> None:
    install(tools, fastboot=(SERIAL,))
    scene.run(EnterFastboot(Board("usb:2-1.2", ADB_SERIAL, ())))
    assert tools.calls("fastboot")[-1] == ["-s", "usb:2-1.2", "reboot-bootloader"]


def test_a_number_that_was_found_out_is_used_from_then_on(tools: StandIns, scene: Scene) -> None:
    install(tools, fastboot=("FOUND",))
    assert scene.run(DetectFastbootDevice(Board(options=(), detected=True))).results == {"serial": "FOUND"}
    scene.run(Reboot(Board(options=())))
    assert tools.calls("fastboot")[-1] == ["-s", "FOUND", "reboot"]


def test_detection_takes_no_chance(tools: StandIns, scene: Scene) -> None:
    install(tools, fastboot=("A", "B"))
    with pytest.raises(InfrastructureError, match="several boards are in fastboot: A, B"):
        scene.run(DetectFastbootDevice(BOARD))
    install(tools)
    attempt = scene.attempt(DetectFastbootDevice(BOARD))
    scene.clock.advance(100)  # type: ignore[attr-defined]
    with pytest.raises(FastbootDeviceNotFound, match="no board was in fastboot within 60 seconds"):
        attempt.action.run(attempt)


@pytest.mark.parametrize("action", [EnterFastboot(BOARD), Flash(BOARD, "boot")])
def test_what_it_needs(action: Action) -> None:
    needs = placed(action).needs()
    assert (needs.devices, "fastboot" in needs.tools, needs.network) == (frozenset({"usb"}), True, "none")


class Bare(IdealWorld):
    def tool(self, name: str) -> str:
        return f"{name} is not installed"


def test_missing_tools_and_numbers_are_told_before_anything_runs() -> None:
    found = list(placed(EnterFastboot(Board(SERIAL, options=()))).validate(Bare()))
    assert [problem.error_type for problem in found] == ["Infrastructure", "Infrastructure", "Job"]
    assert "adb_serial_number" in found[-1].message


# -- waiting for it


def on_the_bus(scene: Scene, monkeypatch: pytest.MonkeyPatch, serial: str) -> None:
    """The board, at port 2-1.2 as device 7 of bus 1."""
    sysfs, dev = scene.context.work.parent / "sys", scene.context.work.parent / "dev"
    monkeypatch.setattr(usb, "SYSFS", sysfs)
    scene.context.dev = dev
    (sysfs / "2-1.2").mkdir(parents=True)
    for name, value in (("serial", serial), ("busnum", "1"), ("devnum", "7")):
        (sysfs / "2-1.2" / name).write_text(f"{value}\n")
    (dev / "bus/usb/001").mkdir(parents=True)
    (dev / "bus/usb/001/007").touch()


@pytest.mark.parametrize(
    ("given", "seen"),
    [
        (RAW, SERIAL),
        ({**RAW, "fastboot_serial_number": "usb:2-1.2"}, "whatever"),
        ({**RAW, "fastboot_serial_number": "tcp:phone.lab:5554"}, "whatever"),
        ({"fastboot_options": []}, "whatever"),
    ],
)
def test_the_board_turns_up(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], seen: str
) -> None:
    on_the_bus(scene, monkeypatch, seen)
    scene.run(WaitBoard(Device(raw=given)))


def test_the_number_that_was_found_out_is_waited_for(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    on_the_bus(scene, monkeypatch, "FOUND")
    scene.namespace.fastboot_serial = "FOUND"
    scene.run(WaitBoard(Device(raw={"fastboot_options": []})))
    assert any("2-1.2" in text or "007" in text for text in scene.journal.messages(journal.INFO))


def test_a_board_that_does_not_turn_up_is_named(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    on_the_bus(scene, monkeypatch, "OTHER")
    attempt = scene.attempt(WaitBoard(Device(raw=RAW)))
    scene.clock.advance(100)  # type: ignore[attr-defined]
    with pytest.raises(InfrastructureTimeout, match=f"USB device {SERIAL} did not turn up"):
        attempt.action.run(attempt)


# -- flashing


@pytest.mark.parametrize(
    ("labels", "order", "wanted"),
    [
        (["system", "boot", "ptable"], ["ptable", "boot", "cache", "system"], ["ptable", "boot", "system"]),
        (["zzz", "boot", "aaa"], ["boot"], ["boot", "zzz", "aaa"]),
        (["b", "a"], [], ["b", "a"]),
    ],
)
def test_the_devices_order_comes_first_then_the_jobs(
    labels: list[str], order: list[str], wanted: list[str]
) -> None:
    assert in_order(labels, order) == wanted


def test_an_image_goes_to_its_partition(tools: StandIns, scene: Scene) -> None:
    path = scene.artifact("system", b"image").path
    run = scene.run(Flash(BOARD, "system"))
    assert tools.calls("fastboot") == [[*CALLED, "flash", "system", str(path)]]
    assert run.results == {"label": "system", "status": "finished"}
    assert any("Writing  OKAY" in text for text in scene.journal.messages(journal.DEBUG))


def test_an_archive_is_taken_apart_by_fastboot(tools: StandIns, scene: Scene) -> None:
    path = scene.artifact("update", b"zip").path
    scene.run(Flash(BOARD, "update"))
    assert tools.calls("fastboot") == [[*CALLED, "update", str(path)]]


def test_a_board_that_refuses_an_image_is_quoted(tools: StandIns, scene: Scene) -> None:
    scene.artifact("bad", b"image")
    with pytest.raises(InfrastructureError, match="fastboot failed with code 1"):
        scene.run(Flash(BOARD, "bad"))
    assert any("partition table doesn't exist" in text for text in scene.journal.messages(journal.DEBUG))


def test_an_image_that_is_only_started_is_not_written(tools: StandIns, scene: Scene) -> None:
    scene.run(Flash(BOARD, "boot", written=False))
    assert tools.calls("fastboot") == []


@pytest.mark.parametrize(
    ("action", "words"),
    [
        (Reboot(BOARD), ["reboot"]),
        (RebootBootloader(BOARD), ["reboot", "bootloader"]),
        (RebootFastboot(BOARD), ["reboot", "fastboot"]),
    ],
)
def test_reboots(tools: StandIns, scene: Scene, action: Reboot, words: list[str]) -> None:
    clock = FakeClock()
    console = ScriptedConsole(ScriptedPort(clock, []), scene.journal)  # type: ignore[arg-type]
    scene.namespace.console = console
    scene.run(action)
    assert tools.calls("fastboot") == [[*CALLED, *words]]


# -- adb


def test_the_shell_of_adb_is_the_console(tools: StandIns, scene: Scene) -> None:
    parameters = BootParameters(method="fastboot", prompts=["hikey:/"])
    action = placed(ConnectAdb(BOARD, parameters), section="boot")
    run = scene.run(action)
    assert tools.calls("adb")[0] == ["-s", ADB_SERIAL, "wait-for-device"]
    console = scene.namespace.console
    assert console is not None
    assert scene.namespace.prompts == ["hikey:/"]
    console.close(run.deadline)
    with pytest.raises(ConfigurationError, match="adb_serial_number"):
        scene.run(ConnectAdb(Board(), parameters))


def test_the_overlay_and_the_secrets_are_unpacked_and_gone(
    tools: StandIns, scene: Scene, tmp_path: Path
) -> None:
    scene.namespace.overlay = tmp_path / "overlay-1.tar.gz"
    scene.namespace.overlay_secrets = tmp_path / "secrets-1.tar.gz"
    scene.run(AdbOverlayUnpack(BOARD))
    calls = [call[2:] for call in tools.calls("adb")]
    there = "/data/local/tmp/overlay-1.tar.gz"
    assert calls[:3] == [
        ["push", str(scene.namespace.overlay), there],
        ["shell", "tar", "-C", "/", "-xzf", there],
        ["shell", "rm", "-f", there],
    ]
    assert len(calls) == 6


def test_without_tests_there_is_nothing_to_push(tools: StandIns, scene: Scene) -> None:
    scene.run(AdbOverlayUnpack(BOARD))
    assert tools.calls("adb") == []
