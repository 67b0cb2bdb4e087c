# SPDX-License-Identifier: Apache-2.0
"""Which attempts are still to be cleaned up: each exactly once, before it is tried again or when the job
ends.
"""

from __future__ import annotations

from executor.errors import InfrastructureError, LavaExecError
from executor.model import journal
from executor.model.deadline import Deadline
from executor.pipeline.action import Action
from executor.pipeline.log import Journal
from executor.pipeline.run import Run


class Cleanups:
    """Attempts that have begun, taken in order of level (spec: action-pipeline §1, cleanup)."""

    def __init__(self, out: Journal) -> None:
        self._out = out
        self._due: list[Run] = []

    def add(self, run: Run) -> None:
        """This attempt begins."""
        self._due.append(run)

    def below(self, action: Action, deadline: Deadline) -> None:
        """Clean up all attempts of `action` and of what is below it."""
        ours = {id(a) for a in action.walk()}
        due = [run for run in self._due if id(run.action) in ours]
        self._due = [run for run in self._due if id(run.action) not in ours]
        self._all(due, deadline)

    def everything(self, deadline: Deadline) -> LavaExecError | None:
        """Clean up what is left; the first thing that went wrong."""
        due, self._due = self._due, []
        return self._all(due, deadline)

    def _all(self, due: list[Run], deadline: Deadline) -> LavaExecError | None:
        first: LavaExecError | None = None
        for run in sorted(due, key=_by_level):
            error = self._one(run, deadline)
            first = first or error
        return first

    def _one(self, run: Run, deadline: Deadline) -> LavaExecError | None:
        run.deadline = deadline
        name = run.action.name
        try:
            run.action.cleanup(run)
        except LavaExecError as error:
            self._out.record(journal.ERROR, f"cleanup of {name}: {error.message}")
            return error
        except Exception as error:  # noqa: BLE001 - one broken cleanup must not keep the others from running
            self._out.record(journal.ERROR, f"cleanup of {name}: {type(error).__name__}: {error}")
            return InfrastructureError(f"cleanup of {name} failed: {error}")
        return None


def _by_level(run: Run) -> tuple[int, ...]:
    return tuple(int(part) for part in run.action.level.split("."))
