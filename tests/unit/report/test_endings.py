# SPDX-License-Identifier: Apache-2.0
"""Every way in which a job can end, as the one line a person reads: who has to act, what happened, where.

The first table has the endings that the runner tells itself, the second those that the host's side finds out
when the runner could not, the third those that only the master knows.
"""

from __future__ import annotations

import io

import pytest

from executor import errors
from executor.container.ending import Ending, explain
from executor.errors import ExitCode, LavaExecError, tree, who_acts
from executor.model import journal
from executor.model.journal import Header
from executor.pipeline.engine import Outcome
from executor.report.outcome import verdict
from executor.report.style import Style
from executor.report.summarize import summarize
from executor.report.summary import TESTED, Summary
from executor.runner.journal import JournalBroken, JournalFull
from executor.runner.words import end_of
from executor.testing.book import Book

WRITER, ADMIN, DEVELOPERS = "the test writer", "the lab admin", "the developers of lava-exec"


def begun() -> Book:
    """A job whose second attempt to log in is under way: its last log line is number 4."""
    book = Book()
    book.add(journal.HEADER, Header(job_id="7"))
    book.start("2", "boot-retry", max_attempts=3, section="boot")
    book.start("2.1", "login-action")
    book.finish("2.1", "login-action", "fail", error_type="Job", error_msg="no prompt")
    book.finish("2", "boot-retry", "fail", error_type="Job", error_msg="no prompt", max_attempts=3)
    book.start("2", "boot-retry", max_attempts=3, attempt=2, section="boot")
    book.start("2.1", "login-action")
    book.target("some text of the console")
    return book


def read(book: Book) -> Summary:
    return summarize(io.BytesIO(book.data))


def sentence(summary: Summary) -> str:
    cause = summary.cause()
    assert cause is not None
    return cause.sentence()


def lead(who: str) -> str:
    return "nobody has to act" if who == "nobody" else f"for {who}"


PLACE = "2.1 login-action, attempt 2 of 3, log line 7"
BY_RUNNER = {
    "panic": (errors.JobError("Kernel panic - not syncing: no init"), WRITER, "Job", 2),
    "block-timeout": (errors.JobTimeout("login-action timed out after 60 seconds"), WRITER, "Job", 5),
    "job-timeout": (
        errors.JobTimeout("job timed out after 600 seconds, in login-action"),
        WRITER,
        "Job",
        5,
    ),
    "connection-timeout": (
        errors.InfrastructureTimeout("reset-device: waited 30 seconds for 'ok'"),
        ADMIN,
        "Infrastructure",
        3,
    ),
    "test-timeout": (
        errors.TestTimeout("lava-test-shell timed out after 10 seconds in 0_x"),
        WRITER,
        "Test",
        5,
    ),
    "test-raise": (errors.TestError("0_x: lava-test-raise no-network"), WRITER, "Test", 2),
    "install-failed": (errors.TestError("0_x: install failed"), WRITER, "Test", 2),
    "download": (
        errors.InfrastructureError("http://x/k: 503 Service Unavailable"),
        ADMIN,
        "Infrastructure",
        3,
    ),
    "power": (errors.InfrastructureError("hard_reset: pdu ended with 1"), ADMIN, "Infrastructure", 3),
    "connection-closed": (errors.ConnectionClosed("the console has ended"), ADMIN, "Infrastructure", 3),
    "fastboot": (
        errors.FastbootDeviceNotFound("fastboot sees no device"),
        ADMIN,
        "FastbootDeviceNotFound",
        3,
    ),
    "device-file": (
        errors.ConfigurationError("device has no command hard_reset"),
        ADMIN,
        "Configuration",
        3,
    ),
    "multinode": (errors.MultinodeTimeout("lava-wait ready: nobody sent it"), WRITER, "MultinodeTimeout", 5),
    "log-too-long": (JournalFull(1 << 30), WRITER, "Job", 2),
    "disk-full": (JournalBroken("No space left on device"), ADMIN, "Infrastructure", 3),
    "canceled": (errors.JobCanceled("the job was canceled"), "nobody", "Canceled", 4),
    "bug": (errors.Bug("KeyError in login-action: 'x'"), DEVELOPERS, "Bug", 70),
}


@pytest.mark.parametrize("name", BY_RUNNER)
def test_endings_that_the_runner_tells(name: str) -> None:
    error, who, error_type, code = BY_RUNNER[name]
    book = begun()
    seq = book.add(journal.EXCEPTION, f"{type(error).__name__}: {error.message}")
    end = end_of(Outcome(error, "login-action", "2.1", seq), None, 12.0)
    book.add(journal.END, end)
    summary = read(book)
    assert sentence(summary) == f"{lead(who)}: {error.message} ({PLACE})"
    assert (end.error_type, end.exit_code) == (error_type, code)
    assert end.health == ("Canceled" if name == "canceled" else "Incomplete")
    assert summary.counts == {}, "no ending is booked as a failed test"


