# SPDX-License-Identifier: Apache-2.0
"""`to: download`: the older form of `to: downloads`, which also resets the device or brings it into fastboot
(spec: job-format §5).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, cast

from msgspec import Meta

from executor.actions.connect import ConnectDevice, ResetDevice
from executor.actions.deploy.downloads import NamedDownload, system
from executor.actions.fastboot.enter import EnterFastboot
from executor.actions.fastboot.tools import Board
from executor.actions.overlay import LavaOverlay
from executor.model.job import DeployParameters, Resource
from executor.pipeline.action import Action
from executor.pipeline.method import Method, method

if TYPE_CHECKING:
    from executor.model.device import Device
    from executor.pipeline.planner import Request, Site


class DownloadParameters(DeployParameters, kw_only=True):
    """`to: download`"""

    images: Annotated[dict[str, Resource], Meta(min_length=1, description="label → file")]


@method("deploy")
class Download(Method):
    """Files, and a device that is reset or in fastboot."""

    name = "download"
    summary = "files for later blocks, and a reset of the device"
    Parameters = DownloadParameters

    @classmethod
    def supported(cls, request: Request) -> str:
        """Every device has it."""
        return ""

    @classmethod
    def action(cls, request: Request) -> Action:
        return DownloadDeploy(cast("DownloadParameters", request.typed), request.device)


class DownloadDeploy(Action):
    """Reset or enter fastboot, where the device can; then download."""

    name = "download-deploy"
    summary = "download files with the device ready"
    description = "reset the device or bring it into fastboot, and download files"

    def __init__(self, parameters: DownloadParameters, device: Device) -> None:
        self.parameters, self.device, self.board = parameters, device, Board.of(device)

    def plan(self, site: Site) -> Iterable[Action]:
        if self.device.command("hard_reset"):
            yield ConnectDevice(self.device)
            yield ResetDevice()
        elif self.board.adb_serial:
            yield EnterFastboot(self.board)
        for label, resource in self.parameters.images.items():
            yield NamedDownload(label, resource, uniquify=False)
        if site.needs_overlay:
            yield LavaOverlay(system(site, self.parameters.os))
