# SPDX-License-Identifier: Apache-2.0
"""`to: docker`: the image of a container that is the device (spec: job-format §5)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, cast

from msgspec import Meta

from executor.actions.containers import ContainerAction, ImageName, NamedImage
from executor.actions.deviceenv import DeployDeviceEnv
from executor.actions.overlay import LavaOverlay
from executor.model.job import DeployParameters
from executor.pipeline.method import Method, method

if TYPE_CHECKING:
    from executor.pipeline.action import Action
    from executor.pipeline.planner import Request, Site


class DockerParameters(DeployParameters, kw_only=True):
    """`to: docker`"""

    image: Annotated[ImageName | NamedImage, Meta(description="image, with its tag")]


@method("deploy")
class Docker(Method):
    """The image of a container that is booted later."""

    name = "docker"
    summary = "the image of a container"
    Parameters = DockerParameters

    @classmethod
    def action(cls, request: Request) -> Action:
        return DeployDocker(cast("DockerParameters", request.typed))


class DeployDocker(ContainerAction):
    """Pull the image, make what its tests need."""

    name = "deploy-docker"
    summary = "deploy a container's image"
    description = "get the image and make the overlay"

    def __init__(self, parameters: DockerParameters) -> None:
        self.parameters = parameters

    def plan(self, site: Site) -> Iterable[Action]:
        if site.needs_overlay:
            yield DeployDeviceEnv()
            yield LavaOverlay(self.parameters.os, compress=False)
