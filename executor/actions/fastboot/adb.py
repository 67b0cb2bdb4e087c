# SPDX-License-Identifier: Apache-2.0
"""A board without a power switch and console: its shell and the tests' overlay come over adb."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from executor.actions.connect import close_console, open_console
from executor.actions.fastboot.tools import Board, FastbootAction, no_serial
from executor.actions.shell import prompts_of
from executor.model.device import Connection

if TYPE_CHECKING:
    from executor.model.job import BootParameters
    from executor.pipeline.run import Run

_PLACE = "/data/local/tmp"  # where Android lets adb write


class ConnectAdb(FastbootAction):
    """Wait for the system, then take its shell as the console."""

    name = "connect-adb"
    summary = "connect by adb"
    description = "wait until adb reaches the board, then open a shell on it"
    tools = ("adb",)
    restarts_device = True

    def __init__(self, board: Board, parameters: BootParameters) -> None:
        super().__init__(board)
        self.parameters = parameters

    def run(self, run: Run) -> None:
        if not self.board.adb_serial:
            raise no_serial("adb_serial_number")
        self.adb(run, "wait-for-device")
        close_console(run)
        connection = run.connection
        line = shlex.join(["adb", "-s", self.board.adb_serial, "shell"])
        connection.console = open_console(run, Connection("adb", line, ["shell"]))
        connection.prompts = prompts_of(self.parameters, run.context.device, run.context.job)


class AdbOverlayUnpack(FastbootAction):
    """The overlay, and the archive with the job's secrets, to where they belong."""

    name = "adb-overlay-unpack"
    summary = "unpack the overlay by adb"
    description = "push the overlay to the board and unpack it there"
    tools = ("adb",)

    def run(self, run: Run) -> None:
        namespace = run.namespace
        for archive in (namespace.overlay, namespace.overlay_secrets):
            if archive is None:
                continue
            there = f"{_PLACE}/{archive.name}"
            self.adb(run, "push", archive, there)
            self.adb(run, "shell", "tar", "-C", "/", "-xzf", there)
            self.adb(run, "shell", "rm", "-f", there)
