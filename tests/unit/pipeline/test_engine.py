# SPDX-License-Identifier: Apache-2.0
"""The engine's promises: order, retries, first cause, cleanup once, finalize once."""

from __future__ import annotations

from pathlib import Path

import pytest

from executor.console.faults import Fault, KernelFault, Kind
from executor.errors import (
    Bug,
    ConfigurationError,
    ConnectionClosed,
    InfrastructureError,
    InfrastructureTimeout,
    JobCanceled,
    JobError,
    JobTimeout,
    LavaExecError,
    TestError,
    TestTimeout,
)
from executor.model import journal
from executor.model.deadline import Deadline
from executor.model.job import Block
from executor.pipeline.action import Action
from executor.pipeline.engine import Engine, Outcome
from executor.pipeline.planner import Plan
from executor.pipeline.run import Run
from executor.testing.clock import FakeClock
from executor.testing.console import FakeClock as PortClock
from executor.testing.console import MemorySink, ScriptedConsole, ScriptedPort
from executor.testing.journal import MemoryJournal
from executor.testing.pipeline import JOB_SECONDS, Scene


class Step(Action):
    """Does what it is told, once an attempt; a number lets so many seconds pass."""

    name = "step"

    def __init__(
        self, *behaviours: Exception | float | None, seen: list[str] | None = None, tag: str = "step"
    ) -> None:
        self.behaviours, self.seen, self.tag = list(behaviours), [] if seen is None else seen, tag
        self.limit, self.section = 60, "boot"
        self.runs: list[Run] = []

    def run(self, run: Run) -> None:
        self.seen.append(f"run {self.tag}")
        self.runs.append(run)
        behaviour = self.behaviours.pop(0) if self.behaviours else None
        if isinstance(behaviour, Exception):
            raise behaviour
        if behaviour is not None:
            clock = run.deadline._clock  # noqa: SLF001
            assert isinstance(clock, FakeClock)
            clock.advance(behaviour)
            if run.deadline.expired:
                raise TimeoutError("waited for '=>'")

    def cleanup(self, run: Run) -> None:
        self.seen.append(f"cleanup {self.tag}")


class Slow(Step):
    name = "slow"
    timeout_error = InfrastructureError


class Checked(Step):
    name = "checked"
    timeout_error = TestError


class End(Step):
    name = "finalize"

    def __init__(self, *behaviours: Exception, seen: list[str] | None = None) -> None:
        super().__init__(*behaviours, seen=seen, tag="finalize")
        self.section, self.level = "finalize", "9"


class Parent(Action):
    name = "parent"


def parent(*children: Action, attempts: int = 1, repeat: bool = False, limit: int = 60) -> Action:
    node = Parent()
    node.section, node.limit = children[0].section, limit
    node.max_attempts, node.repeat, node.retry_interval = attempts, repeat, 0
    node.children = children
    return node


def number(action: Action, level: str) -> None:
    action.level = action.level or level
    for n, child in enumerate(action.children, 1):
        number(child, f"{level}.{n}")


def engine(tmp_path: Path, *actions: Action, job_seconds: float = JOB_SECONDS) -> tuple[Engine, Scene]:
    scene = Scene(tmp_path)
    scene.context.deadline = Deadline.after(job_seconds, scene.clock)
    for n, action in enumerate(actions, 1):
        number(action, str(n))
    return Engine(Plan(scene.context.job, scene.context.device, list(actions)), scene.context), scene


def run(tmp_path: Path, *actions: Action, job_seconds: float = JOB_SECONDS) -> tuple[Outcome, MemoryJournal]:
    made, scene = engine(tmp_path, *actions, job_seconds=job_seconds)
    return made.run(), scene.journal


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


def test_what_goes_wrong_while_cleaning_up_does_not_hide_the_cause(tmp_path: Path) -> None:
    class Dirty(Step):
        name = "dirty"

        def cleanup(self, run: Run) -> None:
            raise InfrastructureError("relay stuck")

    outcome, memory = run(tmp_path, parent(Dirty(JobError("cause"))), End(JobError("late")))
    assert outcome.error is not None
    assert outcome.error.message == "cause"
    assert any("relay stuck" in text for text in memory.messages(journal.ERROR))


