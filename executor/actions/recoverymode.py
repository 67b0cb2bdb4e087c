# SPDX-License-Identifier: Apache-2.0
"""Jumpers that choose between a board's recovery mode and its normal start (spec: device-config §2, §3)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from executor.actions.commandlines import lines_needs, problems, run_lines
from executor.actions.commands import DeviceCommand
from executor.actions.hosttool import lines_of, method_options
from executor.errors import InfrastructureError
from executor.pipeline.action import Action

if TYPE_CHECKING:
    from executor.model.device import Device
    from executor.model.launch import Needs
    from executor.model.problem import Problem
    from executor.pipeline.run import Run
    from executor.pipeline.world import World

ENTER, LEAVE = "recovery_mode", "recovery_exit"


def recovery_lines(device: Device, key: str) -> list[str]:
    """The device's command lines for `recovery_mode` or `recovery_exit`, from either place."""
    own = method_options(device, "deploy", "recovery", "commands").get(key)
    return lines_of(own) or device.command(key)


class SwitchRecovery(Action):
    """Run the commands of one of the two keys."""

    name = "switch-recovery"
    summary = "switch recovery mode"
    description = "set the board's jumpers to recovery mode, or back"
    timeout_error = InfrastructureError

    def __init__(self, device: Device, key: str) -> None:
        self.key, self.lines = key, recovery_lines(device, key)

    def needs(self) -> Needs:
        return lines_needs(self.lines, self.key)

    def validate(self, world: World) -> Iterable[Problem]:
        if not self.lines:
            yield self.problem(f"the device file has no commands {self.key}", error_type="Configuration")
        yield from problems(self, self.lines, self.key, world)

    def run(self, run: Run) -> None:
        run_lines(run, self.lines, self.key, {})
        run.results["commands"] = self.key


class PowerOn(DeviceCommand):
    """The device's power_on commands."""

    name = "power-on"
    summary = "power on"
    description = "run the device's power_on commands"
    timeout_error = InfrastructureError
    command = "power_on"
    restarts_device = True

    def run(self, run: Run) -> None:
        run.context.powered_off = False
        super().run(run)
