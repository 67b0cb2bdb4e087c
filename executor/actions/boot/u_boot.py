# SPDX-License-Identifier: Apache-2.0
"""`method: u-boot` (spec: job-format §6, action-pipeline §2)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Literal, cast

from msgspec import Meta

from executor.actions.bootloader.commands import AltbankCommands, BootloaderCommands
from executor.actions.bootloader.interrupt import BootloaderInterrupt
from executor.actions.bootloader.media import MediaParameters, UBootFromMedia
from executor.actions.bootloader.overlay import BootloaderOverlay
from executor.actions.bootloader.settings import Bootloader, bootloader
from executor.actions.bootloader.ums import FlashUms
from executor.actions.connect import ConnectDevice, ResetDevice
from executor.actions.shell import shell_tail
from executor.actions.usb import WaitDevicePath
from executor.errors import InfrastructureError
from executor.pipeline.action import Action, RetryAction
from executor.pipeline.method import Method, method

if TYPE_CHECKING:
    from executor.pipeline.planner import Request, Site


class UBootParameters(MediaParameters, kw_only=True):
    """`method: u-boot`"""

    type: Annotated[
        Literal["bootz", "bootm", "booti"] | None,
        Meta(description="old: the command that starts the kernel; today the deploy block tells its type"),
    ] = None


@method("boot")
class UBoot(Method):
    """Stop U-Boot, type a command set, boot."""

    name = "u-boot"
    summary = "commands typed at U-Boot's prompt"
    Parameters = UBootParameters

    @classmethod
    def action(cls, request: Request) -> Action:
        return UBootAction(cast("UBootParameters", request.typed))


class UBootAction(RetryAction):
    """The whole boot, tried again as a whole."""

    name = "uboot-action"
    summary = "boot with U-Boot"
    description = "boot with commands at the prompt of U-Boot"

    def __init__(self, parameters: UBootParameters) -> None:
        self.parameters = parameters

    def plan(self, site: Site) -> Iterable[Action]:
        loader = bootloader(site.device, "u-boot", site.job, self.parameters.parameters)
        yield UBootFromMedia(self.parameters)
        yield BootloaderOverlay(loader, self.parameters)
        yield ConnectDevice(site.device)
        yield UBootCommands(loader, self.parameters)


class UBootCommands(Action):
    """From reset to shell."""

    name = "uboot-commands"
    summary = "reset and run the commands"
    description = "reset the device, stop U-Boot, type the commands, reach the shell"
    timeout_error = InfrastructureError

    def __init__(self, loader: Bootloader, parameters: UBootParameters) -> None:
        self.loader, self.parameters = loader, parameters

    def plan(self, site: Site) -> Iterable[Action]:
        loader, ums = self.loader, self.loader.flag("uboot_ums_flash")
        if self.parameters.reset is not False:
            yield ResetDevice(self.parameters.soft_reboot)
        yield BootloaderInterrupt(loader)
        if loader.flag("uboot_altbank"):
            yield AltbankCommands(loader)
            yield BootloaderInterrupt(loader)
        yield BootloaderCommands(loader, hands_over=ums)
        if ums:
            path = loader.text("uboot_mass_storage_device")
            yield WaitDevicePath(site.device, path)
            yield FlashUms(path)
            yield ResetDevice(self.parameters.soft_reboot)
        yield from shell_tail(site, self.parameters)
