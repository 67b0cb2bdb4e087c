# SPDX-License-Identifier: Apache-2.0
"""Reaching a board: its console, and the reset that makes it boot.

Spec: action-pipeline §2, device-config §3.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from executor.actions.commands import DeviceCommand, words
from executor.errors import ConfigurationError, InfrastructureError
from executor.model.launch import Needs
from executor.model.problem import Problem
from executor.pipeline.action import Action, RetryAction

if TYPE_CHECKING:
    from executor.console.reader import Console
    from executor.model.device import Connection, Device
    from executor.pipeline.planner import Site
    from executor.pipeline.run import Run
    from executor.pipeline.world import World

_CLOSABLE = ("shell", "ssh", "telnet")  # tags that tell how to close a console
REBOOT_COMMANDS = ("reboot", "reboot -n", "reboot -nf")  # spec: job-format §6, soft_reboot


class ConnectDevice(Action):
    """Open the device's primary console, unless the namespace has it already; it is read from here on."""

    name = "connect-device"
    summary = "connect to the device"
    description = "run the device's connect command on a pty of its own"
    timeout_error = InfrastructureError
    restarts_device = True

    def __init__(self, device: Device) -> None:
        self.device = device

    def needs(self) -> Needs:
        # Where a console's server listens only the admin knows: on the worker, or somewhere in the lab.
        return Needs(network="bridge")

    def validate(self, world: World) -> Iterable[Problem]:
        connection = self.device.primary
        if connection is None:
            yield self.problem(
                "the device file has no commands.connect and no connection tagged primary",
                error_type="Configuration",
            )
            return
        try:
            program = words(connection.connect, "connect")[0]
        except ConfigurationError as error:
            yield self.problem(error.message, hint=error.hint, error_type=error.error_type)
            return
        if reason := world.tool(program):
            yield self.problem(reason, error_type="Infrastructure")

    def run(self, run: Run) -> None:
        namespace = run.connection
        if namespace.console is not None and namespace.console.alive:
            run.log.debug(f"{namespace.console.name} is connected already")
            return
        connection = self.device.primary
        if connection is None:
            raise ConfigurationError("the device file has no console to connect to")
        if (shared := _connected_elsewhere(run, connection)) is not None:
            run.log.debug(f"{shared.name} is connected already, by the namespace {shared.namespace}")
            shared.namespace, namespace.console = namespace.name, shared
            return
        namespace.console = open_console(run, connection)

    def cleanup(self, run: Run) -> None:
        close_console(run)


class DisconnectDevice(Action):
    """Let go of the device's console: its port goes away with the device, or somebody else connects to it."""

    name = "disconnect-device"
    summary = "disconnect from the device"
    description = "end the program that connects to the device's console"
    timeout_error = InfrastructureError

    def __init__(self, device: Device) -> None:
        self.device = device

    def validate(self, world: World) -> Iterable[Problem]:
        connection, commands = self.device.primary, self.device.raw.get("commands")
        with_tags = isinstance(commands, dict) and "connections" in commands
        if connection is not None and with_tags and not set(connection.tags) & {*_CLOSABLE}:
            known = ", ".join(_CLOSABLE)
            yield self.problem(
                f"how to disconnect from {connection.name} is not known",
                hint=f"tag the connection in the device file with one of {known}",
            )

    def run(self, run: Run) -> None:
        close_console(run)


class ResetConnection(RetryAction):
    """Close the console and open it again: some servers hold on to a port that has seen a reset."""

    name = "reset-connection"
    summary = "reset the connection"
    description = "disconnect from the device and connect again"
    timeout_error = InfrastructureError
    restarts_device = True

    def __init__(self, device: Device) -> None:
        self.device = device

    def plan(self, site: Site) -> Iterable[Action]:
        yield DisconnectDevice(self.device)
        yield ConnectDevice(self.device)


def _connected_elsewhere(run: Run, connection: Connection) -> Console | None:
    """The same console in another namespace: a port takes one client, and a board has one first stage."""
    for other in run.context.namespaces.values():
        console = other.console
        if console is not None and console.alive and console.name == connection.name:
            return console
    return None


def close_console(run: Run) -> None:
    """End the namespace's console, if it has one."""
    console, run.connection.console = run.connection.console, None
    if console is None:
        return
    console.close(run.deadline.within(10))
    if console in run.context.consoles:
        run.context.consoles.remove(console)


def open_console(run: Run, connection: Connection) -> Console:
    """Start the connection's program and read from it; the context owns the console from now on."""
    from executor.console.ports import FAREWELLS, ProcessPort
    from executor.console.reader import Console

    argv = words(connection.connect, "connect")
    farewell = next((text for tag, text in FAREWELLS.items() if tag in connection.tags), b"")
    run.log.info(f"connect {connection.name}: {connection.connect}")
    device, namespace = run.context.device, run.connection
    console = Console(
        ProcessPort(argv, farewell=farewell),
        run.context.journal,
        name=connection.name,
        namespace=namespace.name,
        recording=run.context.out / f"console-{namespace.safe_name}-{connection.name}.raw",
        search_window=int(device.constant("spawn_maxread", default=4092)) * 2,
    )
    console.character_delay = run.action.character_delay / 1000
    run.context.consoles.append(console)
    console.start()
    return console


class ResetDevice(Action):
    """Power-cycle the device, or reboot it from its shell where there is no power switch."""

    name = "reset-device"
    summary = "reset the device"
    description = "reset the device by its power, or by a command on its console"
    restarts_device = True

    def __init__(self, soft_reboot: str | list[str] | None = None) -> None:
        self.soft_reboot = [soft_reboot] if isinstance(soft_reboot, str) else list(soft_reboot or ())

    def plan(self, site: Site) -> Iterable[Action]:
        if site.device.command("hard_reset"):
            yield PduReboot()
        else:
            yield SendRebootCommands(self.soft_reboot)

    def run(self, run: Run) -> None:
        if run.connected is not None:
            run.connected.expect_reset()


class PduReboot(DeviceCommand):
    """The device's hard_reset commands."""

    name = "pdu-reboot"
    summary = "reset by power"
    description = "run the device's hard_reset commands"
    timeout_error = InfrastructureError
    command = "hard_reset"

    def run(self, run: Run) -> None:
        run.context.powered_off = False
        super().run(run)
        run.results["status"] = "success"


class SendRebootCommands(Action):
    """Reboot from the shell, with the first command that works."""

    name = "send-reboot-commands"
    summary = "reboot from the shell"
    description = "send reboot commands over the console"
    timeout_error = InfrastructureError

    def __init__(self, commands: list[str]) -> None:
        self.commands = commands

    def run(self, run: Run) -> None:
        device, console = run.context.device, run.console
        own = self.block.parameters.get("parameters") or {} if self.block is not None else {}
        context = run.context.job.context
        shutdown = str(own.get("shutdown-message") or device.constant("shutdown-message", context=context))
        for line in self.commands or device.command("soft_reboot") or REBOOT_COMMANDS:
            console.send_line(line)
            try:
                console.expect(shutdown, run.operation)
            except TimeoutError:
                run.log.warning(f"{line!r} did not reboot the device")
                continue
            run.results["commands"] = line
            return
        raise InfrastructureError(
            "the device did not reboot", "give it a hard_reset command in its device file"
        )
