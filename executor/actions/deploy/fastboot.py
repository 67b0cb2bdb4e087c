# SPDX-License-Identifier: Apache-2.0
"""`to: fastboot`: images into the partitions of a board (spec: job-format §5)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any, cast

from msgspec import Meta

from executor.actions.deviceenv import DeployDeviceEnv
from executor.actions.download import DownloadRetry
from executor.actions.fastboot.enter import DetectFastbootDevice, enter_fastboot
from executor.actions.fastboot.flash import FlashOrder
from executor.actions.fastboot.overlay import ApplyOverlaySparseImage
from executor.actions.fastboot.tools import Board, board_problems
from executor.actions.overlay import LavaOverlay
from executor.actions.overlayimage import ApplyOverlayImage
from executor.errors import InfrastructureError
from executor.model.job import DeployParameters, Resource
from executor.pipeline.action import Action
from executor.pipeline.method import Method, method

if TYPE_CHECKING:
    from executor.model.device import Device
    from executor.model.problem import Problem
    from executor.pipeline.planner import Request, Site
    from executor.pipeline.run import Run
    from executor.pipeline.world import World

UNUSED_DOCKER = "fastboot runs in the job's own container, `docker` is not used"


class FastbootParameters(DeployParameters, kw_only=True):
    """`to: fastboot`"""

    images: Annotated[dict[str, Resource], Meta(min_length=1, description="partition → image")]
    docker: Annotated[
        dict[str, Any] | None,
        Meta(description="old: an image that brings fastboot; the job's own image has it"),
    ] = None


@method("deploy")
class Fastboot(Method):
    """Flash a board by fastboot."""

    name = "fastboot"
    summary = "partitions of a board, by fastboot"
    Parameters = FastbootParameters

    @classmethod
    def action(cls, request: Request) -> Action:
        return FastbootDeploy(cast("FastbootParameters", request.typed), request.device)


class FastbootDeploy(Action):
    """Download, enter fastboot, flash.

    What other deployments of the namespace have brought stays: a board may get its kernel by fastboot and its
    root file system over the network.
    """

    name = "fastboot-deploy"
    summary = "deploy by fastboot"
    description = "download images and flash them by fastboot"
    timeout_error = InfrastructureError

    def __init__(self, parameters: FastbootParameters, device: Device) -> None:
        self.parameters, self.device, self.board = parameters, device, Board.of(device)

    def plan(self, site: Site) -> Iterable[Action]:
        tested = site.needs_overlay
        if tested:
            yield LavaOverlay(self.parameters.os)
        for label, resource in self.parameters.images.items():
            yield DownloadRetry(label, resource, ("images", label))
            if tested and resource.apply_overlay:
                kind = ApplyOverlayImage if resource.sparse is False else ApplyOverlaySparseImage
                yield kind(label, resource)
            if site.needs_shell:
                yield DeployDeviceEnv()
        yield from enter_fastboot(site, self.board)
        if self.board.detected:
            yield DetectFastbootDevice(self.board)
        yield FlashOrder(self.parameters.images, self.device)

    def validate(self, world: World) -> Iterable[Problem]:
        yield from board_problems(self, self.board)
        if self.parameters.docker is not None:
            yield self.problem(UNUSED_DOCKER, "docker", severity="warning")

    def run(self, run: Run) -> None:
        run.namespace.overlay = run.namespace.overlay_secrets = None
        run.namespace.overlay_applied = False
