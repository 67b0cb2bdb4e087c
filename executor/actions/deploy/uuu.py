# SPDX-License-Identifier: Apache-2.0
"""`to: uuu`: images that boot `uuu` gives to an i.MX board (spec: job-format §5)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, cast

from msgspec import Meta

from executor.actions.deviceenv import DeployDeviceEnv
from executor.actions.download import DownloadRetry
from executor.actions.overlay import LavaOverlay
from executor.actions.overlayimage import ApplyOverlayImage
from executor.model.job import DeployParameters, Resource
from executor.model.problem import Path, Problem
from executor.pipeline.action import Action
from executor.pipeline.method import Method, method

if TYPE_CHECKING:
    from executor.pipeline.planner import Request, Site
    from executor.pipeline.run import Run

BOOT = "boot"  # label of the bootloader, which every board needs first


class UuuParameters(DeployParameters, kw_only=True):
    """`to: uuu`"""

    images: Annotated[
        dict[str, Resource],
        Meta(min_length=1, description="`boot`, and others; `{label}` in the commands of boot `uuu`"),
    ]

    @staticmethod
    def rules(data: dict[str, Any], path: Path) -> Iterator[Problem]:
        yield from DeployParameters.rules(data, path)
        if BOOT not in data["images"]:
            yield Problem(
                "images has no boot", path=(*path, "images"), expected="boot: the bootloader that is loaded"
            )


@method("deploy")
class Uuu(Method):
    """Images for an i.MX board."""

    name = "uuu"
    summary = "images for NXP's uuu"
    Parameters = UuuParameters

    @classmethod
    def supported(cls, request: Request) -> str:
        """The device lists it as a boot method."""
        if cls.name not in request.device.boot_methods:
            return "the device file has no boot method 'uuu'"
        return ""

    @classmethod
    def action(cls, request: Request) -> Action:
        return UuuDeploy(cast("UuuParameters", request.typed))


class UuuDeploy(Action):
    """Download; the overlay goes into the images that name a root partition."""

    name = "uuu-deploy"
    summary = "deploy for uuu"
    description = "download the images that uuu gives to the board"

    def __init__(self, parameters: UuuParameters) -> None:
        self.parameters = parameters

    def plan(self, site: Site) -> Iterable[Action]:
        tested = site.needs_overlay
        if tested:
            yield LavaOverlay(self.parameters.os)
        for label, resource in self.parameters.images.items():
            yield DownloadRetry(label, resource, ("images", label))
            if tested and (resource.apply_overlay or resource.root_partition is not None):
                yield ApplyOverlayImage(label, resource)
        if tested:
            yield DeployDeviceEnv()

    def run(self, run: Run) -> None:
        run.namespace.deploy_anew()
