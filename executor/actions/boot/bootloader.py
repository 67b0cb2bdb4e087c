# SPDX-License-Identifier: Apache-2.0
"""`method: bootloader`: stop at the prompt of a bootloader and type some lines (spec: job-format §6)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, cast

from msgspec import Meta

from executor.actions.bootloader.commands import BootloaderCommands
from executor.actions.bootloader.interrupt import BootloaderInterrupt
from executor.actions.bootloader.overlay import BootloaderOverlay
from executor.actions.bootloader.settings import Bootloader, bootloader
from executor.actions.connect import ConnectDevice, ResetConnection, ResetDevice
from executor.errors import InfrastructureError
from executor.model.job import BootParameters
from executor.model.parameters import Text
from executor.pipeline.action import Action, RetryAction
from executor.pipeline.method import Method, method

if TYPE_CHECKING:
    from executor.pipeline.planner import Request, Site


class PromptParameters(BootParameters, kw_only=True):
    """`method: bootloader`"""

    bootloader: Annotated[Text, Meta(description="boot method of the device whose bootloader this is")]
    reset_connection: Annotated[bool, Meta(description="connect anew first")] = True
    reset_device: Annotated[bool, Meta(description="reset the device first")] = True


@method("boot")
class BootloaderPrompt(Method):
    """Stop at the prompt."""

    name = "bootloader"
    summary = "commands typed at a bootloader that stays at its prompt"
    Parameters = PromptParameters

    @classmethod
    def supported(cls, request: Request) -> str:
        """The device lists the bootloader that the block asks for, not this method."""
        wanted = request.parameters.get("bootloader")
        if wanted is not None and str(wanted) not in request.device.boot_methods:
            return f"the device file has no boot method {wanted!r}"
        return ""

    @classmethod
    def action(cls, request: Request) -> Action:
        return BootBootloaderRetry(cast("PromptParameters", request.typed))


class BootBootloaderRetry(RetryAction):
    """The whole block, tried again as a whole."""

    name = "boot-bootloader-retry"
    summary = "reach a bootloader"
    description = "reach the prompt of a bootloader and type commands there"

    def __init__(self, parameters: PromptParameters) -> None:
        self.parameters = parameters

    def plan(self, site: Site) -> Iterable[Action]:
        loader = bootloader(site.device, self.parameters.bootloader, site.job)
        yield BootloaderOverlay(loader, self.parameters)
        yield BootBootloader(loader, self.parameters)


class BootBootloader(Action):
    """From reset to the prompt."""

    name = "boot-bootloader"
    summary = "reset and run the commands"
    description = "reset the device, stop its bootloader, type the commands"
    timeout_error = InfrastructureError

    def __init__(
        self, loader: Bootloader, parameters: PromptParameters, *, look_seconds: int | None = None
    ) -> None:
        self.loader, self.parameters = loader, parameters
        self.look_seconds = look_seconds  # in which the bootloader must show itself

    def plan(self, site: Site) -> Iterable[Action]:
        if self.parameters.reset_connection:
            yield ResetConnection(site.device)
        else:
            yield ConnectDevice(site.device)
        if self.parameters.reset_device:
            yield ResetDevice(self.parameters.soft_reboot)
        interrupt = BootloaderInterrupt(self.loader)
        interrupt.longest = self.look_seconds
        yield interrupt
        yield BootloaderCommands(self.loader, stays=True)
