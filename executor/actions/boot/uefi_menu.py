# SPDX-License-Identifier: Apache-2.0
"""`method: uefi-menu`: boot by the menus of UEFI firmware (spec: job-format §6, action-pipeline §2)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Literal, cast

from msgspec import Meta

from executor.actions.bootloader.menu import (
    MenuConnect,
    MenuInterrupt,
    MenuReset,
    MenuSelector,
    MenuValues,
    menu_of,
    menu_set,
)
from executor.actions.bootloader.settings import bootloader
from executor.actions.connect import ResetDevice
from executor.actions.deviceenv import ExportDeviceEnv
from executor.actions.shell import AutoLogin
from executor.errors import ConfigurationError
from executor.model.job import BootParameters
from executor.pipeline.action import Action, RetryAction
from executor.pipeline.method import Method, method

if TYPE_CHECKING:
    from executor.pipeline.planner import Request, Site

FASTBOOT = "fastboot"  # a set that is chosen where a fastboot deploy has left the device at the menu


class UefiMenuParameters(BootParameters, kw_only=True):
    """`method: uefi-menu`"""

    line_separator: Annotated[
        Literal["dos", "unix"] | None, Meta(description="how lines end that are typed into the menus")
    ] = None


@method("boot")
class UefiMenu(Method):
    """Walk through the firmware's menus until a kernel starts."""

    name = "uefi-menu"
    summary = "choices in the menus of UEFI firmware"
    Parameters = UefiMenuParameters

    @classmethod
    def action(cls, request: Request) -> Action:
        return UefiMenuAction(cast("UefiMenuParameters", request.typed))


class UefiMenuAction(RetryAction):
    """The whole boot, tried again as a whole."""

    name = "uefi-menu-action"
    summary = "boot by the firmware's menus"
    description = "boot with the menus of UEFI firmware"

    def __init__(self, parameters: UefiMenuParameters) -> None:
        self.parameters = parameters

    def plan(self, site: Site) -> Iterable[Action]:
        given = self.parameters
        if not isinstance(given.commands, str):
            raise ConfigurationError(
                "boot method uefi-menu needs `commands`", "name a menu set of the device"
            )
        loader = bootloader(site.device, "uefi-menu", site.job)
        menu = menu_of(loader.parameters, given.line_separator or "")
        yield MenuValues()
        if given.commands != FASTBOOT:
            yield MenuConnect(site.device, menu.newline)
            if given.reset is not False:
                yield ResetDevice(given.soft_reboot)
        yield MenuInterrupt(menu)
        yield MenuSelector(menu, menu_set(loader.options, given.commands), given.commands)
        yield MenuReset()
        yield AutoLogin(given)
        yield ExportDeviceEnv()
