# SPDX-License-Identifier: Apache-2.0
"""`method: pyocd`: flash with pyOCD (spec: job-format §6).

`pyocd load` of today and `pyocd-flashtool` of old differ in how they name the probe and in the word `load`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from executor.actions.connect import ConnectDevice
from executor.actions.hosttool import HostTool, method_options, named_images, option_words
from executor.actions.usb import WaitDeviceBoardID, fresh_start, identity, needs_board_id
from executor.errors import JobError
from executor.model.job import BootParameters
from executor.model.problem import Problem
from executor.pipeline.action import Action, RetryAction
from executor.pipeline.method import Method, method

if TYPE_CHECKING:
    from executor.model.device import Device
    from executor.pipeline.planner import Request, Site
    from executor.pipeline.run import Run
    from executor.pipeline.world import World

_OLD = "pyocd-flashtool"
_VERBS = ("load", "flash")


class PyocdParameters(BootParameters, kw_only=True):
    """`method: pyocd`"""


@method("boot")
class Pyocd(Method):
    """Flash with pyOCD."""

    name = "pyocd"
    summary = "flash with pyOCD"
    Parameters = PyocdParameters

    @classmethod
    def action(cls, request: Request) -> Action:
        return BootPyocdRetry(request.device)


class BootPyocdRetry(RetryAction):
    """The whole, tried again. It has the name of what it holds: jobs of the field address both by it."""

    name = "boot-pyocd-image"
    summary = "boot an image with pyOCD, with retry"
    description = "flash the image with pyOCD, with retry"

    def __init__(self, device: Device) -> None:
        self.device = device

    def plan(self, site: Site) -> Iterable[Action]:
        yield BootPyocd(self.device)


class BootPyocd(RetryAction):
    """A fresh start where there is a power switch, flash, then the console.

    `connect_before_flash` of the device has the console open before, for boards whose serial port does not
    go away.
    """

    name = "boot-pyocd-image"
    summary = "boot an image with pyOCD"
    description = "flash the image with pyOCD and connect"

    def __init__(self, device: Device) -> None:
        self.device = device

    def plan(self, site: Site) -> Iterable[Action]:
        early = method_options(self.device, "boot", "pyocd", "parameters").get("connect_before_flash")
        yield from fresh_start(site, WaitDeviceBoardID(self.device))
        if early:
            yield ConnectDevice(self.device)
        yield FlashPyocd(self.device)
        if not early:
            yield ConnectDevice(self.device)


class FlashPyocd(HostTool):
    """One run of the program for each image."""

    name = "flash-pyocd"
    summary = "flash with pyOCD"
    description = "run pyOCD for each image"
    restarts_device = True

    def __init__(self, device: Device) -> None:
        self.device = device
        self.options = method_options(device, "boot", "pyocd", "parameters")

    def program(self) -> str:
        return str(self.options.get("command") or "pyocd")

    def validate(self, world: World) -> Iterable[Problem]:
        yield from super().validate(world)
        yield from needs_board_id(self, self.device)

    def run(self, run: Run) -> None:
        images = named_images(run)
        if not images:
            raise JobError("there is no image to flash", "a deploy block must come before this block")
        for label, image in images.items():
            self.call(run, self.command_line(image))
            run.results[label] = image.name

    def command_line(self, image: Path) -> list[str]:
        """The program with the device's options, the probe and the image."""
        words = option_words(self.options.get("options"), "pyocd.options")
        old = PurePath(self.program()).name == _OLD
        verb = [] if old or set(words) & set(_VERBS) else ["load"]
        board = identity(self.device).board_id
        return [self.program(), *verb, *words, "-b" if old else "-u", board, str(image)]
