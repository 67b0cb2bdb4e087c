# SPDX-License-Identifier: Apache-2.0
"""`definitions`: the test shell (spec: job-format §7, test-shell §4).

The signal parser listens on the console in the reader's thread; this action starts the runner on the device, waits,
books what came, and at the end reads back the file in which the device kept its signals.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any, cast

from msgspec import Meta

from executor.errors import TestError
from executor.model import journal
from executor.model.job import BlockParameters
from executor.pipeline.action import Action, RetryAction
from executor.pipeline.method import Method, method
from executor.pipeline.planner import Request
from executor.testshell.results import Bookkeeper

if TYPE_CHECKING:
    from executor.pipeline.planner import Site
    from executor.pipeline.run import Run


class ShellParameters(BlockParameters, kw_only=True):
    """`definitions`"""

    definitions: Annotated[list[dict[str, Any]], Meta(min_length=1, description="test definitions, run in order")]


@method("test")
class ShellTest(Method):
    """Run test definitions in the device's shell."""

    name = "definitions"
    summary = "test definitions in the device's shell"
    Parameters = ShellParameters
    needs_overlay = True
    needs_shell = True

    @classmethod
    def accepts(cls, request: Request) -> str:
        if "definitions" not in request.parameters:
            return "'definitions' is not there"
        if "docker" in request.parameters:
            return "'docker' asks for the docker test"
        return ""

    @classmethod
    def action(cls, request: Request) -> Action:
        return TestShellRetry(cast("ShellParameters", request.typed))


class TestShellRetry(RetryAction):
    """The block, tried again as a whole."""

    name = "lava-test-retry"
    summary = "test shell with retry"
    description = "run the block's definitions, with retry"

    def __init__(self, parameters: ShellParameters) -> None:
        self.parameters = parameters

    def plan(self, site: Site) -> Iterable[Action]:
        stage = next((t.stage for t in site.tests if t.block is site.block), 0)
        yield TestShell(stage)


class TestShell(Action):
    """One run of lava-test-runner over the block's definitions."""

    name = "lava-test-shell"
    summary = "test shell"
    description = "run lava-test-runner and read its signals"
    timeout_error = TestError

    def __init__(self, stage: int) -> None:
        self.stage = stage