@pytest.mark.parametrize("fault", [JobError("relay stuck"), OSError("relay stuck")])
def test_a_cleanup_that_fails_after_success_is_infrastructure(tmp_path: Path, fault: Exception) -> None:
    class Dirty(Step):
        name = "dirty"

        def cleanup(self, run: Run) -> None:
            raise fault

    seen: list[str] = []
    outcome, _ = run(tmp_path, parent(Dirty(), Step(seen=seen)), End(seen=seen))
    assert isinstance(outcome.error, InfrastructureError)
    assert "relay stuck" in outcome.error.message
    assert seen == ["run step", "cleanup step", "run finalize"], (
        "one broken cleanup keeps no other from running"
    )


def test_a_fault_seen_elsewhere_breaks_into_the_next_action(tmp_path: Path) -> None:
    seen: list[str] = []
    made, scene = engine(tmp_path, parent(Step(seen=seen)), End(seen=seen))
    scene.context.interrupts.throw(JobError("the device printed too much"))
    outcome = made.run()
    assert isinstance(outcome.error, JobError)
    assert seen == ["run finalize"]


def test_a_fault_of_the_engine_itself_still_powers_the_device_off(tmp_path: Path) -> None:
    seen: list[str] = []
    top = parent(Step(seen=seen))
    made, _ = engine(tmp_path, top, End(seen=seen))
    top.max_attempts = None  # type: ignore[assignment]
    outcome = made.run()
    assert isinstance(outcome.error, Bug)
    assert seen == ["run finalize"]


# -- retries


def test_nested_retries_divide_nothing_and_number_every_record(tmp_path: Path) -> None:
    inner_failures = [JobError(str(n)) for n in range(3)]
    step = Step(*inner_failures)
    top = parent(parent(step, attempts=2), attempts=2)
    outcome, memory = run(tmp_path, top, End())
    assert outcome.error is None
    assert [r.attempt for r in step.runs] == [1, 1, 1, 1], "the step itself is no retry"
    assert [r.outer for r in step.runs] == [1, 2, 3, 4]
    fails = [(r["level"], r["attempt"]) for r in memory.results()]
    assert fails == [("1.1.1", 1), ("1.1", 1), ("1.1.1", 2), ("1.1", 2), ("1", 1), ("1.1.1", 3), ("1.1", 3)]


def test_every_attempt_is_cleaned_up_exactly_once(tmp_path: Path) -> None:
    seen: list[str] = []
    top = parent(
        parent(Step(JobError("1"), JobError("2"), seen=seen, tag="in"), attempts=2),
        Step(seen=seen, tag="out"),
        attempts=2,
    )
    outcome, _ = run(tmp_path, top, End(seen=seen))
    assert outcome.error is None
    assert seen.count("run in") == seen.count("cleanup in") == 3
    assert seen.count("run out") == seen.count("cleanup out") == 1
    assert seen[-1] == "run finalize"


def test_cleanup_goes_by_level_and_before_finalize(tmp_path: Path) -> None:
    seen: list[str] = []
    children = [Step(seen=seen, tag=str(n)) for n in range(1, 12)]
    run(tmp_path, parent(*children), End(seen=seen))
    assert [s for s in seen if s.startswith("cleanup")] == [f"cleanup {n}" for n in range(1, 12)]


def test_a_repeat_tells_its_first_failure_even_when_the_last_run_fails_too(tmp_path: Path) -> None:
    top = parent(Step(JobError("first"), None, JobError("third")), attempts=3, repeat=True)
    outcome, memory = run(tmp_path, top, End())
    assert outcome.error is not None
    assert outcome.error.message == "first"
    assert [r["attempt"] for r in memory.results() if r["case"] == "parent"] == [1, 3]
    assert any(text.startswith("repeat: 1 parent, 2 of 3") for text in memory.messages(journal.INFO))


def test_a_repeat_stops_at_what_must_not_be_tried_again(tmp_path: Path) -> None:
    step = Step(JobError("first"), Bug("second"))
    outcome, _ = run(tmp_path, parent(step, attempts=3, repeat=True), End())
    assert isinstance(outcome.error, Bug)
    assert len(step.runs) == 2


