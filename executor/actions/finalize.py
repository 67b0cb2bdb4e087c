# SPDX-License-Identifier: Apache-2.0
"""The last action of every job: power off, let go of all consoles (spec: action-pipeline §5)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from executor.actions.commands import DeviceCommand
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
        run.context.closing.close()


class PowerOff(DeviceCommand):
    """The device's own power_off commands; nothing to do for a device without.

    A switch that does not answer at once is tried again: a board that stays on is worse than a late end.
    """

    name = "power-off"
    summary = "power off"
    description = "run the device's power_off commands"
    command = "power_off"
    tries = 3

    def run(self, run: Run) -> None:
        super().run(run)
        run.context.powered_off = True
        if self.lines:
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
            if console is run.connected and self.section != "finalize":
                continue  # a boot waits for what it says
            console.drain(run.deadline.within(1))
