# SPDX-License-Identifier: Apache-2.0
"""What a journal says about its job."""

from __future__ import annotations

import io

from executor.report import summarize as module
from executor.report.reader import JournalReader
from executor.report.summarize import summarize
from executor.report.summary import TESTED, Summary
from executor.testing.book import Book


def read(book: Book, *, excerpts: bool = False) -> Summary:
    return summarize(io.BytesIO(book.data), excerpts=excerpts)


def test_header_end_and_counts(failing_job: Book) -> None:
    found = read(failing_job)
    assert (found.header.job_id, found.header.job_name) == ("42", "smoke & co")
    assert found.end is not None
    assert found.end.health == "Complete"
    assert found.exit_code == 1
    assert found.counts == {"fail": 1, "pass": 1, "unknown": 1, "skip": 1}
    assert found.lines == 19


def test_cases_keep_their_order_and_their_places_in_the_log(failing_job: Book) -> None:
    found = read(failing_job)
    assert list(found.suites) == ["lava", "0_smoke"]
    assert [case.address for case in found.tests] == [
        "0_smoke/disk",
        "0_smoke/io/speed",
        "0_smoke/lost",
        "0_smoke/later #1",
    ]
    disk = found.tests[0]
    assert (disk.line, disk.start_line, disk.end_line) == (13, 10, 12)
    assert disk.record["starttc"] == 10


def test_durations_of_the_executor_are_measurements(failing_job: Book) -> None:
    found = read(failing_job)
    retry = next(case for case in found.cases if case.name == "boot-retry")
    assert (retry.measurement, retry.units, retry.duration) == (3.25, "seconds", 3.25)
    assert retry.attempt == 2


def test_attempts_stay_apart_in_the_tree(failing_job: Book) -> None:
    first, second = read(failing_job).actions
    assert [(a.name, a.attempt, a.result) for a in (first, second)] == [
        ("boot-retry", 1, "fail"),
        ("boot-retry", 2, "pass"),
    ]
    assert [(c.name, c.result, c.error_msg, c.duration) for c in first.children] == [
        ("login-action", "fail", "no prompt", 3.0)
    ]
    assert second.children == []
    assert first.line == 2


def test_the_excerpt_is_the_part_of_the_log_between_start_and_end(failing_job: Book) -> None:
    disk = read(failing_job, excerpts=True).tests[0]
    assert disk.excerpt.split("\n") == [
        "<LAVA_SIGNAL_STARTTC disk>",
        "I/O error & more <bad>",
        "<LAVA_SIGNAL_ENDTC disk>",
    ]


def test_a_long_excerpt_keeps_its_end_and_says_so(monkeypatch: object) -> None:
    book = Book()
    start = book.target("start")
    for number in range(20_000):
        book.target(f"line {number:05d}")
    book.result("0_x", "long", "fail", starttc=start, endtc=len(book.records) - 1)
    lines = read(book, excerpts=True).tests[0].excerpt.split("\n")
    assert lines[-1] == "line 19999"
    assert lines[0] == f"[{20_001 - (len(lines) - 1)} lines before these are left out]"
    assert sum(map(len, lines)) <= module.MAX_EXCERPT + 100


def test_definitions_that_left_no_record_are_named(failing_job: Book) -> None:
    assert read(failing_job).unseen_definitions == ["1_more"]


def test_the_cause_says_who_what_and_where(panicked_job: Book) -> None:
    cause = read(panicked_job).cause()
    assert cause is not None
    assert cause.sentence() == (
        "for the test writer: kernel panic: Fatal exception (3 lava-test-shell, log line 2)"
    )
    assert cause.hint == "see the trace"


def test_failed_cases_are_the_cause_of_a_complete_job(failing_job: Book) -> None:
    cause = read(failing_job).cause()
    assert cause is not None
    assert cause.sentence() == (
        f"for {TESTED}: 2 of 4 test cases did not pass: 0_smoke/disk, 0_smoke/lost (log line 10)"
    )


def test_a_runner_that_died_leaves_its_last_error(panicked_job: Book) -> None:
    del panicked_job.records[-1]
    found = read(panicked_job)
    assert found.end is None
    assert found.exit_code is None
    cause = found.cause()
    assert cause is not None
    assert cause.what == "JobError: kernel panic: Fatal exception"


def test_a_passed_job_has_no_cause() -> None:
    book = Book()
    book.result("0_x", "a", "pass")
    assert read(book).cause() is None


def test_results_that_are_none_are_left_out_with_a_warning() -> None:
    book = Book()
    book.add("results", {"definition": "0_x", "result": "pass"})
    book.result("0_x", "a", "maybe")
    book.add("results", "text")
    book.result("0_x", "tab\tand\x00nul", "pass")
    found = read(book)
    assert [case.name for case in found.cases] == ["tab_and_nul"]
    assert len(found.warnings) == 3


def test_what_the_reader_noticed_is_told() -> None:
    book = Book()
    for number in range(5):
        book.target(str(number))
    lines = book.data.splitlines(keepends=True)
    found = summarize(io.BytesIO(lines[0] + lines[3] + b"nonsense\n" + lines[4][:-3]))
    assert (found.missing, found.bad, found.torn) == (2, 1, True)
    assert JournalReader().torn is False


def test_a_set_whose_name_cannot_stand_in_an_address_is_ignored() -> None:
    book = Book()
    book.result("0_x", "a", "pass", set="net/../work")
    book.result("0_x", "b", "pass", set="net-1.2")
    book.result("0_x\nok 1 - forged", "c", "pass")
    found = read(book)
    assert [case.address for case in found.cases] == ["0_x/a", "0_x/net-1.2/b", "0_x_ok 1 - forged/c"]
    assert found.cases[0].record["set"] == "net/../work", "the record stays as it came"
