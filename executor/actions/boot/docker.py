# SPDX-License-Identifier: Apache-2.0
"""`method: docker`: a container from the image of `to: docker`, whose shell is the console (spec: job-format
§6).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, cast

import msgspec
from msgspec import Meta

from executor.actions.containers import ContainerAction
from executor.actions.deviceenv import ExportDeviceEnv
from executor.actions.shell import ExpectShell
from executor.model.job import BootParameters
from executor.model.parameters import Text
from executor.pipeline.action import RetryAction
from executor.pipeline.method import Method, method

if TYPE_CHECKING:
    from executor.pipeline.action import Action
    from executor.pipeline.planner import Request, Site


class DockerParameters(BootParameters, kw_only=True):
    """`method: docker`"""

    command: Annotated[Text, Meta(description="what runs in the container, such as bash")]
    downloads_namespace: Annotated[
        Text | None, Meta(description="namespace whose downloads are at /lava-downloads")
    ] = msgspec.field(default=None, name="downloads-namespace")


@method("boot")
class Docker(Method):
    """Start a container, its shell is the device."""

    name = "docker"
    summary = "a container as the device"
    Parameters = DockerParameters

    @classmethod
    def action(cls, request: Request) -> Action:
        return BootDocker(cast("DockerParameters", request.typed))


class BootDocker(RetryAction):
    """Start the container and reach its shell."""

    name = "boot-docker"
    summary = "boot a container"
    description = "start the container and reach its shell, with retry"

    def __init__(self, parameters: DockerParameters) -> None:
        self.parameters = parameters

    def plan(self, site: Site) -> Iterable[Action]:
        yield DockerRun(self.parameters)
        if site.needs_shell:
            yield ExpectShell()
            yield ExportDeviceEnv()


class DockerRun(ContainerAction):
    """The container itself; its standard input and output become the namespace's console."""

    name = "docker-run"
    summary = "start a container"
    description = "start the container with the overlay in it"
    restarts_device = True

    def __init__(self, parameters: DockerParameters) -> None:
        self.parameters = parameters
