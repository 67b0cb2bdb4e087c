# SPDX-License-Identifier: Apache-2.0
"""Into fastboot: by the board's power, by its running system, or by U-Boot (spec: action-pipeline §2)."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from executor.actions.boot.minimal import PrePowerCommand
from executor.actions.connect import ConnectDevice, ResetDevice
from executor.actions.fastboot.tools import Board, FastbootAction, listed
from executor.actions.fastboot.uboot import UBootEnterFastboot
from executor.errors import FastbootDeviceNotFound, InfrastructureError

if TYPE_CHECKING:
    from executor.model.problem import Problem
    from executor.pipeline.action import Action
    from executor.pipeline.planner import Site
    from executor.pipeline.run import Run
    from executor.pipeline.world import World

_PAUSE = 0.5  # seconds between two looks


def enter_fastboot(site: Site, board: Board, *, powered: bool = False) -> Iterable[Action]:
    """What brings the device into fastboot. `powered`: relays are set already."""
    if board.via_uboot:
        yield ConnectDevice(site.device)
        yield UBootEnterFastboot(site.device, site.job)
    elif site.device.command("hard_reset"):
        yield ConnectDevice(site.device)
        if not powered:
            yield PrePowerCommand()
        yield ResetDevice()
    else:
        yield EnterFastboot(board)


class EnterFastboot(FastbootAction):
    """Ask the running system, or fastboot itself, for a reboot into fastboot."""

    name = "enter-fastboot-action"
    summary = "enter fastboot"
    description = "reboot the board into fastboot by adb, or by fastboot where it is there already"
    restarts_device = True
    tools = ("adb", "fastboot")

    def validate(self, world: World) -> Iterable[Problem]:
        yield from super().validate(world)
        if not self.board.adb_serial:
            hint = "`adb devices` shows it; a board with hard_reset does without"
            yield self.problem("the device file has no adb_serial_number", hint=hint)

    def run(self, run: Run) -> None:
        serial = run.namespace.fastboot_serial or self.board.serial
        waiting = listed(run, "fastboot", "fastboot")
        if waiting and (self.board.by_place or not serial or serial in waiting):
            self.fastboot(run, "reboot-bootloader")
            run.results["by"] = "fastboot"
        elif self.board.adb_serial in listed(run, "adb", "device"):
            self.adb(run, "reboot", "bootloader")
            run.results["by"] = "adb"
        else:
            raise FastbootDeviceNotFound(
                f"neither adb nor fastboot shows the board {self.board.adb_serial or serial}",
                "is its system up, with USB debugging allowed? a hard_reset in the device file does without",
            )


class DetectFastbootDevice(FastbootAction):
    """Find out the serial number of the one board that is in fastboot."""

    name = "detect-fastboot-device"
    summary = "find the board in fastboot"
    description = "find out the serial number of the board that is in fastboot"

    def run(self, run: Run) -> None:
        found: list[str] = []
        while not found:
            if run.deadline.expired:
                raise FastbootDeviceNotFound(
                    f"no board was in fastboot within {run.deadline.limit:.0f} seconds",
                    "the console's log tells what it did instead",
                )
            found = listed(run, "fastboot", "fastboot")
            if not found:
                time.sleep(min(_PAUSE, run.deadline.remaining))
        if len(found) > 1:
            raise InfrastructureError(
                f"several boards are in fastboot: {', '.join(found)}",
                "fastboot_serial_number in the device file tells which one it is",
            )
        (run.namespace.fastboot_serial,) = found
        run.results["serial"] = found[0]
