# SPDX-License-Identifier: Apache-2.0
"""`definitions` in one job of a group: the test shell whose commands may wait for other members (spec:
multinode §5, action-pipeline §2).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from executor.actions.test.shell import ShellParameters, ShellTest, TestShell, numbers
from executor.pipeline.action import Action
from executor.pipeline.method import method
from executor.pipeline.planner import Request

if TYPE_CHECKING:
    from executor.model.problem import Problem
    from executor.pipeline.world import World


@method("test")
class MultinodeShellTest(ShellTest):
    """Run test definitions in the device's shell, as a member of a group."""

    name = "multinode"
    summary = "test definitions in the device's shell, in a job of a group"
    priority = 2
    Parameters = ShellParameters

    @classmethod
    def accepts(cls, request: Request) -> str:
        if request.job.member is None:
            return "the job is not one of a group"
        return super().accepts(request)

    @classmethod
    def action(cls, request: Request) -> Action:
        return MultinodeShell(*numbers(request.tests, request.block))


class MultinodeShell(TestShell):
    """One run of lava-test-runner. Never tried again: the other members would not repeat their part."""

    name = "multinode-test"
    summary = "test shell of a group's member"
    description = "run lava-test-runner and read its signals, as a member of a group"

    def validate(self, world: World) -> Iterable[Problem]:
        if reason := world.group():
            yield self.problem(reason, error_type="Infrastructure")
