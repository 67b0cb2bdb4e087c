# SPDX-License-Identifier: Apache-2.0
"""`method: new_connection`: one more console of a device that runs already (spec: job-format §6)."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

import msgspec

from executor.actions.commands import check_lines
from executor.actions.connect import open_console
from executor.actions.shell import shell_tail
from executor.errors import InfrastructureError, JobError
from executor.model.job import BootParameters
from executor.model.launch import Needs
from executor.pipeline.action import Action, RetryAction
from executor.pipeline.method import Method, method
from executor.pipeline.planner import Request

if TYPE_CHECKING:
    from executor.model.device import Device
    from executor.model.problem import Problem
    from executor.pipeline.planner import Site
    from executor.pipeline.run import Run
    from executor.pipeline.world import World

_END_SECONDS = 10.0  # for a console to close
_NO_KERNEL_STARTS = {"kernel-start-message": ""}


class NewConnectionParameters(BootParameters, kw_only=True):
    """`method: new_connection`"""


@method("boot")
class NewConnection(Method):
    """Open a further console; nothing is reset."""

    name = "new_connection"
    summary = "a further console of a device that runs"
    Parameters = NewConnectionParameters

    @classmethod
    def supported(cls, request: Request) -> str:
        """Every device with that connection has it, whether or not the device file lists the method."""
        if "connection" not in request.parameters:
            return "'connection' does not name one of the device's connections"
        return ""

    @classmethod
    def action(cls, request: Request) -> Action:
        return SecondaryShell(cast("NewConnectionParameters", request.typed), request.device)


class SecondaryShell(RetryAction):
    """Open the console, log in on it."""

    name = "secondary-shell-action"
    summary = "connect to a further console"
    description = "open another console of the device and reach its shell"

    def __init__(self, parameters: NewConnectionParameters, device: Device) -> None:
        self.parameters, self.device = parameters, device

    def plan(self, site: Site) -> Iterable[Action]:
        yield ConnectShell(self.device, str(self.parameters.connection))
        # The kernel has started long ago, so its first message is not waited for.
        given = {**_NO_KERNEL_STARTS, **self.parameters.parameters}
        yield from shell_tail(site, msgspec.structs.replace(self.parameters, parameters=given))


class ConnectShell(Action):
    """Run the connection's command; the console becomes that of the block's namespace."""

    name = "connect-shell"
    summary = "open a further console"
    description = "run the connection's command on a pty of its own"
    timeout_error = InfrastructureError
    restarts_device = True

    def __init__(self, device: Device, connection: str) -> None:
        self.device, self.connection = device, connection

    @property
    def label(self) -> str:
        return self.connection

    def needs(self) -> Needs:
        return Needs(network="bridge")  # as for the first console

    def validate(self, world: World) -> Iterable[Problem]:
        connection = self.device.connections.get(self.connection)
        if connection is not None:
            yield from check_lines(self, [connection.connect], "connections", world)
            return
        known = ", ".join(self.device.connections) or "none"
        near = difflib.get_close_matches(self.connection, self.device.connections, 1)
        problem = self.problem(
            f"the device has no connection {self.connection!r}; it has: {known}", "connection"
        )
        yield msgspec.structs.replace(problem, near=near[0] if near else "")

    def run(self, run: Run) -> None:
        namespace, connection = run.connection, self.device.connections[self.connection]
        if namespace.console is not None and namespace.console.alive:
            if namespace.console.name == connection.name:
                run.log.debug(f"{connection.name} is connected already")
                return
            raise JobError(
                f"the namespace {namespace.name!r} has the console {namespace.console.name} already",
                "give this block a namespace of its own, and tests on it `connection-namespace`",
            )
        namespace.console = open_console(run, connection)

    def cleanup(self, run: Run) -> None:
        console = run.connection.console
        if console is None or console.name != self.connection:
            return
        console.close(run.deadline.within(_END_SECONDS))
        if console in run.context.consoles:
            run.context.consoles.remove(console)
        run.connection.console = None
