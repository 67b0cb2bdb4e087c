# SPDX-License-Identifier: Apache-2.0
"""The log of the page is bounded, and what matters is in it whatever is left out."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from executor.model import journal
from executor.report.page import log as module
from executor.report.page.log import Block, Gap, Line, PageLog
from executor.testing.book import Book


def read(book: Book, **options: int) -> PageLog:
    log = PageLog(**options)
    log.add(book.records)
    log.close()
    return log


def blocks(block: Block) -> list[Block]:
    return [item for item in block.items if isinstance(item, Block)]


def numbers(block: Block) -> Iterator[int]:
    """The log lines that are shown or told to be left out, in order."""
    for item in block.items:
        if isinstance(item, Line):
            yield item.number
        elif isinstance(item, Gap):
            yield from range(item.first, item.last + 1)
        else:
            yield from numbers(item)


def test_lines_stand_in_the_action_that_logged_them(failing_job: Book) -> None:
    log = read(failing_job)
    first, second = blocks(log.root)
    assert [(b.name, b.attempt, b.attempts, b.result) for b in (first, second)] == [
        ("boot-retry", 1, 2, "fail"),
        ("boot-retry", 2, 2, "pass"),
    ]
    (login,) = blocks(first)
    assert [line.text for line in login.items if isinstance(line, Line)] == [
        "start: 1.1 login-action (timeout 00:01:00) [common]",
        "JobError: no prompt",
        "end: 1.1 login-action (duration 00:00:03) [common]",
    ]
    assert list(numbers(log.root)) == list(range(19))
    assert log.kept == 19


def test_the_middle_of_a_long_output_is_left_out_and_said() -> None:
    book = Book()
    book.start("1", "noisy")
    for number in range(5_000):
        book.target(str(number))
    book.finish("1", "noisy")
    log = read(book)
    (noisy,) = blocks(log.root)
    assert [type(item) for item in noisy.items[400:403]] == [Line, Gap, Line]
    assert noisy.items[401] == Gap(401, 4_601)
    assert list(numbers(log.root)) == list(range(5_002))
    assert log.kept == 1 + module.HEAD + module.TAIL


def test_what_stands_around_an_error_is_kept() -> None:
    book = Book()
    book.start("1", "noisy")
    for number in range(9_000):
        book.target(str(number))
        if number == 4_000:
            book.result("0_x", "bad", "fail")
        if number == 5_000:
            book.result("0_x", "good", "pass")
    log = read(book)
    kept = {line.number for line in blocks(log.root)[0].items if isinstance(line, Line)}
    assert {4_001 - 10, 4_001, 4_002} <= kept
    assert 5_003 not in kept
    assert list(numbers(log.root)) == list(range(9_003))


def test_what_passed_goes_first_when_the_whole_is_too_long() -> None:
    book = Book()
    for number in range(1, 100):
        book.start(str(number), "step")
        for line in range(100):
            book.target(str(line))
        result = "fail" if number == 90 else "pass"
        book.finish(str(number), "step", result)
    log = read(book, max_lines=500)
    assert log.kept < 1_000
    assert [b.level for b in blocks(log.root)] == ["1", "2", "3", "4", "90"]
    assert list(numbers(log.root)) == list(range(99 * 102))


def test_even_what_failed_has_a_bound() -> None:
    book = Book()
    book.start("1", "step")
    for _ in range(3_000):
        book.add(journal.ERROR, "again")
    log = read(book, max_lines=100)
    assert log.kept <= 200
    assert list(numbers(log.root)) == list(range(3_001))


def test_long_lines_are_cut_and_say_so() -> None:
    book = Book()
    book.target("x" * 10_000)
    (line,) = read(book).root.items
    assert isinstance(line, Line)
    assert line.text == "x" * module.MAX_TEXT + " … 6000 more characters"


@pytest.mark.parametrize("what", ["text", {"what": "end", "level": "9", "name": "none"}, {}])
def test_marks_that_are_none_change_nothing(what: object) -> None:
    book = Book()
    book.start("1", "step")
    book.add(journal.ACTION, what)
    book.target("x")
    log = read(book)
    assert len(blocks(log.root)[0].items) == 2 if what != {} else True
