# SPDX-License-Identifier: Apache-2.0
"""`monitors`: results from what the device prints by itself, between a start and an end (spec: job-format
§7).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, cast

from msgspec import Meta

from executor.actions.test.flavours import other_than
from executor.errors import TestError, TestTimeout
from executor.model.job import BlockParameters
from executor.model.testblocks import Monitor
from executor.pipeline.action import Action, RetryAction
from executor.pipeline.method import Method, method
from executor.pipeline.planner import Request

if TYPE_CHECKING:
    from executor.model.problem import Problem
    from executor.pipeline.planner import Site
    from executor.pipeline.run import Run
    from executor.pipeline.world import World


class MonitorParameters(BlockParameters, kw_only=True):
    """`monitors`"""

    monitors: Annotated[list[Monitor], Meta(min_length=1, description="read one after the other")]


@method("test")
class MonitorTest(Method):
    """Draw results from what a device prints that has no shell."""

    name = "monitors"
    summary = "results from the console's output"
    Parameters = MonitorParameters

    @classmethod
    def accepts(cls, request: Request) -> str:
        return other_than("monitors", request.parameters)

    @classmethod
    def action(cls, request: Request) -> Action:
        return MonitorRetry(cast("MonitorParameters", request.typed))


class MonitorRetry(RetryAction):
    """The block, tried again as a whole."""

    name = "lava-test-monitor-retry"
    summary = "monitors with retry"
    description = "read the block's monitors, with retry"

    def __init__(self, parameters: MonitorParameters) -> None:
        self.parameters = parameters

    def plan(self, site: Site) -> Iterable[Action]:
        yield ReadMonitors(self.parameters.monitors)


class ReadMonitors(Action):
    """Wait for a monitor's start, then book what its pattern finds until its end."""

    name = "lava-test-monitor"
    summary = "monitors"
    description = "wait for each monitor's start, read results until its end"
    timeout_error = TestError

    def __init__(self, monitors: list[Monitor]) -> None:
        self.monitors = monitors

    def validate(self, world: World) -> Iterable[Problem]:
        for number, monitor in enumerate(self.monitors):
            groups = re.compile(monitor.pattern).groupindex
            place = ("monitors", number, "pattern")
            if "test_case_id" not in groups:
                hint = "such as (?P<test_case_id>\\w+): (?P<result>PASS|FAIL)"
                yield self.problem(
                    f"the pattern of {monitor.name!r} has no group test_case_id", *place, hint=hint
                )
            elif not {"result", "measurement"} & set(groups):
                text = f"the pattern of {monitor.name!r} has neither a group result nor measurement"
                yield self.problem(text, *place)

    def run(self, run: Run) -> None:
        console = run.console
        console.character_delay = self.character_delay / 1000
        from executor.actions.testrun.monitors import MonitorReader

        reader = MonitorReader(self.monitors, run, console)
        try:
            if not console.listen(reader, run.deadline):
                raise TestTimeout(
                    f"{self.name} timed out after {run.deadline.limit:.0f} seconds: {reader.missing}",
                    "raise the `timeout` of the test block if it comes later",
                )
        finally:
            console.stop_listening()
            reader.close()