BY_HOST = {
    "killed": (Ending(exit_code=137), ADMIN, "the runner died: killed by SIGKILL", 3),
    "crashed": (Ending(exit_code=139), ADMIN, "the runner died: killed by SIGSEGV", 3),
    "no-end-record": (
        Ending(exit_code=1),
        ADMIN,
        "the runner died: exit code 1, without an end record",
        3,
    ),
    "out-of-memory": (
        Ending(exit_code=137, out_of_memory=True),
        ADMIN,
        "the job ran out of memory: its container had 512 MiB",
        3,
    ),
    "disk": (Ending(disk=3 << 20), WRITER, "the job's files took 3 MiB, 2 MiB are allowed", 2),
    "overdue": (
        Ending(overdue=True),
        ADMIN,
        "the runner did not end at the job's timeout and had to be killed",
        3,
    ),
    "canceled": (
        Ending(canceled="by jane", killed=True),
        "nobody",
        "the job was canceled: by jane (it did not end when asked and had to be killed)",
        4,
    ),
    "engine-lost": (
        Ending(engine_lost="no answer"),
        ADMIN,
        "the container engine was lost while the job ran: no answer",
        3,
    ),
    "container-removed": (
        Ending(vanished=True),
        ADMIN,
        "the job's container was removed while it ran",
        3,
    ),
}


@pytest.mark.parametrize("name", BY_HOST)
def test_endings_that_the_hosts_side_finds_out(name: str) -> None:
    """The journal is completed by somebody who does not know where the runner was: the journal knows."""
    ending, who, what, code = BY_HOST[name]
    book = begun()
    end = explain(ending, memory_mib=512, disk_mib=2)
    end.seq = book.add(journal.EXCEPTION, end.error_msg)
    book.add(journal.END, end)
    assert sentence(read(book)) == f"{lead(who)}: {what} ({PLACE})"
    assert end.exit_code == code
    assert end.hint or name == "canceled", "the next step"


BY_MASTER = {
    "agent-lost": ("Infrastructure", "worker w1 has not been heard of for 900 s", ADMIN, 3),
    "canceled": ("Canceled", "canceled by jane", "nobody", 4),
}


@pytest.mark.parametrize("name", BY_MASTER)
def test_endings_that_only_the_master_knows(name: str) -> None:
    error_type, text, who, code = BY_MASTER[name]
    summary = read(begun())
    summary.conclude("Canceled" if code == 4 else "Incomplete", code, error_type, text)
    assert sentence(summary) == f"{lead(who)}: {text} ({PLACE.rsplit(', ', 1)[0]})", (
        "no line shows it, but the action in which it happened is known"
    )
    assert summary.exit_code == code


def test_a_job_that_never_had_a_journal() -> None:
    summary = Summary()
    summary.conclude("Incomplete", 3, "Infrastructure", "no container engine answers")
    assert sentence(summary) == "for the lab admin: no container engine answers"
    assert verdict(summary, Style()).splitlines()[0] == "Incomplete: no test cases in 0.0 s"


def test_the_journals_own_end_is_not_overruled() -> None:
    book = begun()
    book.add(journal.END, end_of(Outcome(), None, 1.0))
    summary = read(book)
    summary.conclude("Incomplete", 3, "Infrastructure", "silent")
    assert summary.cause() is None


def test_validation() -> None:
    """No action has run: the place is that of the exception."""
    book = Book()
    seq = book.add(journal.EXCEPTION, "JobError: unknown key")
    book.add(journal.END, end_of(Outcome(errors.JobError("unknown key"), "validate", "0", seq), None, 0.1))
    assert sentence(read(book)) == "for the test writer: unknown key (0 validate, log line 0)"


def test_failed_and_unknown_cases_have_their_attempts() -> None:
    book = Book()
    for attempt in (1, 2):
        book.start("3", "lava-test-retry", max_attempts=2, attempt=attempt)
        book.result("0_x", "a", "fail" if attempt == 2 else "pass")
        book.finish("3", "lava-test-retry", max_attempts=2, attempt=attempt)
    book.add(journal.END, end_of(Outcome(), None, 1.0))
    assert sentence(read(book)) == (
        f"for {TESTED}: 1 of 2 test cases did not pass: 0_x/a in attempt 2 (log line 4)"
    )


def test_records_named_in_a_hint_become_lines_of_the_log() -> None:
    book = begun()
    seq = book.target("Kernel panic")
    error = errors.JobError("panic", f"the trace begins at journal record {seq}")
    book.add(journal.END, end_of(Outcome(error, "login-action", "2.1", seq), None, 1.0))
    cause = read(book).cause()
    assert cause is not None
    assert cause.hint == f"the trace begins at log line {cause.line}"


@pytest.mark.parametrize("kind", list(tree()), ids=lambda kind: kind.__name__)
def test_every_error_says_who_has_to_act(kind: type[LavaExecError]) -> None:
    assert kind.who
    assert kind.exit_code not in (ExitCode.OK, ExitCode.TEST_FAILED)
    assert who_acts(kind.error_type)
    told = {row[0].__class__ for row in BY_RUNNER.values()}
    assert kind in told or kind in (LavaExecError, errors.UsageError), "its ending stands in the table above"


def test_nobody_knows_who_acts_on_a_made_up_error() -> None:
    assert who_acts("Weather") == ""
