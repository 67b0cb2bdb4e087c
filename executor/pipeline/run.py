# SPDX-License-Identifier: Apache-2.0
"""One attempt of one action: what `Action.run` gets to work with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from executor.errors import JobError
from executor.model.deadline import Deadline
from executor.pipeline.log import Log

if TYPE_CHECKING:
    from executor.console.reader import Console
    from executor.pipeline.action import Action
    from executor.pipeline.context import JobContext, Namespace


class Run:
    """`results` becomes the `extra` of the action's record in suite `lava` when it is not empty."""

    def __init__(
        self, action: Action, context: JobContext, deadline: Deadline, attempt: int = 1, outer: int = 1
    ) -> None:
        self.action = action
        self.context = context
        self.deadline = deadline  # nothing in this attempt may last longer
        self.attempt = attempt
        self.outer = outer  # attempt of the innermost RetryAction around it
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
    def console(self) -> Console:
        """The console of this namespace. Raises JobError when nothing has been booted yet."""
        block = self.action.block
        other = block.parameters.get("connection-namespace") if block is not None else None
        namespace = self.context.namespace(str(other)) if other else self.namespace
        if namespace.console is None:
            raise JobError(
                f"{self.action.name} has no connection to the device",
                "a boot block must come before this block in the same namespace",
            )
        return namespace.console
