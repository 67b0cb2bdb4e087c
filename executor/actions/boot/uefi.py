# SPDX-License-Identifier: Apache-2.0
"""`method: uefi`: commands for the UEFI shell (spec: job-format §6, action-pipeline §2)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, cast

from msgspec import Meta

from executor.actions.bootloader.commands import BootloaderCommands
from executor.actions.bootloader.interrupt import BootloaderInterrupt
from executor.actions.bootloader.menu import (
    MenuConnect,
    ShellMenuInterrupt,
    ShellMenuSelector,
    menu_of,
    menu_set,
)
from executor.actions.bootloader.overlay import BootloaderOverlay
from executor.actions.bootloader.settings import ESCAPE, Bootloader, bootloader
from executor.actions.connect import ResetDevice
from executor.actions.shell import shell_tail
from executor.model.job import BootParameters
from executor.pipeline.action import Action, RetryAction
from executor.pipeline.method import Method, method

if TYPE_CHECKING:
    from executor.pipeline.planner import Request, Site


class UefiParameters(BootParameters, kw_only=True):
    """`method: uefi`"""

    shell_menu: Annotated[
        str | None, Meta(description="menu set that leads to the shell; empty where it comes by itself")
    ] = None


@method("boot")
class Uefi(Method):
    """Reach the UEFI shell, type a command set, boot."""

    name = "uefi"
    summary = "commands typed at the UEFI shell"
    Parameters = UefiParameters

    @classmethod
    def action(cls, request: Request) -> Action:
        return UefiShellMain(cast("UefiParameters", request.typed))


class UefiShellMain(RetryAction):
    """The whole boot, tried again as a whole."""

    name = "uefi-shell-main-action"
    summary = "boot from the UEFI shell"
    description = "boot with commands in the UEFI shell"

    def __init__(self, parameters: UefiParameters) -> None:
        self.parameters = parameters

    def plan(self, site: Site) -> Iterable[Action]:
        given = self.parameters
        loader = bootloader(site.device, "uefi", site.job, given.parameters)
        menu = menu_of(loader.parameters)
        name = given.shell_menu if given.shell_menu is not None else loader.text("shell_menu")
        yield BootloaderOverlay(loader, given)
        yield MenuConnect(site.device, menu.newline)
        if given.reset is not False:
            yield ResetDevice(given.soft_reboot)
        if name:
            yield ShellMenuInterrupt(menu)
            yield ShellMenuSelector(
                menu, menu_set(loader.options, name), name, loader.text("menu_boot_message")
            )
        shell = shell_of(loader)
        yield ShellInterrupt(shell)
        yield BootloaderCommands(shell)
        yield from shell_tail(site, given)


class ShellInterrupt(BootloaderInterrupt):
    """Stop the shell's own countdown; ends at its prompt."""

    name = "uefi-shell-interrupt"
    summary = "interrupt the UEFI shell"
    description = "stop the countdown of the UEFI shell and see its prompt"


def shell_of(loader: Bootloader) -> Bootloader:
    """The shell's part of the firmware's dialogue."""
    prompt = loader.text("shell_interrupt_prompt")
    return replace(
        loader,
        interrupt_prompt=prompt,
        interrupt=loader.text("shell_interrupt_string") or " ",
        interrupt_controls=(),
        interrupt_newline=False,
        needs_interrupt=bool(prompt),
        erase=ESCAPE,
    )
