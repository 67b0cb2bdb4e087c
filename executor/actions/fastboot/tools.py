# SPDX-License-Identifier: Apache-2.0
"""How a board is called by fastboot and adb (spec: device-config §1), and running these tools.

Both run as programs with an argument list; without a board fastboot waits for ever, so the action's limit is
what ends it.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from executor.actions.usb import UNSET
from executor.errors import ConfigurationError, InfrastructureError, LavaExecError
from executor.model.launch import Needs
from executor.pipeline.action import Action
from executor.tools import proc

if TYPE_CHECKING:
    from executor.model.device import Device
    from executor.model.problem import Problem
    from executor.pipeline.run import Run
    from executor.pipeline.world import World

_PATHS = ("usb:", "tcp:", "udp:")  # fastboot finds a board by its place as well


@dataclass(frozen=True)
class Board:
    """A board as the tools name it; a serial number is empty where the device file has none."""

    serial: str = ""
    adb_serial: str = ""
    options: tuple[str, ...] | None = None  # None: the device file does not say
    detected: bool = False  # the serial number is found out when the board is in fastboot
    via_uboot: bool = False
    ids: tuple[str, ...] = ()  # under which USB may show it

    @classmethod
    def of(cls, device: Device) -> Board:
        """From a device file."""

        def known(value: object) -> str:
            return "" if value is None or str(value) in UNSET else str(value)

        raw = device.raw
        serial = known(raw.get("fastboot_serial_number"))
        options = raw.get("fastboot_options")
        ids = [known(entry.get("board_id")) for entry in device.device_info]
        return cls(
            serial=serial,
            adb_serial=known(raw.get("adb_serial_number")),
            options=tuple(str(word) for word in options) if isinstance(options, list) else None,
            detected=bool(raw.get("fastboot_auto_detection")),
            via_uboot=bool(raw.get("fastboot_via_uboot")),
            ids=tuple(dict.fromkeys(name for name in (serial, *ids) if name)),
        )

    @property
    def by_place(self) -> bool:
        """Is it named by where it is plugged in, not by its number?"""
        return self.serial.startswith(_PATHS)


class FastbootAction(Action):
    """An action that runs fastboot or adb for the device's board."""

    timeout_error: ClassVar[type[LavaExecError]] = InfrastructureError
    tools: ClassVar[tuple[str, ...]] = ("fastboot",)

    def __init__(self, board: Board) -> None:
        self.board = board

    def needs(self) -> Needs:
        return Needs(
            mounts=frozenset({"cache", "work"}), devices=frozenset({"usb"}), tools=frozenset(self.tools)
        )

    def validate(self, world: World) -> Iterable[Problem]:
        for tool in self.tools:
            if reason := world.tool(tool):
                yield self.problem(reason, error_type="Infrastructure")

    def fastboot(self, run: Run, *words: str | Path, check: bool = True) -> list[str]:
        """Run fastboot on the board; the last lines of what it said. Raises InfrastructureError."""
        serial = run.namespace.fastboot_serial or self.board.serial
        chosen = ["-s", serial] if serial else []
        return call(run, "fastboot", *chosen, *(self.board.options or ()), *words, check=check)

    def adb(self, run: Run, *words: str | Path, check: bool = True) -> list[str]:
        """Run adb on the board; the last lines of what it said. Raises InfrastructureError."""
        chosen = ["-s", self.board.adb_serial] if self.board.adb_serial else []
        return call(run, "adb", *chosen, *words, check=check)


def call(run: Run, *argv: str | Path, check: bool = True) -> list[str]:
    """Run a tool to its end, its output in the log."""
    run.log.info(f"command: {shlex.join(str(word) for word in argv)}")
    done = proc.run(argv, deadline=run.deadline, log=run.log.output, check=check)
    return list(done.lines_tail)


def listed(run: Run, tool: str, state: str) -> list[str]:
    """Serial numbers that `fastboot devices` or `adb devices` shows in `state`."""
    rows = [line.split() for line in call(run, tool, "devices", check=False)]
    return [row[0] for row in rows if len(row) >= 2 and row[1] == state]


def board_problems(action: Action, board: Board) -> Iterable[Problem]:
    """What the device file must say for fastboot at all."""
    if not board.serial and not board.detected:
        yield action.problem(
            "the device file has no fastboot_serial_number",
            hint="`fastboot devices` shows it; fastboot_auto_detection: true does without",
        )
    if board.options is None:
        yield action.problem(
            "the device file has no fastboot_options", hint="an empty list says that there are none"
        )


def no_serial(what: str) -> ConfigurationError:
    """The error for a serial number that is needed now."""
    return ConfigurationError(f"the device file has no {what}")
