# SPDX-License-Identifier: Apache-2.0
"""Whose limit has passed: the action's own, that of an action around it, or the job's. The message names the
right one, and the error is of the class that the action's timeouts count as (spec: job-format §3).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from executor.errors import InfrastructureTimeout, JobTimeout, LavaExecError, TestTimeout, timeout_class
from executor.model.deadline import Deadline

if TYPE_CHECKING:
    from executor.pipeline.action import Action
    from executor.pipeline.run import Run

_SAME = 1.0  # seconds between two limits that are taken for one
TIMEOUTS = (JobTimeout, TestTimeout, InfrastructureTimeout)


@dataclass(frozen=True)
class Limit:
    """A deadline and who set it; `owner` is None for the job's own."""

    deadline: Deadline
    owner: Action | None = None

    def within(self, action: Action, seconds: float) -> Limit:
        """The limit that holds inside `action`, which may take `seconds` from now.

        A block's `timeout` holds for its top action and for those below: where both limits pass at the same
        moment, the one that was at work is named.
        """
        own = self.deadline.within(seconds)
        if own is not self.deadline:
            return Limit(own, action)
        if self.owner is not None and seconds - self.deadline.remaining < _SAME:
            return Limit(self.deadline, action)
        return self


def is_unexplained(caught: BaseException) -> bool:
    """A wait that ran out, and nobody has said yet whose limit it was."""
    if isinstance(caught, LavaExecError):
        return isinstance(caught, TIMEOUTS) and caught.place is None
    return isinstance(caught, TimeoutError)


def explain(action: Action, run: Run, caught: BaseException, seconds: float) -> LavaExecError:
    """The error for `caught`, which `is_unexplained`. `seconds`: how long this attempt has run."""
    kind, text, hint = _origin(action, caught)
    if not run.deadline.expired:
        if isinstance(caught, LavaExecError):
            return kind(text, hint)
        hint = f"timeouts.connections.{action.name} sets the limit of one operation on the console"
        return kind(f"{action.name}: {text}", hint)
    owner = run.limit.owner
    if owner is None:
        head = f"job timed out after {run.deadline.limit:.0f} seconds, in {action.name}"
        kind, hint = JobTimeout, "raise timeouts.job, or see in the log which action took the time"
    elif owner is action:
        head = f"{action.name} timed out after {run.deadline.limit:.0f} seconds"
        hint = hint or f"timeouts.actions.{action.name} sets this limit, or `timeout` of its block"
    else:
        head = f"{action.name} timed out after {seconds:.0f} seconds, {_of(owner, run, seconds)}"
        hint = f"timeouts.actions.{owner.name} sets that limit, or `timeout` of its block"
    said = re.match(rf"{re.escape(action.name)} timed out after \d+ seconds", text)
    detail = text[said.end() :] if said else (f": {text}" if text else "")
    return kind(f"{head}{detail}", hint)


def _of(owner: Action, run: Run, seconds: float) -> str:
    """Whose limit it was, without saying the same number twice."""
    if abs(run.deadline.limit - seconds) < _SAME:
        return f"the limit of {owner.name}"
    return f"when the {run.deadline.limit:.0f} seconds of {owner.name} had passed"


def _origin(action: Action, caught: BaseException) -> tuple[type[LavaExecError], str, str]:
    """Class, text, hint. A program that ran out of time says JobTimeout; whose fault that is, the action
    knows.
    """
    kind = timeout_class(action.timeout_error)
    if isinstance(caught, LavaExecError):
        return (kind if type(caught) is JobTimeout else type(caught)), caught.message, caught.hint
    return kind, str(caught), ""
