# SPDX-License-Identifier: Apache-2.0
"""One attempt of one action: what `Action.run` gets to work with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from executor.errors import JobError
from executor.model.deadline import Deadline
from executor.pipeline.expiry import Limit
from executor.pipeline.log import Log, clock

if TYPE_CHECKING:
    from executor.console.reader import Console
    from executor.pipeline.action import Action
    from executor.pipeline.context import JobContext, Namespace


class Run:
    """`results` becomes the `extra` of the action's record in suite `lava` when it is not empty.

    `attempt` counts the tries of this action itself; `outer` says how often it has been run in this job by
    now, whatever was tried again around it, so that two records never carry the same number.
    """

    def __init__(
        self, action: Action, context: JobContext, limit: Limit | Deadline, attempt: int = 1, outer: int = 1
    ) -> None:
        self.action = action
        self.context = context
        self.limit = limit if isinstance(limit, Limit) else Limit(limit, action)
        self.deadline = self.limit.deadline  # nothing in this attempt may last longer
        self.attempt = attempt
        self.outer = outer
        self.log = Log(context.journal)
        self.results: dict[str, Any] = {}

    @property
    def namespace(self) -> Namespace:
        return self.context.namespace(self.action.namespace)

    @property
    def operation(self) -> Deadline:
        """The deadline of one operation on a console, from now."""
        return self.deadline.within(self.action.connection_limit)

    @property
    def connection(self) -> Namespace:
        """The namespace whose console this action's block uses: its own, unless the block names another."""
        block = self.action.block
        name = block.connection_namespace if block is not None else self.action.namespace
        return self.context.namespace(name)

    @property
    def connected(self) -> Console | None:
        """The console that this action's block uses, if there is one by now."""
        return self.connection.console

    @property
    def console(self) -> Console:
        """The same. Raises JobError when nothing has been booted yet."""
        console = self.connected
        if console is None:
            raise JobError(
                f"{self.action.name} has no connection to the device",
                "a boot block must come before this block in the same namespace",
            )
        return console

    def tell_wait(self, prompts: Sequence[str], deadline: Deadline) -> None:
        """Say in both dialects what is waited for, and how long (spec: job-format §3, log message shapes)."""
        name, seconds = self.action.name, deadline.remaining
        self.log.debug(f"{name}: Wait for prompt. {seconds:.0f} seconds")
        self.log.debug(f"{name}: Wait for prompt {list(prompts)} (timeout {clock(seconds + 0.5)})")
