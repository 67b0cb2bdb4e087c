# SPDX-License-Identifier: Apache-2.0
"""Searching a stream for one of several patterns."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.console.expect import (
    KEEP,
    PromptTimeout,
    Window,
    check_patterns,
    compile_patterns,
    pattern_names,
)
from executor.errors import JobError, LavaExecError


def search(window: Window, *patterns: str) -> tuple[int, str, str] | None:
    found = window.search(compile_patterns(patterns))
    return None if found is None else (found[0], found[1].group(), found[2])


def test_the_earliest_match_wins_then_the_order_of_the_list() -> None:
    window = Window(100)
    window.add("one two three")
    assert search(window, "three", "two") == (1, "two", "one ")
    window.clear()
    window.add("login:")
    assert search(window, "log", "login:") == (0, "log", "")


def test_text_is_consumed_up_to_the_end_of_the_match() -> None:
    window = Window(100)
    window.add("a# b# c")
    assert search(window, "#") == (0, "#", "a")
    assert search(window, "#") == (0, "#", " b")
    assert search(window, "#") is None
    assert window.take() == " c"


@given(st.integers(1, 11), st.text("ab\n", max_size=40))
def test_a_prompt_is_found_however_the_chunks_are_cut(size: int, noise: str) -> None:
    text = noise + "root@box:~# " + noise
    window, found = Window(20), None
    for i in range(0, len(text), size):
        window.add(text[i : i + size])
        found = found or search(window, r"root@\w+:~# ")
    assert found == (0, "root@box:~# ", noise)


def test_a_prompt_at_the_far_end_of_a_chunk_much_larger_than_the_window() -> None:
    window = Window(16)
    window.add("x" * 50_000 + "/ # " + "y" * 50_000)
    found = search(window, "/ # ")
    assert found is not None
    assert found[2] == "x" * 50_000


def test_a_chunk_larger_than_what_is_kept_does_not_push_out_the_beginning_of_a_prompt() -> None:
    window = Window(8192)
    window.add("x" * 100 + "root@")
    assert search(window, "root@box") is None
    window.add("box" + "y" * 2 * KEEP)
    assert search(window, "root@box") == (0, "root@box", "x" * 100)


def test_memory_stays_bounded_while_nobody_searches_and_while_somebody_does() -> None:
    idle, busy = Window(8192), Window(8192)
    for i in range(100):
        idle.add(f"{i:04d}" + "x" * 10_000)
        idle.trim()
        busy.add("y" * 10_000)
        assert search(busy, "never") is None
    assert KEEP <= sum(map(len, idle._new)) < KEEP + 10_004
    busy.add("never")
    found = search(busy, "never")
    assert found is not None
    assert len(found[2]) == KEEP


def test_what_is_older_than_the_window_is_not_searched_again() -> None:
    window = Window(10)
    window.add("begin" + "." * 100)
    assert search(window, "begin.*end") is None
    window.add("end")
    assert search(window, "begin.*end") is None
    assert search(window, r"\.end") == (0, ".end", "begin" + "." * 99)


def test_a_line_start_is_only_where_a_line_starts() -> None:
    window = Window(4)
    window.add("some words then $ ")
    assert search(window, r"^\$ ") is None
    window.add("\r\n$ ")
    assert search(window, r"^\$ ") is not None
    window.add("$ ")  # follows the prompt that was just consumed, on its line
    assert search(window, r"^\$ ") is None


def test_dot_crosses_lines_and_a_leading_one_costs_nothing() -> None:
    window = Window(100)
    window.add("a\r\nb\r\n")
    assert search(window, "a.*b") == (0, "a\r\nb", "")
    window.clear()
    window.add("x\n" * 20_000 + "login:")
    assert search(window, ".*login:") == (0, "login:", "x\n" * 20_000)
    assert [p.pattern for p in compile_patterns([".*", ".*?.*a", ".*+a", ".+b"])] == [
        ".*",
        "a",
        ".*+a",
        ".+b",
    ]


def test_peek_shows_the_end_and_consumes_nothing() -> None:
    window = Window(4)
    window.add("abcdefghij")
    search(window, "nothing")
    assert window.peek() == "abcdefghij"
    assert window.peek(3) == "hij"
    assert window.take() == "abcdefghij"
    assert window.take() == ""


def test_a_wrong_expression_is_named() -> None:
    assert check_patterns(["fine", "[#"]) == check_patterns(["[#"])
    assert "'[#' is not a regular expression" in check_patterns(["[#"])[0]
    with pytest.raises(JobError, match="empty pattern"):
        compile_patterns("")
    compiled = re.compile("x")
    assert compile_patterns([compiled]) == [compiled]
    assert pattern_names([compiled, "y"]) == ["x", "y"]
    assert pattern_names("z") == ["z"]


def test_a_timeout_is_no_error_class_of_its_own_and_says_what_was_there_instead() -> None:
    error = PromptTimeout(["login:", "/ # "], 30, "Starting kernel ...\r\n")
    assert not isinstance(error, LavaExecError)
    assert isinstance(error, TimeoutError)
    assert str(error) == (
        "waited 30 seconds for 'login:' or '/ # '; the console last showed 'Starting kernel ...'"
    )
    assert "showed nothing" in str(PromptTimeout(["x"], 1, "\r\n"))
