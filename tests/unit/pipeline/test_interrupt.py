# SPDX-License-Identifier: Apache-2.0
"""Signals: what may break into what, and that each ending still cleans up and finalizes once."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest

from executor.errors import JobCanceled, JobError
from executor.model.journal import decode_lines
from executor.pipeline.interrupt import CANCEL, Aborted, Interrupts

CHILD = Path(__file__).with_name("child_job.py")


@pytest.fixture
def interrupts() -> Iterator[Interrupts]:
    made = Interrupts()
    made.install()
    yield made
    made.restore()


# -- the rules


@pytest.mark.parametrize("number", CANCEL)
def test_each_of_these_signals_cancels(interrupts: Interrupts, number: int) -> None:
    with pytest.raises(JobCanceled), interrupts.work():
        signal.raise_signal(number)
    assert interrupts.canceled


def test_nothing_breaks_into_the_engines_own_steps(interrupts: Interrupts) -> None:
    signal.raise_signal(signal.SIGTERM)
    with pytest.raises(JobCanceled), interrupts.work():
        pytest.fail("the action was begun")


def test_a_cancel_that_somebody_swallowed_comes_again(interrupts: Interrupts) -> None:
    with interrupts.work(), contextlib.suppress(JobCanceled):
        signal.raise_signal(signal.SIGTERM)
    with pytest.raises(JobCanceled), interrupts.work():
        pytest.fail("another action was begun")


def test_a_hold_puts_off_what_comes_until_its_end(interrupts: Interrupts) -> None:
    steps = []

    def work() -> None:
        with interrupts.hold():
            signal.raise_signal(signal.SIGTERM)
            steps.append("whole")
        steps.append("never")

    with pytest.raises(JobCanceled), interrupts.work():
        work()
    assert steps == ["whole"]


def test_a_hold_in_another_thread_holds_nothing(interrupts: Interrupts) -> None:
    entered, leave = threading.Event(), threading.Event()

    def other() -> None:
        with interrupts.hold():
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    thread.start()
    assert entered.wait(10)
    with pytest.raises(JobCanceled), interrupts.work():
        signal.raise_signal(signal.SIGTERM)
    leave.set()
    thread.join(10)


def test_cleaning_goes_on_after_the_first_cancel_and_not_after_the_second(interrupts: Interrupts) -> None:
    with interrupts.cleaning():
        signal.raise_signal(signal.SIGTERM)
    with pytest.raises(Aborted), interrupts.cleaning():
        signal.raise_signal(signal.SIGTERM)
    with interrupts.cleaning():
        pass  # the second has been told
    with pytest.raises(Aborted), interrupts.cleaning():
        signal.raise_signal(signal.SIGINT)


def test_two_cancels_before_an_action_begins_abort(interrupts: Interrupts) -> None:
    signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGTERM)
    with pytest.raises(Aborted), interrupts.work():
        pytest.fail("the action was begun")


def test_only_the_first_error_of_another_thread_is_raised_and_only_once(interrupts: Interrupts) -> None:
    first = JobError("first")
    for error in (first, JobError("second")):
        thread = threading.Thread(target=interrupts.throw, args=[error])
        thread.start()
        thread.join(10)
    with pytest.raises(JobError) as caught, interrupts.work():
        pytest.fail("the action was begun")
    assert caught.value is first
    with interrupts.work():
        pass


def test_what_is_thrown_does_not_break_into_the_cleanup(interrupts: Interrupts) -> None:
    with interrupts.cleaning():
        interrupts.throw(JobError("late"))


def test_signals_go_back_to_whom_they_belonged() -> None:
    before = signal.getsignal(signal.SIGTERM)
    made = Interrupts()
    made.install()
    assert signal.getsignal(signal.SIGTERM) is not before
    made.restore()
    assert signal.getsignal(signal.SIGTERM) is before


# -- a job in a process of its own


class Child:
    """The process; `until` reads what it tells."""

    def __init__(self, directory: Path, *behaviour: str) -> None:
        argv = [sys.executable, str(CHILD), str(directory), *behaviour]
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.told: list[str] = []

    @property
    def lines(self) -> IO[str]:
        assert self.process.stdout is not None
        return self.process.stdout

    def until(self, text: str) -> None:
        for line in self.lines:
            self.told.append(line.strip())
            if line.strip() == text:
                return
        pytest.fail(f"{text!r} was never told: {self.told}")

    def cancel(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def go_on(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def end(self) -> list[str]:
        self.told += [line.strip() for line in self.lines]
        assert self.process.wait(30) == 0
        return self.told


Start = Callable[..., Child]


@pytest.fixture
def children() -> Iterator[list[Child]]:
    made: list[Child] = []
    yield made
    for child in made:
        child.process.kill()
        child.process.wait()
        for stream in (child.process.stdin, child.process.stdout):
            if stream is not None:
                stream.close()


@pytest.fixture
def start(children: list[Child], tmp_path: Path) -> Start:
    def begin(*behaviour: str) -> Child:
        children.append(Child(tmp_path, *behaviour))
        return children[-1]

    return begin


def whole_journal(directory: Path) -> bool:
    records = decode_lines((directory / "journal.ndjson").read_bytes())
    return [record.seq for record in records] == list(range(len(records)))


def test_a_cancel_ends_the_action_cleans_up_and_finalizes(start: Start, tmp_path: Path) -> None:
    child = start("run=wait")
    child.until("run 1")
    child.cancel()
    assert child.end() == [
        "run 1",
        "cleanup first",
        "finalize",
        "outcome JobCanceled: the job was canceled",
    ], "and it was not tried again"
    assert whole_journal(tmp_path)


def test_a_cancel_during_the_cleanup_changes_nothing(start: Start) -> None:
    child = start("run=fail", "cleanup=ask", "attempts=1")
    child.until("cleanup first")
    child.cancel()
    child.go_on()
    assert child.end() == ["run 1", "cleanup first", "cleaned", "finalize", "outcome JobError: no kernel"]


def test_a_cancel_between_two_attempts_is_the_end(start: Start) -> None:
    child = start("run=fail", "cleanup=ask")
    child.until("cleanup first")
    child.cancel()
    child.go_on()
    told = child.end()
    assert told[1:4] == ["cleanup first", "cleaned", "finalize"]
    assert told[-1] == "outcome JobCanceled: the job was canceled"


def test_a_second_cancel_breaks_the_cleanup_off_and_still_finalizes_once(
    start: Start, tmp_path: Path
) -> None:
    child = start("run=wait", "cleanup=wait")
    child.until("run 1")
    child.cancel()
    child.until("cleanup first")
    child.cancel()
    assert child.end()[2:] == ["finalize", "outcome JobCanceled: the job was canceled"]
    assert whole_journal(tmp_path)


def test_a_third_cancel_breaks_finalize_off(start: Start) -> None:
    child = start("run=wait", "cleanup=wait", "finalize=wait")
    child.until("run 1")
    child.cancel()
    child.until("cleanup first")
    child.cancel()
    child.until("finalize")
    child.cancel()
    assert child.end()[3:] == ["outcome JobCanceled: the job was canceled"]


def test_a_cancel_that_an_action_swallows_ends_the_job_at_the_next(start: Start) -> None:
    child = start("run=swallow")
    child.until("run 1")
    child.cancel()
    told = child.end()
    assert "run second" not in told
    assert told[-1] == "outcome JobCanceled: the job was canceled"


def test_an_error_of_another_thread_wakes_the_action_that_waits(start: Start) -> None:
    told = start("run=wait", "throw").end()
    assert told[:3] == ["run 1", "cleanup first", "finalize"], "at once, and no second attempt"
    assert told[-1].startswith("outcome JournalBroken")
