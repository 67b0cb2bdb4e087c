# SPDX-License-Identifier: Apache-2.0
"""`method: openocd`: flash with OpenOCD (spec: job-format §6).

The device file has the whole command line in parts; `{BINARY}` and `{LABEL}` in its commands are images.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from executor.actions.connect import ConnectDevice
from executor.actions.hosttool import (
    HostTool,
    expand,
    lines_of,
    method_options,
    named_images,
    placeholders,
)
from executor.actions.usb import WaitDeviceBoardID, fresh_start, identity
from executor.errors import JobError
from executor.model.job import BootParameters
from executor.pipeline.action import Action, RetryAction
from executor.pipeline.method import Method, method

if TYPE_CHECKING:
    from executor.model.device import Device
    from executor.pipeline.planner import Request, Site
    from executor.pipeline.run import Run

SCRIPT = "openocd_script"  # label of an image that is a configuration file in place of the device's


class OpenocdParameters(BootParameters, kw_only=True):
    """`method: openocd`"""


@method("boot")
class Openocd(Method):
    """Flash with OpenOCD."""

    name = "openocd"
    summary = "flash with OpenOCD"
    Parameters = OpenocdParameters

    @classmethod
    def action(cls, request: Request) -> Action:
        return BootOpenocd(request.device)


class BootOpenocd(RetryAction):
    """A fresh start where there is a power switch, then flash with the console open."""

    name = "boot-openocd-image"
    summary = "boot an image with OpenOCD"
    description = "flash the image with OpenOCD and let it run"

    def __init__(self, device: Device) -> None:
        self.device = device

    def plan(self, site: Site) -> Iterable[Action]:
        if identity(self.device).board_id:
            yield from fresh_start(site, WaitDeviceBoardID(self.device))
        yield ConnectDevice(self.device)
        yield FlashOpenocd(self.device)


class FlashOpenocd(HostTool):
    """One run of the program with the device's commands, the last of which ends it."""

    name = "flash-openocd"
    summary = "flash with OpenOCD"
    description = "run OpenOCD with the device's commands"
    restarts_device = True

    def __init__(self, device: Device) -> None:
        self.device = device
        self.parameters = method_options(device, "boot", "openocd", "parameters")
        self.options = method_options(device, "boot", "openocd", "parameters", "options")
        whole = method_options(device, "boot", "openocd")
        self.selection = lines_of(whole.get("board_selection_cmd"))

    def program(self) -> str:
        return str(self.parameters.get("command") or "openocd")

    def run(self, run: Run) -> None:
        self.call(run, self.command_line(named_images(run)))

    def command_line(self, images: dict[str, Path]) -> list[str]:
        """Configuration files, then what chooses the board, then the commands. Raises JobError."""
        script = images.get(SCRIPT)
        values = placeholders(images, {"BINARY": str(self._binary(images))})
        words = [self.program()]
        if isinstance(level := self.options.get("debug"), int):
            words.append(f"-d{level}")
        for directory in lines_of(self.options.get("search")):
            words += ["-s", directory]
        for file in [str(script)] if script else lines_of(self.options.get("file")):
            words += ["-f", file]
        for line in [*self.selection, *lines_of(self.options.get("command"))]:
            words += ["-c", expand(line, values, strict=False)]
        return words

    def _binary(self, images: dict[str, Path]) -> Path:
        """The image to flash: the one called so, else the only one that is no script."""
        others = [path for label, path in images.items() if label != SCRIPT]
        named = images.get("binary")
        if named is None and len(others) != 1:
            raise JobError(
                f"{len(others)} images, and none is called 'binary'", "name the one that is flashed 'binary'"
            )
        return named or others[0]
