# SPDX-License-Identifier: Apache-2.0
"""`to: u-boot-ums`: an image that U-Boot's mass storage mode will take (spec: job-format §5).

Only prepared here; boot `u-boot` with the command set `ums` writes it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, cast

from msgspec import Meta

from executor.actions.deviceenv import DeployDeviceEnv
from executor.actions.download import DownloadRetry
from executor.actions.overlay import LavaOverlay
from executor.actions.overlayimage import ApplyOverlayImage
from executor.model.job import DeployParameters, Resource
from executor.pipeline.action import Action
from executor.pipeline.method import Method, method

if TYPE_CHECKING:
    from executor.pipeline.planner import Request, Site
    from executor.pipeline.run import Run

IMAGE = "image"


class UBootUmsParameters(DeployParameters, kw_only=True):
    """`to: u-boot-ums`"""

    image: Annotated[Resource, Meta(description="the disk image; root_partition receives the overlay")]


@method("deploy")
class UBootUms(Method):
    """An image for U-Boot's mass storage mode."""

    name = "u-boot-ums"
    summary = "an image that U-Boot's mass storage mode takes"
    Parameters = UBootUmsParameters

    @classmethod
    def action(cls, request: Request) -> Action:
        return UBootUmsDeploy(cast("UBootUmsParameters", request.typed))


class UBootUmsDeploy(Action):
    """Download, and the overlay into it."""

    name = "uboot-ums-deploy"
    summary = "deploy for U-Boot's mass storage"
    description = "download the image and put the overlay into it"

    def __init__(self, parameters: UBootUmsParameters) -> None:
        self.parameters = parameters

    def plan(self, site: Site) -> Iterable[Action]:
        image = self.parameters.image
        yield DownloadRetry(IMAGE, image)
        if site.needs_overlay:
            yield LavaOverlay(self.parameters.os)
            yield ApplyOverlayImage(IMAGE, image)
            yield DeployDeviceEnv()

    def run(self, run: Run) -> None:
        run.namespace.deploy_anew()
