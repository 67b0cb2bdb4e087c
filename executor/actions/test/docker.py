# SPDX-License-Identifier: Apache-2.0
"""`definitions` with `docker`: tests that run beside the device, in a container with its USB nodes (spec:
job-format §7).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any, cast

import msgspec
from msgspec import Meta

from executor.actions.connect import DisconnectDevice
from executor.actions.containers import Container, ContainerAction
from executor.actions.finalize import ReadFeedback
from executor.actions.overlay import CreateOverlay
from executor.errors import TestError
from executor.model.job import BlockParameters
from executor.model.parameters import Text
from executor.pipeline.action import Action
from executor.pipeline.method import Method, method

if TYPE_CHECKING:
    from executor.pipeline.planner import Request, Site


class DockerTestParameters(BlockParameters, kw_only=True):
    """`definitions` with `docker`"""

    docker: Annotated[Container, Meta(description="the container in which the tests run")]
    definitions: Annotated[
        list[dict[str, Any]], Meta(min_length=1, description="test definitions, run in order")
    ]
    downloads_namespace: Annotated[
        Text | None, Meta(description="namespace whose downloads are at /lava-downloads")
    ] = msgspec.field(default=None, name="downloads-namespace")
    disconnect_connection: Annotated[
        bool, Meta(description="let go of the device's console first, the tests connect themselves")
    ] = False


@method("test")
class DockerTest(Method):
    """Run test definitions in a container of the worker."""

    name = "docker"
    summary = "test definitions in a container beside the device"
    priority = 10
    Parameters = DockerTestParameters
    needs_overlay = True
    needs_shell = False

    @classmethod
    def accepts(cls, request: Request) -> str:
        for key in ("docker", "definitions"):
            if key not in request.parameters:
                return f"{key!r} is not there"
        return ""

    @classmethod
    def action(cls, request: Request) -> Action:
        return LavaDockerTest(cast("DockerTestParameters", request.typed))


class LavaDockerTest(Action):
    """Overlay, container, tests."""

    name = "lava-docker-test"
    summary = "test in a container"
    description = "run the block's definitions in a container beside the device"
    timeout_error = TestError

    def __init__(self, parameters: DockerTestParameters) -> None:
        self.parameters = parameters

    def plan(self, site: Site) -> Iterable[Action]:
        yield SetEnvironment()
        yield CreateOverlay(None, compress=False)
        if self.parameters.disconnect_connection:
            yield DisconnectDevice(site.device)
        yield MultinodeDockerTestShell() if site.job.member is not None else DockerTestShell()
        yield ReadFeedback()


class SetEnvironment(ContainerAction):
    """What the tests are told about the device: its serial number, console and power commands."""

    name = "lava-docker-test-set-environment"
    summary = "set the container's environment"
    description = "collect the variables that tell the tests about the device"
    timeout_error = TestError


class DockerTestShell(ContainerAction):
    """Start the container on the overlay and read its signals."""

    name = "lava-docker-test-shell"
    summary = "test shell in a container"
    description = "run lava-test-runner in the container and read its signals"
    timeout_error = TestError


class MultinodeDockerTestShell(DockerTestShell):
    """The same for a member of a group, whose tests may talk to the others."""

    name = "lava-multinode-docker-test-shell"
    summary = "multinode test shell in a container"
