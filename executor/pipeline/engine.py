# SPDX-License-Identifier: Apache-2.0
"""Carries out a plan: timing, retries, results, logging, cleanup and finalize, whatever the ending.

Spec: action-pipeline §1 (phases), §4 (errors), §5 (finalize guarantee). The first cause of a failure is the one that
is reported; what goes wrong afterwards is logged.
"""

from __future__ import annotations

import time
import traceback
from dataclasses import dataclass

from executor.errors import Bug, InfrastructureError, JobCanceled, JobTimeout, LavaExecError, timeout_class
from executor.model import journal
from executor.model.deadline import Deadline
from executor.pipeline.action import Action
from executor.pipeline.context import JobContext
from executor.pipeline.describe import clock
from executor.pipeline.interrupt import Aborted
from executor.pipeline.planner import Plan
from executor.pipeline.run import Run


@dataclass
class Outcome:
    """How the run ended. `error` is the first cause, None for a complete job."""

    error: LavaExecError | None = None
    action: str = ""
    level: str = ""
    seq: int = -1  # journal line of the cause


class Engine:
    """Runs one plan once."""

    def __init__(self, plan: Plan, context: JobContext) -> None:
        self.plan = plan
        self.context = context
        self.outcome = Outcome()
        self._started: list[Run] = []  # runs whose cleanup is due
        self._finalized = False

    def run(self) -> Outcome:
        """Run all blocks, then clean up and finalize exactly once."""
        blocks = [a for a in self.plan.actions if a.section != "finalize"]
        try:
            for action in blocks:
                self._action(action, self.context.deadline)
        except Aborted:
            self.outcome = self._blame(JobCanceled("the job was canceled, twice"), None)
        except LavaExecError as error:
            self.outcome = self._blame(error, None)
        self._finish()
        return self.outcome

    # -- one action ---------------------------------------------------------------------------------------------

    def _action(self, action: Action, parent: Deadline, outer: int = 1) -> None:
        deadline = Deadline.after(action.limit).sooner(parent)
        last: LavaExecError | None = None
        for attempt in range(1, action.max_attempts + 1):
            try:
                self._attempt(action, deadline, attempt, outer)
            except LavaExecError as error:
                last = last or error if action.repeat else error
                again = attempt < action.max_attempts and self._may_retry(error, action, deadline)
                if action.max_attempts > 1:
                    self._log(
                        journal.WARNING if again else journal.ERROR,
                        f"{action.name} failed: {attempt} of {action.max_attempts} attempts. '{error.message}'",
                    )
                if not again:
                    raise
                self._undo(action)
                time.sleep(min(action.retry_interval, deadline.remaining))
            else:
                if not action.repeat:
                    return
        if last is not None:
            raise last

    def _may_retry(self, error: LavaExecError, action: Action, deadline: Deadline) -> bool:
        return error.retryable and deadline.remaining > action.retry_interval

    def _attempt(self, action: Action, deadline: Deadline, attempt: int, outer: int) -> None:
        run = Run(action, self.context, deadline, attempt, attempt if action.max_attempts > 1 else outer)
        self._started.append(run)
        start = time.monotonic()
        self._mark_start(action, run)
        error: LavaExecError | None = None
        try:
            self._work(action, run)
        except LavaExecError as caught:
            error = self._reclass(caught, action)
        except (TimeoutError, Exception) as caught:  # noqa: BLE001 - anything else is converted, nothing is swallowed
            error = self._convert(caught, action, run)
        if error is not None:
            self._blame(error, action)
            run.results["fail"] = error.message
        self._mark_end(action, run, time.monotonic() - start, error)
        if error is not None:
            raise error

    def _work(self, action: Action, run: Run) -> None:
        self.context.interrupts.check()
        self._expire(action, run)
        action.run(run)
        for child in action.children:
            self._action(child, run.deadline, run.outer)
            self.context.journal.current = (action.name, action.level)
        action.after(run)

    def _expire(self, action: Action, run: Run) -> None:
        if run.deadline.expired:
            raise TimeoutError(f"{action.name}: no time left")

    def _convert(self, caught: BaseException, action: Action, run: Run) -> LavaExecError:
        if not isinstance(caught, TimeoutError):
            self._log(journal.EXCEPTION, "".join(traceback.format_exception(caught)).rstrip())
            return Bug(
                f"{type(caught).__name__} in {action.name}: {caught}", "please report this with the log"
            )
        context = self.context
        if context.deadline.expired:
            return JobTimeout(
                f"job timed out after {context.deadline.limit:.0f} seconds, in {action.name}",
                "raise timeouts.job, or see in the log which action took the time",
            )
        kind = timeout_class(action.timeout_error)
        if run.deadline.expired:
            seconds = f"{run.deadline.limit:.0f}"
            self._log(journal.DEBUG, f"{action.name}: timeout. {seconds} seconds")
            text = f"{action.name} timed out after {seconds} seconds"
            return kind(
                f"{text}: {caught}" if str(caught) else text, f"timeouts.actions.{action.name} sets its limit"
            )
        return kind(
            f"{action.name}: {caught}", f"timeouts.connections.{action.name} sets the limit of one operation"
        )

    def _reclass(self, error: LavaExecError, action: Action) -> LavaExecError:
        """A program that ran out of time says JobTimeout; whose fault that is, the action knows."""
        if type(error) is not JobTimeout or error.place is not None:
            return error
        kind = timeout_class(action.timeout_error)
        return error if kind is JobTimeout else kind(error.message, error.hint)

    # -- records ------------------------------------------------------------------------------------------------

    def _mark_start(self, action: Action, run: Run) -> None:
        self.context.journal.current = (action.name, action.level)
        top = "." not in action.level
        limit = min(action.limit, run.deadline.remaining)
        text = f"start: {action.level} {action.name} (timeout {clock(limit + 0.5)}) [{action.namespace}]"
        self._log(journal.INFO if top else journal.DEBUG, text)
        mark = journal.ActionMark(
            "start",
            action.name,
            action.level,
            attempt=run.attempt,
            max_attempts=action.max_attempts,
            timeout=limit,
            section=action.section,
            namespace=action.namespace,
        )
        self._log(journal.ACTION, mark)

    def _mark_end(self, action: Action, run: Run, seconds: float, error: LavaExecError | None) -> None:
        if run.results:
            record = {
                "definition": "lava",
                "case": action.name,
                "result": "fail" if error else "pass",
                "level": action.level,
                "duration": f"{seconds:.2f}",
                "namespace": action.namespace,
                "extra": run.results,
            }
            if action.max_attempts > 1:
                record["attempt"] = run.attempt
            self._log(journal.RESULTS, record)
        top = "." not in action.level
        self.context.journal.current = (action.name, action.level)
        text = f"end: {action.level} {action.name} (duration {clock(seconds)}) [{action.namespace}]"
        self._log(journal.INFO if top else journal.DEBUG, text)
        mark = journal.ActionMark(
            "end",
            action.name,
            action.level,
            attempt=run.attempt,
            max_attempts=action.max_attempts,
            duration=round(seconds, 3),
            result="fail" if error else "pass",
            error_type=error.error_type if error else "",
            error_msg=error.message if error else "",
            section=action.section,
            namespace=action.namespace,
        )
        self._log(journal.ACTION, mark)

    def _log(self, level: str, msg: object) -> int:
        return self.context.journal.record(level, msg)

    def _blame(self, error: LavaExecError, action: Action | None) -> Outcome:
        """Log an error once, where it arose; how the job would end by it."""
        if error.place is None:
            seq = self._log(journal.EXCEPTION, f"{type(error).__name__}: {error.message}")
            error.place = (action.name if action else "", action.level if action else "", seq)
        return Outcome(error, *error.place)

    # -- the end ------------------------------------------------------------------------------------------------

    def _undo(self, action: Action) -> None:
        """Clean up all attempts below `action`, before it is tried again."""
        below = {id(a) for a in action.walk()}
        due = [run for run in self._started if id(run.action) in below]
        self._started = [run for run in self._started if id(run.action) not in below]
        for run in sorted(due, key=_by_level):
            self._cleanup(run, self.context.deadline)

    def _cleanup(self, run: Run, deadline: Deadline) -> LavaExecError | None:
        run.deadline = deadline
        try:
            run.action.cleanup(run)
        except LavaExecError as error:
            self._log(journal.ERROR, f"cleanup of {run.action.name}: {error.message}")
            return error
        except Exception as error:  # noqa: BLE001 - one broken cleanup must not keep the others from running
            self._log(journal.ERROR, f"cleanup of {run.action.name}: {type(error).__name__}: {error}")
            return InfrastructureError(f"cleanup of {run.action.name} failed: {error}")
        return None

    def _finish(self) -> None:
        try:
            with self.context.interrupts.shield():
                self._cleanup_all()
                self._finalize()
        except Aborted:
            self._log(journal.ERROR, "aborted by a second cancel; the agent ends what is left")

    def _cleanup_all(self) -> None:
        budget = Deadline.after(self.context.worker.limits.cleanup_seconds)
        if self.outcome.error is not None:
            self._log(journal.INFO, "cleaning after the job")
        first: LavaExecError | None = None
        for run in sorted(self._started, key=_by_level):
            error = self._cleanup(run, budget)
            first = first or error
        self._started.clear()
        if first is not None and self.outcome.error is None:
            late = InfrastructureError(f"the job passed, but its cleanup failed: {first.message}")
            self.outcome = self._blame(late, None)

    def _finalize(self) -> None:
        if self._finalized:
            return
        self._finalized = True
        for action in self.plan.actions:
            if action.section == "finalize":
                try:
                    self._action(action, Deadline.after(max(action.limit, 1)))
                except LavaExecError as error:
                    self._log(journal.ERROR, f"finalize: {error.message}")


def _by_level(run: Run) -> tuple[int, ...]:
    return tuple(int(part) for part in run.action.level.split("."))
