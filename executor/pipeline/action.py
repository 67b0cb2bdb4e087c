# SPDX-License-Identifier: Apache-2.0
"""One step of a job. An action holds only its own work; the engine owns time, retries, results, logging,
cleanup.

An action is made by a method (see method.py), placed into the tree by the planner, and never changes
afterwards: whatever happens while it runs lives in the `Run` that is handed to it, one for each attempt.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, ClassVar

from executor.errors import JobError, LavaExecError
from executor.model.launch import Needs
from executor.model.problem import Problem

if TYPE_CHECKING:
    from executor.model.job import Block
    from executor.pipeline.planner import Site
    from executor.pipeline.run import Run
    from executor.pipeline.world import World

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\Z", re.IGNORECASE)


class Action:
    """A node of the plan.

    Class attributes: `name` is API (jobs set timeouts by it, spec: action-pipeline §2); `timeout_error` is
    the class that an expired limit counts as (spec: job-format §3); `default_timeout` is the built-in limit
    in seconds; `retry` makes it a RetryAction, which takes `failure_retry` and `repeat` of its block;
    `restarts_device` says that the device or its console begins anew in it, so that trying again can help
    even after a panic.
    """

    name: ClassVar[str] = ""
    summary: ClassVar[str] = ""
    description: ClassVar[str] = ""
    timeout_error: ClassVar[type[LavaExecError]] = JobError
    default_timeout: ClassVar[int | None] = None
    retry: ClassVar[bool] = False
    restarts_device: ClassVar[bool] = False

    longest: int | None = None  # seconds that it gets at most, whatever is said elsewhere

    # Set once by the planner.
    level: str = ""
    section: str = ""
    namespace: str = "common"
    limit: int = 0  # seconds
    connection_limit: int = 0  # seconds, for each operation on a console
    max_attempts: int = 1
    repeat: bool = False  # run max_attempts times whatever happens
    retry_interval: int = 1  # seconds
    skip_timeout: bool = False  # spec: job-format §3 `timeout: {skip: true}`
    character_delay: int = 0  # ms
    block: Block | None = None
    children: tuple[Action, ...] = ()

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "name" in cls.__dict__ and not _NAME.match(cls.name):
            raise TypeError(f"action name {cls.name!r}: letters, digits and single hyphens only")

    @property
    def label(self) -> str:
        """What tells this action from others of its name, such as the artefact of a download; or empty."""
        return ""

    def plan(self, site: Site) -> Iterable[Action]:
        """The children, from job and device only: no disk, no network. `site` knows both and this action's
        place.
        """
        return ()

    def needs(self) -> Needs:
        """What this action itself must have in its container."""
        return Needs()

    def validate(self, world: World) -> Iterable[Problem]:
        """Problems that can be seen before anything runs. May look at the world, changes nothing."""
        return ()

    def run(self, run: Run) -> None:
        """The action's own work, before its children. Raises errors of executor.errors, or TimeoutError."""

    def after(self, run: Run) -> None:
        """Own work that must follow the children."""

    def applies(self, run: Run) -> bool:
        """Asked before each run, below another action: False leaves this one out, with all below it."""
        return True

    def forgives(self, run: Run, error: LavaExecError) -> bool:
        """Asked when a child has failed: True when that is an answer and no failure. What is left of the
        children is left out.
        """
        return False

    def cleanup(self, run: Run) -> None:
        """Undo after a failure, before a retry, and at the end of the job; must cope with a `run` that never
        was.
        """

    def walk(self) -> Iterator[Action]:
        """This action and all below it, in order of level."""
        yield self
        for child in self.children:
            yield from child.walk()

    def problem(
        self, message: str, *at: str | int, hint: str = "", error_type: str = "Job", severity: str = "error"
    ) -> Problem:
        """A Problem that points at this action and its block; `at` leads on to a key in the block."""
        return Problem(
            message,
            error_type=error_type,
            path=(*self.block.path, *at) if self.block else (),
            action=f"{self.level} {self.name}",
            hint=hint,
            severity=severity,
        )


class RetryAction(Action):
    """An action that is tried again, with all below it, when something in it failed."""

    retry = True