def test_retries_end_where_the_deadline_would_pass(tmp_path: Path) -> None:
    step = Step(50.0, 50.0, 50.0)
    step.limit = 40
    outcome, memory = run(tmp_path, parent(step, attempts=3, limit=60), End())
    assert isinstance(outcome.error, JobTimeout)
    assert len(step.runs) == 2, "the second attempt had ten seconds left, the third none"
    assert "parent: no time is left for another attempt" in memory.messages(journal.WARNING)


def test_each_failed_attempt_is_told_in_the_fields_words(tmp_path: Path) -> None:
    _, memory = run(tmp_path, parent(Step(JobError("no"), JobError("no")), attempts=2), End())
    assert "parent failed: 1 of 2 attempts. 'no'" in memory.messages(journal.WARNING)
    assert "parent failed: 2 of 2 attempts. 'no'" in memory.messages(journal.ERROR)
    assert any(
        text.startswith("retry: 1 parent, 2 of 2 (timeout 00:01:00)") for text in memory.messages("info")
    )


# -- time


def test_a_wait_that_ran_out_takes_the_class_of_its_action(tmp_path: Path) -> None:
    outcome, memory = run(tmp_path, parent(Slow(TimeoutError("waited for '=>'"))), End())
    assert isinstance(outcome.error, InfrastructureTimeout)
    assert outcome.error.message == "slow: waited for '=>'"
    assert "timeouts.connections.slow" in outcome.error.hint
    assert not any("slow: timeout." in text for text in memory.messages(journal.DEBUG)), (
        "its limit has not passed"
    )


def test_the_own_limit_is_named_in_both_dialects(tmp_path: Path) -> None:
    outcome, memory = run(tmp_path, parent(Slow(60.0), limit=300), End())
    assert isinstance(outcome.error, InfrastructureTimeout)
    assert outcome.error.message == "slow timed out after 60 seconds: waited for '=>'"
    assert "timeouts.actions.slow" in outcome.error.hint
    assert "slow: timeout. 60 seconds" in memory.messages(journal.DEBUG)


def test_the_limit_of_the_action_around_it_is_named(tmp_path: Path) -> None:
    outcome, _ = run(tmp_path, parent(Step(20.0), Step(20.0), limit=30), End())
    assert isinstance(outcome.error, JobTimeout)
    assert "when the 30 seconds of parent had passed" in outcome.error.message
    assert "timeouts.actions.parent" in outcome.error.hint
    assert outcome.action == "step"


def test_a_block_timeout_that_holds_for_both_names_the_one_at_work(tmp_path: Path) -> None:
    outcome, _ = run(tmp_path, parent(Step(60.0), limit=60), End())
    assert outcome.error is not None
    assert outcome.error.message.startswith("step timed out after 60 seconds")


def test_the_limit_of_the_job_is_named(tmp_path: Path) -> None:
    seen: list[str] = []
    outcome, _ = run(tmp_path, parent(Slow(45.0, seen=seen)), End(seen=seen), job_seconds=40)
    assert type(outcome.error) is JobTimeout
    assert outcome.error.message == "job timed out after 40 seconds, in slow: waited for '=>'"
    assert seen == ["run step", "cleanup step", "run finalize"]


def test_nothing_begins_in_a_job_without_time(tmp_path: Path) -> None:
    seen: list[str] = []
    outcome, _ = run(tmp_path, parent(Slow(seen=seen)), End(seen=seen), job_seconds=0)
    assert isinstance(outcome.error, JobTimeout)
    assert seen == ["run finalize"], "but finalize has time of its own"


def test_a_program_that_ran_out_of_time_counts_as_its_action_says(tmp_path: Path) -> None:
    outcome, _ = run(tmp_path, parent(Slow(JobTimeout("git did not end within 45 seconds", "see"))), End())
    assert type(outcome.error) is InfrastructureTimeout
    assert (outcome.error.message, outcome.error.hint) == ("git did not end within 45 seconds", "see")


def test_what_the_action_said_of_its_timeout_is_not_said_twice(tmp_path: Path) -> None:
    class Own(Checked):
        def run(self, run: Run) -> None:
            try:
                super().run(run)
            except TimeoutError:
                raise TestTimeout("checked timed out after 60 seconds in 0_smoke", "raise it") from None

    outcome, memory = run(tmp_path, parent(Own(60.0), limit=300), End())
    assert isinstance(outcome.error, TestTimeout)
    assert outcome.error.message == "checked timed out after 60 seconds in 0_smoke"
    assert outcome.error.hint == "raise it"
    assert "checked: timeout. 60 seconds" in memory.messages(journal.DEBUG)


