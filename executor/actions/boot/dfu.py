# SPDX-License-Identifier: Apache-2.0
"""`method: dfu`: flash over USB's Device Firmware Upgrade (spec: job-format §6).

`implementation: u-boot` of the device file: U-Boot's own `dfu` command is the other side, which has to be
started at its prompt, says on the console what it has taken, and is ended by Ctrl-C. Otherwise the boot ROM
of the chip is, which is there after a reset.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from executor.actions.bootloader.commands import BootloaderCommands
from executor.actions.bootloader.interrupt import BootloaderInterrupt
from executor.actions.bootloader.settings import Bootloader, bootloader
from executor.actions.connect import ConnectDevice, ResetDevice
from executor.actions.hosttool import (
    HostTool,
    expand_line,
    lines_of,
    method_options,
    named_images,
    option_words,
    placeholders,
)
from executor.actions.usb import WaitForNode, find_bus, identity
from executor.errors import JobError
from executor.model.job import BootParameters
from executor.model.problem import Problem
from executor.pipeline.action import Action, RetryAction
from executor.pipeline.method import Method, method

if TYPE_CHECKING:
    from executor.model.device import Device
    from executor.model.job import Job
    from executor.pipeline.context import Artifact
    from executor.pipeline.planner import Request, Site
    from executor.pipeline.run import Run
    from executor.pipeline.world import World

U_BOOT = "u-boot"


class DfuParameters(BootParameters, kw_only=True):
    """`method: dfu`"""


@method("boot")
class Dfu(Method):
    """Flash over Device Firmware Upgrade."""

    name = "dfu"
    summary = "flash over USB's Device Firmware Upgrade"
    Parameters = DfuParameters

    @classmethod
    def action(cls, request: Request) -> Action:
        return BootDfuRetry(request.device)


class BootDfuRetry(RetryAction):
    """Reset, into DFU, flash."""

    name = "boot-dfu-retry"
    summary = "boot an image with DFU"
    description = "bring the board into DFU mode and flash the images, with retry"

    def __init__(self, device: Device) -> None:
        self.device = device

    def plan(self, site: Site) -> Iterable[Action]:
        device = self.device
        loader = _loader(device, site.job)
        if device.primary is not None:
            yield ConnectDevice(device)
        yield ResetDevice()
        if loader is not None:
            yield BootloaderInterrupt(loader)
            yield EnterDfu(loader, device)
        yield WaitDfuDevice(device)
        yield FlashDfu(loader, device)


def _loader(device: Device, job: Job) -> Bootloader | None:
    """The bootloader that is the other side, None where the chip itself is."""
    if method_options(device, "boot", "dfu").get("implementation") != U_BOOT:
        return None
    return bootloader(device, U_BOOT, job)


class EnterDfu(BootloaderCommands):
    """The device's commands at U-Boot's prompt; the last one does not come back to it."""

    name = "enter-dfu"
    summary = "enter DFU mode"
    description = "type the device's commands that enter DFU mode"
    default_timeout = None

    def __init__(self, loader: Bootloader, device: Device) -> None:
        super().__init__(loader, hands_over=True)
        options = method_options(device, "boot", "dfu", "parameters")
        self.lines = lines_of(options.get("enter-commands"))

    def validate(self, world: World) -> Iterable[Problem]:
        for fault in self.bootloader.faults():
            yield self.problem(fault, error_type="Configuration")
        if not self.lines:
            text = "the device file has no enter-commands for dfu"
            yield self.problem(text, hint="U-Boot's commands, such as `dfu 0 mmc 0`")

    def run(self, run: Run) -> None:
        run.namespace.bootloader_commands = list(self.lines)
        super().run(run)
        run.results["commands"] = len(self.lines)


class WaitDfuDevice(WaitForNode):
    """The board in DFU mode."""

    name = "wait-dfu-device"
    summary = "wait for DFU mode"
    description = "wait until the board is on the USB bus in DFU mode"

    def validate(self, world: World) -> Iterable[Problem]:
        wanted = identity(self.device)
        for key, value in (
            ("board_id", wanted.board_id),
            ("usb_vendor_id", wanted.vendor),
            ("usb_product_id", wanted.product),
        ):
            if not value:
                yield self.problem(
                    f"the device file has no {key}", hint="`dfu-util --list` shows what the board says"
                )

    def look(self, dev: Path) -> Path | None:
        return find_bus(dev, identity(self.device))

    def wanted(self) -> str:
        return f"DFU mode of {identity(self.device)}"


class FlashDfu(HostTool):
    """One run of dfu-util for each image, in the order of the deploy block."""

    name = "flash-dfu"
    summary = "flash with DFU"
    description = "run dfu-util for each image"
    restarts_device = True

    def __init__(self, loader: Bootloader | None, device: Device) -> None:
        self.loader, self.device = loader, device
        self.options = method_options(device, "boot", "dfu", "parameters")
        self.reset = method_options(device, "boot", "dfu").get("reset_works") is True

    def program(self) -> str:
        return str(self.options.get("command") or "dfu-util")

    def run(self, run: Run) -> None:
        artifacts = list(run.namespace.artifacts.values())
        if not artifacts:
            raise JobError("there is no image to flash", "a deploy block must come before this block")
        images = named_images(run)
        for artifact in artifacts:
            last = artifact is artifacts[-1]
            self.call(run, self.command_line(artifact, images, reset=last and self.reset))
            if self.loader is not None:
                self._taken(run, artifact)
            run.results[artifact.label] = images[artifact.label].name
        if self.loader is not None and not self.reset:
            run.console.send_control("c")
            run.console.expect(self.loader.prompt, run.operation)

    def command_line(self, artifact: Artifact, images: dict[str, Path], *, reset: bool) -> list[str]:
        """The board, then what the image says of itself: by default, its label is the place it goes to."""
        board, values = identity(self.device), placeholders(images)
        if artifact.image_arg:
            words = expand_line(artifact.image_arg, values, "image_arg")
        else:
            words = ["--alt", artifact.label, "--download", values[artifact.label]]
        return [
            self.program(),
            *option_words(self.options.get("options"), "dfu.options"),
            *("--serial", board.board_id, "--device", f"{board.vendor}:{board.product}"),
            *words,
            *(["--reset"] if reset else []),
        ]

    def _taken(self, run: Run, artifact: Artifact) -> None:
        """U-Boot says when it has written the last block."""
        device, context = run.context.device, run.context.job.context
        wanted = str(device.constant("dfu-download", prefix=U_BOOT, context=context))
        run.tell_wait([wanted], run.operation)
        run.console.expect(wanted, run.operation)
        run.log.debug(f"{artifact.label}: U-Boot has taken it")
