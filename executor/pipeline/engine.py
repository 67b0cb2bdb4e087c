# SPDX-License-Identifier: Apache-2.0
"""Carries out a plan: timing, retries, results, cleanup and finalize, whatever the ending.

Spec: action-pipeline §1 (phases), §4 (errors), §5 (finalize guarantee). The first cause of a failure is the
one that is reported; what goes wrong afterwards is logged.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from executor.errors import Bug, InfrastructureError, JobCanceled, LavaExecError
from executor.model import journal
from executor.model.deadline import Deadline
from executor.pipeline.action import Action
from executor.pipeline.cleanups import Cleanups
from executor.pipeline.context import JobContext
from executor.pipeline.expiry import TIMEOUTS, Limit, explain, is_unexplained
from executor.pipeline.interrupt import Aborted
from executor.pipeline.log import clock
from executor.pipeline.planner import Plan
from executor.pipeline.records import mark_end, mark_start
from executor.pipeline.run import Run

_FINALIZE_LEAST = 10.0  # seconds that power-off gets whatever the job's limits say
_FINALIZE_ABORTED = 30.0  # seconds at most after a second cancel
_WATCHED = ("boot", "test")  # sections in which a dead device ends the job before the next action begins


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
        self._cleanups = Cleanups(context.journal)
        self._counts: Counter[int] = Counter()  # by id of the action: how often it was run
        self._aborted = False
        self._finalized = False

    def run(self) -> Outcome:
        """Run all blocks, then clean up and finalize exactly once."""
        try:
            for action in self.plan.actions:
                if action.section != "finalize":
                    self._block(action)
        except Aborted:
            self._aborted = True
            self.outcome = self._blame(_canceled_twice(), None)
        except LavaExecError as error:
            self.outcome = self._blame(error, None)
        except Exception as error:  # noqa: BLE001 - a fault of the engine itself still has to power the device off
            self.outcome = self._blame(self._bug(error, "the engine"), None)
        self._finish()
        return self.outcome

    # -- one action ----------------------------------------------------------------------------------------

    def _block(self, action: Action) -> None:
        """A top action. A timeout that the block wants skipped is told, and the job goes on."""
        if action.block is not None:
            self.context.attend(action.block.connection_namespace)
        try:
            self._action(action, Limit(self.context.deadline))
        except TIMEOUTS as error:
            if not action.skip_timeout or self.context.deadline.expired:
                raise
            text = f"{action.name}: the job goes on, as the block asks for: {error.message}"
            self._log(journal.WARNING, text)

    def _action(self, action: Action, outside: Limit, *, retried: bool = False) -> None:
        limit = outside.within(action, self._seconds(action))
        retried = retried or action.max_attempts > 1
        first: LavaExecError | None = None  # failure of a repeat, which goes on in spite of it
        for attempt in range(1, action.max_attempts + 1):
            if attempt > 1:
                self._tell_next(action, attempt, limit.deadline)
            try:
                self._attempt(action, limit, attempt, retried=retried)
            except LavaExecError as error:
                if action.max_attempts > 1 and not isinstance(error, JobCanceled):
                    self._tell_failure(action, attempt, error)
                if action.repeat and first is None and error.retryable:
                    first = error
                if not error.retryable:
                    raise
                if attempt == action.max_attempts or not self._may_retry(action, limit.deadline):
                    raise first or error from None
                self._again(action, limit.deadline)
            else:
                if not action.repeat:
                    return
        if first is not None:
            raise first

    def _seconds(self, action: Action) -> float:
        return max(action.limit, _FINALIZE_LEAST) if action.section == "finalize" else action.limit

    def _tell_failure(self, action: Action, attempt: int, error: LavaExecError) -> None:
        level = journal.WARNING if attempt < action.max_attempts else journal.ERROR
        text = f"{action.name} failed: {attempt} of {action.max_attempts} attempts. '{error.message}'"
        self._log(level, text)

    def _tell_next(self, action: Action, attempt: int, deadline: Deadline) -> None:
        word = "repeat" if action.repeat else "retry"
        text = f"{word}: {action.level} {action.name}, {attempt} of {action.max_attempts}"
        self._log(journal.INFO, f"{text} (timeout {clock(deadline.remaining + 0.5)}) [{action.namespace}]")

    def _may_retry(self, action: Action, deadline: Deadline) -> bool:
        if deadline.remaining <= action.retry_interval:
            self._log(journal.WARNING, f"{action.name}: no time is left for another attempt")
            return False
        if not self._revivable(action):
            self._log(journal.WARNING, f"{action.name}: not tried again, it cannot bring the device back")
            return False
        return True

    def _revivable(self, action: Action) -> bool:
        """Could another attempt meet a device that answers?"""
        if any(a.restarts_device for a in action.walk()):
            return True
        console = Run(action, self.context, self.context.deadline).connected
        if console is None or action.section not in _WATCHED:
            return True
        try:
            console.check()
        except LavaExecError:
            return False
        return not console.closed

    def _again(self, action: Action, deadline: Deadline) -> None:
        """Between two attempts: clean up below `action`, wait."""
        self._undo(action)
        console = Run(action, self.context, self.context.deadline).connected
        if console is not None and any(a.restarts_device for a in action.walk()):
            console.expect_reset()  # a fault of the last attempt is of the past
        with self._window(action):
            time.sleep(min(action.retry_interval, deadline.remaining))

    def _attempt(self, action: Action, limit: Limit, attempt: int, *, retried: bool) -> None:
        self._counts[id(action)] += 1
        run = Run(action, self.context, limit, attempt, self._counts[id(action)])
        self._cleanups.add(run)
        start = time.monotonic()
        mark_start(self.context.journal, action, run)
        error: LavaExecError | None = None
        try:
            self._work(action, run, retried=retried)
        except Aborted:
            self._aborted = True
            error = _canceled_twice()
        except Exception as caught:  # noqa: BLE001 - converted, nothing is swallowed
            error = self._convert(caught, action, run, time.monotonic() - start)
        if error is not None:
            self._blame(error, action)
            run.results["fail"] = error.message
        mark_end(self.context.journal, action, run, time.monotonic() - start, error, retried=retried)
        if error is not None:
            raise error

    def _work(self, action: Action, run: Run, *, retried: bool) -> None:
        with self._window(action):
            if run.deadline.expired:
                raise TimeoutError
            if action.section in _WATCHED and run.connected is not None:
                run.connected.check()
            action.run(run)
        late: LavaExecError | None = None
        for child in action.children:
            if not child.applies(Run(child, self.context, run.limit)):
                self._log(journal.INFO, f"{child.level} {child.name} is left out: nothing needs it")
                continue
            try:
                self._action(child, run.limit, retried=retried)
            except LavaExecError as error:
                if error.retryable and action.forgives(run, error):
                    self._log(journal.INFO, f"{action.name}: that is an answer, the job goes on")
                    break
                if action.section != "finalize":
                    raise
                late = late or error  # power that cannot be switched is no reason to leave consoles open
            self.context.journal.current = (action.name, action.level)
        with self._window(action):
            action.after(run)
        if late is not None:
            raise late

    def _window(self, action: Action) -> AbstractContextManager[None]:
        """Where signals may break in. Finalize can only be aborted."""
        interrupts = self.context.interrupts
        return interrupts.cleaning() if action.section == "finalize" else interrupts.work()

    def _convert(self, caught: Exception, action: Action, run: Run, seconds: float) -> LavaExecError:
        if is_unexplained(caught):
            if run.deadline.expired:
                self._log(journal.DEBUG, f"{action.name}: timeout. {run.deadline.limit:.0f} seconds")
            return explain(action, run, caught, seconds)
        if isinstance(caught, LavaExecError):
            return caught
        hidden = _interrupt_behind(caught)
        return hidden if hidden is not None else self._bug(caught, action.name)

    # -- records -------------------------------------------------------------------------------------------

    def _log(self, level: str, msg: object) -> int:
        return self.context.journal.record(level, msg)

    def _bug(self, caught: Exception, where: str) -> Bug:
        import traceback

        self._log(journal.EXCEPTION, "".join(traceback.format_exception(caught)).rstrip())
        return Bug(f"{type(caught).__name__} in {where}: {caught}", "please report this with the log")

    def _blame(self, error: LavaExecError, action: Action | None) -> Outcome:
        """Log an error once, where it arose; how the job would end by it."""
        if error.place is None:
            seq = self._log(journal.EXCEPTION, f"{type(error).__name__}: {error.message}")
            error.place = (action.name if action else "", action.level if action else "", seq)
        return Outcome(error, *error.place)

    # -- the end -------------------------------------------------------------------------------------------

    def _undo(self, action: Action) -> None:
        """Clean up all attempts below `action`, before it is tried again."""
        with self._abortable():
            self._cleanups.below(action, self.context.deadline)
        if self._aborted:
            raise _canceled_twice()

    def _finish(self) -> None:
        if self.outcome.error is not None:
            self._log(journal.INFO, "cleaning after the job")
        if not self._aborted:
            with self._abortable():
                self._cleanup_all()
        with self._abortable():
            self._finalize()

    @contextmanager
    def _abortable(self) -> Iterator[None]:
        """Something of the end that one more cancel breaks off."""
        try:
            with self.context.interrupts.cleaning():
                yield
        except Aborted:
            self._aborted = True
            self._log(journal.ERROR, "broken off by one more cancel")

    def _cleanup_all(self) -> None:
        error = self._cleanups.everything(Deadline.after(self.context.worker.limits.cleanup_seconds))
        if error is not None and self.outcome.error is None:
            late = InfrastructureError(f"the job passed, but its cleanup failed: {error.message}")
            self.outcome = self._blame(late, None)

    def _finalize(self) -> None:
        if self._finalized:
            return
        self._finalized = True
        for action in self.plan.actions:
            if action.section == "finalize":
                seconds = min(self._seconds(action), _FINALIZE_ABORTED if self._aborted else float("inf"))
                try:
                    self._action(action, Limit(Deadline.after(seconds), action))
                except LavaExecError as error:
                    self._log(journal.ERROR, f"finalize: {error.message}")


def _canceled_twice() -> JobCanceled:
    return JobCanceled("the job was canceled, twice")


def _interrupt_behind(caught: BaseException) -> LavaExecError | None:
    """An interrupt that hit a `with` while it was entered comes out as what that statement complained of."""
    behind = caught.__context__
    while behind is not None:
        if isinstance(behind, JobCanceled):
            return behind
        behind = behind.__context__
    return None