@pytest.mark.parametrize("after", [None, JobError("later")])
def test_a_timeout_that_the_block_skips_fails_the_block_and_not_the_job(
    tmp_path: Path, after: JobError | None
) -> None:
    seen: list[str] = []
    first = parent(Checked(90.0, seen=seen, tag="a"))
    first.skip_timeout = True
    outcome, memory = run(tmp_path, first, parent(Step(after, seen=seen, tag="b")), End(seen=seen))
    assert outcome.error is after
    assert "run b" in seen
    assert [(r["case"], r["result"]) for r in memory.results()][:2] == [
        ("checked", "fail"),
        ("parent", "fail"),
    ]
    assert any("the job goes on" in text for text in memory.messages(journal.WARNING))


def test_only_timeouts_are_skipped_and_not_the_jobs_own(tmp_path: Path) -> None:
    failing = parent(Checked(TestError("bad signal")))
    failing.skip_timeout = True
    assert isinstance(run(tmp_path, failing, End())[0].error, TestError)
    late = parent(Checked(90.0))
    late.skip_timeout = True
    assert isinstance(run(tmp_path, late, End(), job_seconds=30)[0].error, JobTimeout)


# -- namespaces


class Watching(Step):
    """Notes which consoles are in the foreground while it works."""

    name = "watching"

    def run(self, run: Run) -> None:
        self.seen += [f"{c.name} {c.foreground}" for c in run.context.consoles]
        run.results["seen"] = True


def test_only_the_console_of_the_block_at_work_is_in_the_foreground(tmp_path: Path) -> None:
    seen: list[str] = []
    action = Watching(seen=seen)
    action.namespace = "left"
    keys = {"namespace": "left", "connection-namespace": "right"}
    action.block = Block(section="test", index=0, parameters=keys, namespace="left")
    made, scene = engine(tmp_path, action, End())
    for name in ("left", "right"):
        port = ScriptedPort(PortClock(), [])
        scene.context.consoles.append(ScriptedConsole(port, MemorySink(), name=name, namespace=name))
    assert made.run().error is None
    assert seen[:2] == ["left False", "right True"]
    assert scene.journal.results()[0]["connection-namespace"] == "right"


# -- the device


class Console:
    """As much of a console as the engine asks: is it alive, is there a fatal fault?"""

    def __init__(self) -> None:
        self.fault: KernelFault | None = None
        self.closed = False
        self.resets = 0

    def check(self) -> None:
        if self.fault is not None:
            raise self.fault

    def expect_reset(self) -> None:
        self.fault, self.resets = None, self.resets + 1

    def close(self, deadline: Deadline) -> None:
        self.closed = True


PANIC = KernelFault(Fault(Kind.PANIC, "Kernel panic - not syncing: x", 7, True))


def with_console(tmp_path: Path, *actions: Action) -> tuple[Engine, Console, Scene]:
    made, scene = engine(tmp_path, *actions)
    console = Console()
    scene.namespace.console = console  # type: ignore[assignment]
    return made, console, scene


@pytest.mark.parametrize("section", ["boot", "test"])
def test_a_panic_is_seen_before_an_action_that_does_not_look_at_the_console(
    tmp_path: Path, section: str
) -> None:
    step = Step()
    step.section = section
    made, console, _ = with_console(tmp_path, parent(step), End())
    console.fault = PANIC
    assert made.run().error is PANIC
    assert step.runs == []


def test_a_deploy_is_none_of_the_old_guests_business(tmp_path: Path) -> None:
    step = Step()
    step.section = "deploy"
    made, console, _ = with_console(tmp_path, parent(step), End())
    console.fault = PANIC
    assert made.run().error is None


@pytest.mark.parametrize("error", [PANIC, ConnectionClosed("qemu: ended")])
def test_a_test_is_not_tried_again_on_a_dead_device(tmp_path: Path, error: LavaExecError) -> None:
    class Dying(Step):
        def run(self, run: Run) -> None:
            super().run(run)
            console.fault = error if isinstance(error, KernelFault) else None
            console.closed = not isinstance(error, KernelFault)
            raise error

    step = Dying()
    step.section = "test"
    made, console, scene = with_console(tmp_path, parent(step, attempts=3), End())
    assert made.run().error is error
    assert len(step.runs) == 1
    assert any("cannot bring the device back" in text for text in scene.journal.messages(journal.WARNING))


