# SPDX-License-Identifier: Apache-2.0
"""The log and the results as people see them, on a terminal and in a pipe."""

from __future__ import annotations

import io

import pytest

from executor.report.outcome import outcome, results_table
from executor.report.style import Style, duration, printable, size, style_of, table
from executor.report.summarize import summarize
from executor.report.terminal import LiveLog, LogView, bar
from executor.testing.book import Book

PLAIN = Style()
COLOUR = Style(colour=True, tty=True, width=80)


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    encoding = "utf-8"  # type: ignore[assignment]

    def isatty(self) -> bool:
        return True


def test_in_a_pipe_the_log_is_plain_text(failing_job: Book) -> None:
    text = LogView(PLAIN, timestamps=False).render(failing_job.records)
    assert "\x1b" not in text
    lines = text.splitlines()
    assert lines[0] == "start: 0 validate"
    assert "start: 1.1 login-action (timeout 00:01:00) [common]" in lines
    assert "error: JobError: no prompt" in lines
    assert "✗ 0_smoke/disk fail" in lines
    assert "✓ 0_smoke/io/speed pass  1.5 MB/s" in lines
    assert "? 0_smoke/lost unknown" in lines
    assert "– 0_smoke/later #1 skip" in lines


def test_actions_that_pass_do_not_clutter_the_results(failing_job: Book) -> None:
    text = LogView(PLAIN, timestamps=False).render(failing_job.records)
    assert "lava/boot-retry" not in text
    assert "✓ lava/0_smoke pass" in text


def test_on_a_terminal_actions_are_headings(failing_job: Book) -> None:
    lines = LogView(COLOUR, timestamps=False).render(failing_job.records).splitlines()
    assert not any("start: 1" in line or "end: 1" in line for line in lines)
    assert lines[1] == "\x1b[1;36m── 1 boot-retry ── limit 1 min, attempt 1 of 2\x1b[0m"
    assert lines[2] == "\x1b[2m1.1 login-action\x1b[0m"
    assert "\x1b[31m1.1 login-action failed after 3.0 s: no prompt\x1b[0m" in lines
    assert "\x1b[1;36m── 1 boot-retry done in 3.0 s\x1b[0m" in lines


def test_target_lines_have_no_colour() -> None:
    book = Book()
    book.target("hello")
    book.add("info", "told")
    assert LogView(COLOUR, timestamps=False).render(book.records) == "hello\n\x1b[36mtold\x1b[0m\n"


def test_time_stamps() -> None:
    book = Book()
    book.target("hello")
    assert LogView(PLAIN).render(book.records) == "2031-05-06T07:00:00 hello\n"
    assert LogView(COLOUR).render(book.records) == "\x1b[2m07:00:00\x1b[0m hello\n"


def test_a_device_cannot_drive_the_terminal() -> None:
    book = Book()
    book.target("\x1b]0;title\x07 tab\there")
    book.add("info", "two\nlines\x9b")
    text = LogView(PLAIN, timestamps=False).render(book.records)
    assert text == "\\x1b]0;title\\x07 tab\there\ntwo\nlines\\x9b\n"


def test_levels_and_debug_can_be_left_out() -> None:
    book = Book()
    book.add("debug", "detail")
    book.target("line")
    book.add("feedback", "else", ns="other")
    assert LogView(PLAIN, timestamps=False, debug=False).render(book.records) == "line\n[other] else\n"
    levels = frozenset({"target"})
    assert LogView(PLAIN, timestamps=False, levels=levels).render(book.records) == "line\n"


def test_a_bar_on_a_terminal_only() -> None:
    book = Book()
    book.add("progress", {"what": "rootfs", "stage": "download", "done": 50 << 20, "total": 100 << 20})
    screen, pipe = Screen(), io.StringIO()
    LiveLog(pipe, LogView(PLAIN, timestamps=False)).feed(book.records)
    assert pipe.getvalue() == ""
    live = LiveLog(screen, LogView(COLOUR, timestamps=False), clock=lambda: 7.0)
    live.feed(book.records)
    shown = screen.getvalue()
    assert shown.startswith("download rootfs ")
    assert "50% 50.0 MiB/100.0 MiB" in shown
    assert not shown.endswith("\n")
    line = Book()
    line.target("next")
    live.feed(line.records)
    assert screen.getvalue()[len(shown) :] == "\r\x1b[2Knext\n"
    live.close()
    assert screen.getvalue().endswith("next\n")


