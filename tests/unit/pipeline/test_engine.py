# SPDX-License-Identifier: Apache-2.0
"""The engine's promises: order, retries, first cause, cleanup once, finalize once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from executor.errors import (
    Bug,
    ConfigurationError,
    InfrastructureError,
    InfrastructureTimeout,
    JobCanceled,
    JobError,
    JobTimeout,
    LavaExecError,
)
from executor.model import journal
from executor.model.deadline import Deadline
from executor.model.device import Device
from executor.model.doorbell import Fetch, Fetched
from executor.model.job import Job
from executor.model.worker import Worker
from executor.pipeline.action import Action
from executor.pipeline.context import JobContext
from executor.pipeline.engine import Engine, Outcome
from executor.pipeline.interrupt import Interrupts
from executor.pipeline.planner import Plan, Site
from executor.pipeline.run import Run
from executor.testing.journal import MemoryJournal


class NoAgent:
    def fetch(self, what: Fetch, deadline: Deadline, progress: Callable[[str, int, int], None]) -> Fetched:
        raise InfrastructureError("no agent in this test")


class Step(Action):
    """Does what it is told, once an attempt."""

    name = "step"

    def __init__(self, *behaviours: LavaExecError | Exception | None, seen: list[str], tag: str = "step") -> None:
        self.behaviours, self.seen, self.tag = list(behaviours), seen, tag
        self.limit, self.level, self.section = 60, "1", "boot"

    def run(self, run: Run) -> None:
        self.seen.append(f"run {self.tag}")
        behaviour = self.behaviours.pop(0) if self.behaviours else None
        if behaviour is not None:
            raise behaviour

    def cleanup(self, run: Run) -> None:
        self.seen.append(f"cleanup {self.tag}")


class Slow(Step):
    name = "slow"
    timeout_error = InfrastructureError


class End(Step):
    name = "finalize"

    def __init__(self, *behaviours: LavaExecError, seen: list[str]) -> None:
        super().__init__(*behaviours, seen=seen, tag="finalize")
        self.section, self.level = "finalize", "9"


def parent(*children: Action, attempts: int = 1, repeat: bool = False) -> Action:
    class Parent(Action):
        name = "parent"

        def plan(self, site: Site) -> Iterable[Action]:
            return ()

    node = Parent()
    node.level, node.section, node.limit = "1", "boot", 60
    node.max_attempts, node.repeat, node.retry_interval = attempts, repeat, 0
    for n, child in enumerate(children, 1):
        child.level = f"1.{n}"
    node.children = children
    return node


def engine(tmp_path: Path, *actions: Action, job_seconds: float = 60) -> tuple[Engine, MemoryJournal]:
    memory = MemoryJournal()
    job, device = Job(job_name="t"), Device()
    context = JobContext(
        job, device, Worker("1"), memory, NoAgent(), Interrupts(), Deadline.after(job_seconds), tmp_path, tmp_path
    )
    return Engine(Plan(job, device, list(actions)), context), memory


def run(tmp_path: Path, *actions: Action) -> tuple[Outcome, MemoryJournal]:
    made, memory = engine(tmp_path, *actions)
    return made.run(), memory


def test_children_run_in_order_and_finalize_runs_last(tmp_path: Path) -> None:
    seen: list[str] = []
    top = parent(Step(seen=seen, tag="a"), Step(seen=seen, tag="b"))
    outcome, memory = run(tmp_path, top, End(seen=seen))
    assert outcome.error is None
    assert [s for s in seen if s.startswith("run")] == ["run a", "run b", "run finalize"]
    assert memory.marks() == [
        "start 1 parent",
        "start 1.1 step",
        "end 1.1 step pass",
        "start 1.2 step",
        "end 1.2 step pass",
        "end 1 parent pass",
        "start 9 finalize",
        "end 9 finalize pass",
    ]


def test_a_failure_stops_what_follows_and_marks_every_ancestor(tmp_path: Path) -> None:
    seen: list[str] = []
    top = parent(Step(JobError("no kernel"), seen=seen, tag="a"), Step(seen=seen, tag="b"))
    outcome, memory = run(tmp_path, top, End(seen=seen))
    assert isinstance(outcome.error, JobError)
    assert (outcome.action, outcome.level) == ("step", "1.1")
    assert "run b" not in seen
    failed = [(r["case"], r["extra"]["fail"]) for r in memory.results()]
    assert failed == [("step", "no kernel"), ("parent", "no kernel")]
    assert seen[-1] == "run finalize"


def test_the_cause_points_at_the_line_that_shows_it(tmp_path: Path) -> None:
    outcome, memory = run(tmp_path, parent(Step(JobError("no kernel"), seen=[])), End(seen=[]))
    record = memory.records[outcome.seq]
    assert record.lvl == journal.EXCEPTION
    assert "no kernel" in record.msg


def test_retry_cleans_up_numbers_the_attempts_and_stops_at_success(tmp_path: Path) -> None:
    seen: list[str] = []
    top = parent(Step(JobError("once"), seen=seen, tag="a"), attempts=3)
    outcome, memory = run(tmp_path, top, End(seen=seen))
    assert outcome.error is None
    assert seen == ["run a", "cleanup a", "run a", "cleanup a", "run finalize"]
    assert "start 1 parent #2" in memory.marks()
    assert "start 1 parent #3" not in memory.marks()
    assert [(r["case"], r["result"]) for r in memory.results()] == [("step", "fail"), ("parent", "fail")]


def test_the_last_failure_of_a_retry_is_the_one_reported(tmp_path: Path) -> None:
    top = parent(Step(JobError("first"), InfrastructureError("second"), seen=[]), attempts=2)
    outcome, _ = run(tmp_path, top, End(seen=[]))
    assert isinstance(outcome.error, InfrastructureError)
    assert outcome.error.message == "second"


@pytest.mark.parametrize("error", [ConfigurationError("c"), Bug("b"), JobCanceled("x")])
def test_some_errors_are_never_retried(tmp_path: Path, error: LavaExecError) -> None:
    seen: list[str] = []
    outcome, _ = run(tmp_path, parent(Step(error, seen=seen), attempts=3), End(seen=seen))
    assert outcome.error is error
    assert seen.count("run step") == 1


def test_repeat_runs_all_and_fails_with_the_first_failure(tmp_path: Path) -> None:
    seen: list[str] = []
    top = parent(Step(None, JobError("second"), seen=seen), attempts=3, repeat=True)
    outcome, memory = run(tmp_path, top, End(seen=seen))
    assert seen.count("run step") == 3
    assert isinstance(outcome.error, JobError)
    assert outcome.error.message == "second"
    assert "end 1 parent #3 pass" in memory.marks()


def test_an_unexpected_exception_is_a_bug_with_its_traceback(tmp_path: Path) -> None:
    outcome, memory = run(tmp_path, parent(Step(ZeroDivisionError("oh"), seen=[])), End(seen=[]))
    assert isinstance(outcome.error, Bug)
    assert any("Traceback" in text for text in memory.messages(journal.EXCEPTION))


def test_a_wait_that_ran_out_takes_the_class_of_its_action(tmp_path: Path) -> None:
    outcome, _ = run(tmp_path, parent(Slow(TimeoutError("waited for '=>'"), seen=[])), End(seen=[]))
    assert isinstance(outcome.error, InfrastructureTimeout)
    assert "waited for '=>'" in outcome.error.message


def test_a_job_without_time_left_times_out_as_job(tmp_path: Path) -> None:
    seen: list[str] = []
    made, _ = engine(tmp_path, parent(Slow(seen=seen)), End(seen=seen), job_seconds=0)
    outcome = made.run()
    assert isinstance(outcome.error, JobTimeout)
    assert seen == ["run finalize"], "nothing is started any more, but finalize has time of its own"


def test_what_goes_wrong_while_cleaning_up_does_not_hide_the_cause(tmp_path: Path) -> None:
    class Dirty(Step):
        name = "dirty"

        def cleanup(self, run: Run) -> None:
            raise InfrastructureError("relay stuck")

    outcome, memory = run(tmp_path, parent(Dirty(JobError("cause"), seen=[])), End(JobError("late"), seen=[]))
    assert outcome.error is not None
    assert outcome.error.message == "cause"
    assert any("relay stuck" in text for text in memory.messages(journal.ERROR))


def test_a_cleanup_that_fails_after_success_is_infrastructure(tmp_path: Path) -> None:
    class Dirty(Step):
        name = "dirty"

        def cleanup(self, run: Run) -> None:
            raise JobError("relay stuck")

    outcome, _ = run(tmp_path, parent(Dirty(seen=[])), End(seen=[]))
    assert isinstance(outcome.error, InfrastructureError)


def test_a_fault_seen_elsewhere_breaks_into_the_next_action(tmp_path: Path) -> None:
    seen: list[str] = []
    made, _ = engine(tmp_path, parent(Step(seen=seen)), End(seen=seen))
    made.context.interrupts.throw(JobError("Kernel panic - not syncing"))
    outcome = made.run()
    assert isinstance(outcome.error, JobError)
    assert seen == ["run finalize"] or seen == ["cleanup step", "run finalize"]