def test_a_boot_that_resets_the_device_is_tried_again_after_a_panic(tmp_path: Path) -> None:
    class Reset(Step):
        name = "reset"
        restarts_device = True

    class Login(Step):
        def run(self, run: Run) -> None:
            super().run(run)
            if len(self.runs) == 1:
                console.fault = PANIC
                raise PANIC

    login = Login()
    made, console, _ = with_console(tmp_path, parent(Reset(), login, attempts=2), End())
    assert made.run().error is None
    assert (len(login.runs), console.resets) == (2, 1)


# -- finalize


@pytest.mark.parametrize(
    "error",
    [None, JobError("x"), Bug("x"), ZeroDivisionError("x"), JobCanceled("x"), TimeoutError("x")],
)
def test_finalize_runs_exactly_once_whatever_happened(tmp_path: Path, error: Exception | None) -> None:
    seen: list[str] = []
    run(tmp_path, parent(Step(error, error, seen=seen), attempts=2), End(seen=seen))
    assert seen.count("run finalize") == 1


def test_a_power_switch_that_fails_keeps_no_console_open(tmp_path: Path) -> None:
    closed: list[str] = []

    class Whole(Step):
        name = "finalize"

        def after(self, run: Run) -> None:
            closed.append("closed")

    end, drained = Whole(), Step()
    end.children = (Step(InfrastructureError("no answer")), drained)
    for action in end.walk():
        action.section = "finalize"
    outcome, memory = run(tmp_path, parent(Step()), end)
    assert outcome.error is None, "its errors never change the verdict"
    assert closed == ["closed"]
    assert len(drained.runs) == 1
    assert "finalize: no answer" in memory.messages(journal.ERROR)


def test_a_finalize_that_runs_out_of_time_is_not_the_jobs_limit(tmp_path: Path) -> None:
    end = End(TimeoutError("the relay is silent"))
    made, scene = engine(tmp_path, parent(Step()), end)
    assert made.run().error is None
    (told,) = [text for text in scene.journal.messages(journal.ERROR) if text.startswith("finalize: ")]
    assert "job timed out" not in told
    assert "the relay is silent" in told


def test_power_off_has_time_whatever_the_job_says(tmp_path: Path) -> None:
    end = End()
    end.limit = 1
    made, _ = engine(tmp_path, parent(Step()), end)
    made.run()
    assert end.runs[0].deadline.limit >= 10


class Look(Parent):
    """Takes a failure of the lab below it for an answer."""

    name = "look"

    def forgives(self, run: Run, error: LavaExecError) -> bool:
        return isinstance(error, InfrastructureError)


class Spare(Step):
    name = "spare"

    def applies(self, run: Run) -> bool:
        return False


def test_a_failure_that_is_an_answer_ends_what_is_below_it_and_nothing_else(tmp_path: Path) -> None:
    seen: list[str] = []
    look = Look()
    look.section, look.limit = "boot", 60
    look.children = (Step(InfrastructureError("no prompt"), seen=seen), Step(seen=seen, tag="left out"))
    made, scene = engine(tmp_path, parent(look, Step(seen=seen, tag="next")), End(seen=seen))
    assert made.run().error is None
    assert seen[:2] == ["run step", "run next"]
    assert "run left out" not in seen
    assert any("that is an answer" in text for text in scene.journal.messages(journal.INFO))


@pytest.mark.parametrize("error", [JobError("no"), JobCanceled("stop"), Bug("broken")])
def test_other_failures_are_not_forgiven(tmp_path: Path, error: LavaExecError) -> None:
    look = Look()
    look.section, look.limit = "boot", 60
    look.children = (Step(error),)
    made, _ = engine(tmp_path, look, End())
    assert made.run().error is error


def test_an_action_that_does_not_apply_is_left_out_and_said_so(tmp_path: Path) -> None:
    seen: list[str] = []
    made, scene = engine(tmp_path, parent(Spare(seen=seen, tag="spare"), Step(seen=seen)), End(seen=seen))
    assert made.run().error is None
    assert "run spare" not in seen
    assert any("1.1 spare is left out" in text for text in scene.journal.messages(journal.INFO))
