# SPDX-License-Identifier: Apache-2.0
"""Commands of the device file that run on the dispatcher: power, reset, relays (spec: device-config §3)."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from executor.errors import ConfigurationError, InfrastructureError
from executor.pipeline.action import Action
from executor.tools import proc

if TYPE_CHECKING:
    from executor.model.problem import Problem
    from executor.pipeline.planner import Site
    from executor.pipeline.run import Run
    from executor.pipeline.world import World

TOOLS_HINT = "container.tools in the device file names a directory with the lab's own programs"
_PAUSE = 1.0  # seconds before the commands are tried again


class DeviceCommand(Action):
    """Runs the lines of one key of `commands` in order, without a shell; the first failure ends it.

    `tries`: how often all of them are tried, for what must not stay undone.
    """

    timeout_error = InfrastructureError
    command: ClassVar[str] = ""  # the key, such as "hard_reset"
    tries: ClassVar[int] = 1

    def __init__(self) -> None:
        self.lines: list[str] = []

    def plan(self, site: Site) -> Iterable[Action]:
        self.lines = site.device.command(self.command)
        return ()

    def validate(self, world: World) -> Iterable[Problem]:
        return check_lines(self, self.lines, self.command, world)

    def run(self, run: Run) -> None:
        for attempt in range(1, self.tries + 1):
            try:
                run_lines(self.lines, self.command, run)
                return
            except InfrastructureError as error:
                if attempt == self.tries or run.deadline.remaining <= _PAUSE:
                    raise
                run.log.warning(f"{self.command} failed, {attempt} of {self.tries}: {error.message}")
                time.sleep(_PAUSE)


def check_lines(action: Action, lines: Iterable[str], command: str, world: World) -> Iterable[Problem]:
    """What is wrong with the command lines of `command`: not to be split, or a program that is not there."""
    for line in lines:
        try:
            program = words(line, command)[0]
        except ConfigurationError as error:
            yield action.problem(error.message, hint=error.hint, error_type=error.error_type)
            continue
        if reason := world.tool(program):
            yield action.problem(f"{command}: {reason}", hint=TOOLS_HINT, error_type="Infrastructure")


def run_lines(lines: Iterable[str], command: str, run: Run) -> None:
    """Run the lines in order, without a shell. The first that fails raises InfrastructureError."""
    for line in lines:
        run.log.info(f"{command}: {line}")
        argv = words(line, command)
        proc.run(argv, deadline=run.deadline, log=run.log.output, error=InfrastructureError)


def words(line: str, command: str) -> list[str]:
    """A command line as a shell would split it. Raises ConfigurationError."""
    try:
        found = shlex.split(line)
    except ValueError as error:
        raise ConfigurationError(
            f"commands.{command}: {line!r} cannot be split into words: {error}", "are all quotes closed?"
        ) from None
    if not found:
        raise ConfigurationError(f"commands.{command} has an empty command line")
    return found
