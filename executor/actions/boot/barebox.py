# SPDX-License-Identifier: Apache-2.0
"""`method: barebox` (spec: job-format §6, action-pipeline §2)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

from executor.actions.bootloader.attempt import FromReset
from executor.actions.bootloader.overlay import BootloaderOverlay
from executor.actions.bootloader.settings import bootloader
from executor.actions.connect import ConnectDevice
from executor.model.job import BootParameters
from executor.pipeline.action import Action
from executor.pipeline.method import Method, method

if TYPE_CHECKING:
    from executor.pipeline.planner import Request, Site


class BareboxParameters(BootParameters, kw_only=True):
    """`method: barebox`"""


@method("boot")
class Barebox(Method):
    """Stop barebox, type a command set, boot."""

    name = "barebox"
    summary = "commands typed at barebox's prompt"
    Parameters = BareboxParameters

    @classmethod
    def action(cls, request: Request) -> Action:
        return BareboxAction(cast("BareboxParameters", request.typed))


class BareboxAction(Action):
    """The whole boot."""

    name = "barebox-action"
    summary = "boot with barebox"
    description = "boot with commands at the prompt of barebox"

    def __init__(self, parameters: BareboxParameters) -> None:
        self.parameters = parameters

    def plan(self, site: Site) -> Iterable[Action]:
        loader = bootloader(site.device, "barebox", site.job, self.parameters.parameters)
        yield BootloaderOverlay(loader, self.parameters)
        yield ConnectDevice(site.device)
        yield BareboxRetry(loader, self.parameters)


class BareboxRetry(FromReset):
    """From reset to shell, tried again as a whole."""

    name = "barebox-retry"
    description = "reset the device, stop barebox, type the commands, reach the shell"