def test_a_bar_goes_when_the_work_is_done() -> None:
    book = Book()
    book.add("progress", {"what": "x", "done": 1, "total": 2})
    screen = Screen()
    live = LiveLog(screen, LogView(COLOUR), clock=lambda: 0.0)
    live.feed(book.records)
    live.close()
    assert screen.getvalue().endswith("\r\x1b[2K")


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_a_bar_fits_the_line(width: int) -> None:
    style = Style(width=width, tty=True)
    assert len(bar("download a-very-long-label-of-an-artefact", 5 << 20, 9 << 30, 1e6, style)) < width
    assert len(bar("work", 5 << 20, 0, 0, style)) < width


def test_the_table_and_the_verdict(failing_job: Book) -> None:
    text = outcome(summarize(io.BytesIO(failing_job.data)), PLAIN)
    assert text == (
        "✗  0_smoke/disk      fail\n"
        "✓  0_smoke/io/speed  pass     1.5 MB/s\n"
        "?  0_smoke/lost      unknown\n"
        "–  0_smoke/later #1  skip\n"
        "Complete: 1 passed, 1 failed, 1 unknown, 1 skipped in 1 min 2 s\n"
        "Fewer definitions ran than were submitted; missing: 1_more\n"
        "for the developers of what was tested: "
        "2 of 4 test cases did not pass: 0_smoke/disk, 0_smoke/lost (log line 10)\n"
    )


def test_attempts_of_a_case_are_numbered_from_the_first() -> None:
    book = Book()
    for attempt, result in ((1, "fail"), (2, "pass")):
        book.start("3", "lava-test-retry", max_attempts=2, attempt=attempt)
        book.result("0_x", "flaky", result)
        book.result("0_x", f"only-{attempt}", "pass")
        book.finish("3", "lava-test-retry", max_attempts=2, attempt=attempt)
    rows = outcome(summarize(io.BytesIO(book.data)), PLAIN).splitlines()
    assert [row.split()[1:] for row in rows[:4]] == [
        ["0_x/flaky", "fail", "attempt", "1"],
        ["0_x/only-1", "pass"],
        ["0_x/flaky", "pass", "attempt", "2"],
        ["0_x/only-2", "pass", "attempt", "2"],
    ]


def test_the_verdict_of_a_broken_job_names_who_has_to_act(panicked_job: Book) -> None:
    text = outcome(summarize(io.BytesIO(panicked_job.data)), PLAIN)
    assert text == (
        "Incomplete: no test cases in 5.0 s\n"
        "for the test writer: kernel panic: Fatal exception (3 lava-test-shell, log line 2)\n"
        "hint: see the trace\n"
    )


def test_many_cases_are_summed_up_unless_asked_for() -> None:
    book = Book()
    for number in range(150):
        book.result("0_ltp", f"case{number}", "fail" if number == 77 else "pass")
    summary = summarize(io.BytesIO(book.data))
    assert results_table(summary, PLAIN) == "✗  0_ltp/case77  fail\nand 149 passed\n"
    assert len(results_table(summary, PLAIN, every=True).splitlines()) == 150


def test_colours_are_for_terminals_unless_the_environment_says_otherwise() -> None:
    assert style_of(Screen(), {"TERM": "xterm"}).colour
    assert not style_of(Screen(), {"TERM": "dumb"}).colour
    assert not style_of(Screen(), {"NO_COLOR": "1"}).colour
    assert not style_of(io.StringIO(), {}).colour
    assert style_of(io.StringIO(), {"FORCE_COLOR": "1"}).colour
    assert style_of(io.StringIO(), {"NO_COLOR": "1"}, colour="always").colour
    assert not style_of(Screen(), {"FORCE_COLOR": "1"}, colour="never").colour
    assert style_of(Screen(), {"COLUMNS": "33"}).width == 33
    assert style_of(io.StringIO(), {"COLUMNS": "33"}).width == 0


def test_columns_line_up_and_the_last_one_is_cut() -> None:
    rows = [["1", "\x1b[32mok\x1b[0m", "a" * 30], ["22", "bad", "b"]]
    assert table(rows, ["id", "state", "name"], style=Style(width=20)) == (
        f"id  state  name\n1   \x1b[32mok\x1b[0m     {'a' * 8}…\n22  bad    b\n"
    )
    assert table([], style=PLAIN) == ""


def test_words_for_numbers() -> None:
    assert [duration(s) for s in (0.25, 42, 200, 120, 7500)] == [
        "0.2 s",
        "42 s",
        "3 min 20 s",
        "2 min",
        "2 h 5 min",
    ]
    assert [size(n) for n in (812, 12_900_000, 5 << 40)] == ["812 B", "12.3 MiB", "5.0 TiB"]
    assert printable("a\u202eb\r") == "a\\u202eb\\x0d"
