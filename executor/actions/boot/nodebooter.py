# SPDX-License-Identifier: Apache-2.0
"""`method: nodebooter`: a container on the worker serves what the board boots (spec: job-format §6)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any, cast

from msgspec import Meta

from executor.actions.connect import ConnectDevice, ResetDevice
from executor.actions.containers import ContainerAction
from executor.actions.shell import shell_tail
from executor.model.job import BootParameters
from executor.pipeline.action import Action, RetryAction
from executor.pipeline.method import Method, method

if TYPE_CHECKING:
    from executor.model.device import Device
    from executor.pipeline.planner import Request, Site


class NodebooterParameters(BootParameters, kw_only=True):
    """`method: nodebooter`"""

    docker: Annotated[dict[str, Any] | None, Meta(description="the image that serves the board")] = None


@method("boot")
class Nodebooter(Method):
    """Boot from what a container serves."""

    name = "nodebooter"
    summary = "a container serves what the board boots"
    Parameters = NodebooterParameters

    @classmethod
    def action(cls, request: Request) -> Action:
        return BootNodebooter(cast("NodebooterParameters", request.typed), request.device)


class BootNodebooter(RetryAction):
    """The container first, then the board."""

    name = "boot-nodebooter"
    summary = "boot with nodebooter"
    description = "start the container that serves the board, reset the board, log in"

    def __init__(self, parameters: NodebooterParameters, device: Device) -> None:
        self.parameters, self.device = parameters, device

    def plan(self, site: Site) -> Iterable[Action]:
        yield RunNodebooter()
        yield ConnectDevice(self.device)
        if self.parameters.reset is not False:
            yield ResetDevice(self.parameters.soft_reboot)
        yield from shell_tail(site, self.parameters)


class RunNodebooter(ContainerAction):
    """The container itself."""

    name = "run-nodebooter"
    summary = "start nodebooter"
    description = "start the container that serves the board"
