# SPDX-License-Identifier: Apache-2.0
"""`method: ipxe` (spec: job-format §6, action-pipeline §2)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

from executor.actions.bootloader.attempt import FromReset
from executor.actions.bootloader.overlay import BootloaderOverlay
from executor.actions.bootloader.script import IPXE
from executor.actions.bootloader.settings import bootloader
from executor.actions.connect import ConnectDevice
from executor.model.job import BootParameters
from executor.pipeline.action import Action
from executor.pipeline.method import Method, method

if TYPE_CHECKING:
    from executor.pipeline.planner import Request, Site


class IpxeParameters(BootParameters, kw_only=True):
    """`method: ipxe`"""


@method("boot")
class Ipxe(Method):
    """Reach iPXE's command line, type a command set or load it as a script, boot."""

    name = "ipxe"
    summary = "commands typed at iPXE's prompt"
    Parameters = IpxeParameters

    @classmethod
    def action(cls, request: Request) -> Action:
        return IpxeAction(cast("IpxeParameters", request.typed))


class IpxeAction(Action):
    """The whole boot."""

    name = "bootloader-action"
    summary = "boot with iPXE"
    description = "boot with commands at the prompt of iPXE"

    def __init__(self, parameters: IpxeParameters) -> None:
        self.parameters = parameters

    def plan(self, site: Site) -> Iterable[Action]:
        loader = bootloader(site.device, "ipxe", site.job, self.parameters.parameters)
        scripted = self.parameters.use_bootscript or loader.flag("use_bootscript")
        yield BootloaderOverlay(loader, self.parameters, script=IPXE if scripted else None)
        yield ConnectDevice(site.device)
        yield IpxeRetry(loader, self.parameters)


class IpxeRetry(FromReset):
    """From reset to shell, tried again as a whole."""

    name = "bootloader-retry"
    description = "reset the device, stop iPXE, type the commands, reach the shell"
