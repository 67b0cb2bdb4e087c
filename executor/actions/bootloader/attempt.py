# SPDX-License-Identifier: Apache-2.0
"""One attempt at a boot through the prompt of a bootloader, for methods that begin again with the reset."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from executor.actions.bootloader.commands import BootloaderCommands
from executor.actions.bootloader.interrupt import BootloaderInterrupt
from executor.actions.connect import ResetDevice
from executor.actions.shell import shell_tail
from executor.errors import InfrastructureError, LavaExecError
from executor.pipeline.action import Action, RetryAction

if TYPE_CHECKING:
    from executor.actions.bootloader.settings import Bootloader
    from executor.model.job import BootParameters
    from executor.pipeline.planner import Site


class FromReset(RetryAction):
    """From reset to shell, tried again as a whole."""

    summary = "reset and run the commands"
    timeout_error: ClassVar[type[LavaExecError]] = InfrastructureError

    def __init__(self, loader: Bootloader, parameters: BootParameters) -> None:
        self.loader, self.parameters = loader, parameters

    def plan(self, site: Site) -> Iterable[Action]:
        if self.parameters.reset is not False:
            yield ResetDevice(self.parameters.soft_reboot)
        yield BootloaderInterrupt(self.loader)
        yield BootloaderCommands(self.loader)
        yield from shell_tail(site, self.parameters)
