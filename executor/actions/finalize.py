# SPDX-License-Identifier: Apache-2.0
"""The last action of every job: power off, let go of all consoles (spec: action-pipeline §5)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from executor.actions.commands import DeviceCommand
from executor.errors import InfrastructureError
from executor.pipeline.action import Action

if TYPE_CHECKING:
    from executor.pipeline.planner import Site
    from executor.pipeline.run import Run


class Finalize(Action):
    """Runs exactly once for every job whose run phase began."""

    name = "finalize"
    summary = "finalize the job"
    description = "power off the device and close every connection"

    def plan(self, site: Site) -> Iterable[Action]:
        yield PowerOff()
        yield ReadFeedback()

    def after(self, run: Run) -> None:
        for console in run.context.consoles:
            console.close(run.deadline)
        run.context.consoles.clear()


class PowerOff(DeviceCommand):
    """The device's own power_off commands; nothing to do for a device without."""

    name = "power-off"
    summary = "power off"
    description = "run the device's power_off commands"
    timeout_error = InfrastructureError
    command = "power_off"

    def run(self, run: Run) -> None:
        if not run.context.device.command(self.command):
            run.context.powered_off = True
            return
        super().run(run)
        run.context.powered_off = True
        run.results["status"] = "success"


class ReadFeedback(Action):
    """Whatever the consoles of other namespaces still had to say is in the journal already: their readers run
    on.
    """

    name = "read-feedback"
    summary = "read from other namespaces"
    description = "see that all consoles are drained"

    def run(self, run: Run) -> None:
        for console in run.context.consoles:
            console.drain(run.deadline.within(1))
