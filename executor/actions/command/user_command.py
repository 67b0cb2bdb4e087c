# SPDX-License-Identifier: Apache-2.0
"""`command` blocks: what the admin lets jobs do to a device by name (spec: job-format §7).

A command of the device file has lines to `do`, and lines to `undo` them, which run at the end of the job in
any case once `do` has begun. Besides there are names that stand for other commands of the device file.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, cast

import msgspec
from msgspec import Meta

from executor.actions.commands import check_lines, run_lines
from executor.errors import InfrastructureError
from executor.model.device import UserCommand
from executor.model.job import BlockParameters
from executor.model.launch import Needs
from executor.model.parameters import Text
from executor.pipeline.action import Action
from executor.pipeline.method import Method, method
from executor.pipeline.planner import Request

if TYPE_CHECKING:
    from executor.model.device import Device
    from executor.model.problem import Problem
    from executor.pipeline.planner import Site
    from executor.pipeline.run import Run
    from executor.pipeline.world import World

_STARTS_ANEW = ("hard_reset", "power_on")
_OF_THE_DEVICE = (*_STARTS_ANEW, "power_off", "pre_os_command", "pre_power_command")
_RECOVERY = ("recovery_exit", "recovery_mode")
STOP_SERVICES = "stop_test_services"
USBG_MS_DISABLE = "usbg_ms_commands_disable"
BUILT_IN = (*_OF_THE_DEVICE, *_RECOVERY, STOP_SERVICES, USBG_MS_DISABLE)


class CommandParameters(BlockParameters, kw_only=True):
    """`command`"""

    name: Annotated[Text, Meta(description="a command of the device file, or one that every device has")]


@method("command")
class Command(Method):
    """Run a command that the admin has given a name."""

    name = "user-command"
    summary = "a command of the device file, by name"
    Parameters = CommandParameters

    @classmethod
    def accepts(cls, request: Request) -> str:
        return ""

    @classmethod
    def action(cls, request: Request) -> Action:
        return RunCommand(cast("CommandParameters", request.typed).name)


class RunCommand(Action):
    """Run `do`; `undo` when the job ends, however it does."""

    name = "user-command"
    summary = "execute commands"
    description = "run a command that the device file names"
    timeout_error = InfrastructureError

    def __init__(self, wanted: str) -> None:
        self.wanted = wanted
        self.command: UserCommand | None = None  # None for one that the device has not
        self.known: list[str] = []  # of the device file

    @property
    def label(self) -> str:
        return self.wanted

    def plan(self, site: Site) -> Iterable[Action]:
        self.command = command_of(site.device, self.wanted)
        self.known = sorted(site.device.users)
        return ()

    def needs(self) -> Needs:
        return Needs(network="bridge")  # power switches and relays are reached over it

    def validate(self, world: World) -> Iterable[Problem]:
        if self.command is not None:
            yield from check_lines(self, [*self.command.do, *self.command.undo], self.wanted, world)
        elif self.wanted in BUILT_IN:
            yield self.problem(f"the device has no command {self.wanted}", "name")
        else:
            names = [*self.known, *BUILT_IN]
            near = difflib.get_close_matches(self.wanted, names, 1)
            own = f"its own are {', '.join(self.known)}" if self.known else "it has none of its own"
            problem = self.problem(f"the device has no command {self.wanted!r}; {own}", "name")
            yield msgspec.structs.replace(problem, near=near[0] if near else "")

    def run(self, run: Run) -> None:
        run.results["command"] = self.wanted
        if self.wanted == STOP_SERVICES:
            run.log.info("no test services run in this job")
        if self.wanted in _STARTS_ANEW and run.connected is not None:
            run.connected.expect_reset()
        if self.command is not None:
            run_lines(self.command.do, self.wanted, run)

    def cleanup(self, run: Run) -> None:
        if self.command is not None and self.command.undo and "command" in run.results:
            run_lines(self.command.undo, f"{self.wanted}, undo", run)


def command_of(device: Device, name: str) -> UserCommand | None:
    """What `name` stands for on this device; None for nothing."""
    if name in device.users:
        return device.users[name]
    if name == STOP_SERVICES:
        return UserCommand([])
    lines: object = device.command(name) if name in (*_OF_THE_DEVICE, *_RECOVERY) else None
    if name in _RECOVERY and not lines:
        lines = _options(_options(device.deploy_methods, "recovery"), "commands").get(name)
    elif name == USBG_MS_DISABLE:
        lines = _options(device.deploy_methods, "usbg-ms").get("disable")
    found = [lines] if isinstance(lines, str) else lines
    return UserCommand([str(line) for line in found]) if isinstance(found, list) and found else None


def _options(data: dict[str, object], key: str) -> dict[str, object]:
    found = data.get(key)
    return found if isinstance(found, dict) else {}
