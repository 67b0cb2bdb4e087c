# SPDX-License-Identifier: Apache-2.0
"""Bytes to text to lines: nothing is lost, however the stream is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.console.text import CONTINUES, MAX_LINE, Cleaner, Lines, unify


def clean(*chunks: bytes) -> str:
    cleaner = Cleaner()
    return "".join(cleaner.feed(chunk) for chunk in chunks) + cleaner.flush()


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"plain\r\n", "plain\r\n"),
        (b"\x1b[1;31mred\x1b[0m", "red"),
        (b"/ # \x1b[6n", "/ # "),
        (b"\x1b]0;title\x07shell$ ", "shell$ "),
        (b"\x1b]0;title\x1b\\shell$ ", "shell$ "),
        (b"\x1b(Bok\x1b=\x1b7", "ok"),
        (b"nul\x00 bell\x07 del\x7f tab\t", "nul bell del tab\t"),
        (b"\x1b\x1b[0mtwice", "twice"),
        ("größe €".encode(), "größe €"),
        (b"bad \xff byte", "bad � byte"),
        (b"cut \xe2\x82", "cut �"),
        (b"not closed \x1b]0;abc\nnext line", "not closed ]0;abc\nnext line"),
    ],
)
def test_clean_text_has_no_escapes_and_no_control_characters(data: bytes, text: str) -> None:
    assert clean(data) == text
    assert clean(*(bytes([b]) for b in data)) == text


def test_a_sequence_that_never_ends_does_not_hold_back_text_for_ever() -> None:
    cleaner = Cleaner()
    assert cleaner.feed(b"\x1bP" + b"x" * 300) == "P" + "x" * 300
    assert cleaner.feed(b"a\x1b]prompt# ") == "a"
    assert cleaner.holding
    assert cleaner.give_up() == "]prompt# "
    assert not cleaner.holding


PIECES = st.sampled_from(
    [b"word", b" ", b"\r\n", b"\r\r\n", b"\n", b"\r", b"\x1b[0m", b"\x1b[6n", "é".encode(), b"\x00"]
)


@given(st.lists(PIECES, max_size=30).map(b"".join), st.lists(st.integers(1, 7), min_size=1, max_size=50))
def test_cutting_the_stream_elsewhere_changes_nothing(data: bytes, cuts: list[int]) -> None:
    chunks, at, i = [], 0, 0
    while at < len(data):
        size = cuts[i % len(cuts)]
        chunks.append(data[at : at + size])
        at += size
        i += 1
    assert clean(*chunks) == clean(data)

    def lines(pieces: list[bytes]) -> list[str]:
        cleaner, splitter, found = Cleaner(), Lines(), []
        for piece in pieces:
            whole, rest = splitter.add(cleaner.feed(piece))
            assert whole == rest
            found += whole
        found += splitter.add(cleaner.flush())[0]
        return found + splitter.end()[0]

    assert lines(chunks) == lines([data])


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("a\r\nb\n", ["a", "b"]),
        ("a\r\r\nb\r\n", ["a", "b"]),
        ("\r\n\r\n", ["", ""]),
        ("10%\r20%\r30%\n", ["10%", "20%", "30%"]),
        ("\rprompt\n", ["prompt"]),
    ],
)
def test_three_line_ends_and_the_lone_carriage_return(text: str, lines: list[str]) -> None:
    assert Lines().add(text)[0] == lines


def test_carriage_returns_at_the_end_wait_for_what_follows() -> None:
    lines = Lines()
    assert lines.add("a\r") == ([], [])
    assert lines.add("\r") == ([], [])
    assert lines.add("\nb") == (["a"], ["a"])
    assert lines.partial == "b"
    assert unify("x\r") == "x\r"


def test_an_unfinished_line_is_shown_once_and_still_completed() -> None:
    lines = Lines()
    lines.add("login: ")
    assert lines.hidden
    assert lines.show() == "login: "
    assert not lines.hidden
    assert lines.show() == ""
    lines.add("ro")
    assert lines.show() == "ro"
    assert lines.add("ot\r\nnext\r\n") == (["login: root", "next"], ["ot", "next"])


def test_a_line_that_was_shown_to_its_end_is_not_shown_again() -> None:
    lines = Lines()
    lines.add("login: ")
    lines.show()
    assert lines.add("\r\nWelcome\r\n") == (["login: ", "Welcome"], ["Welcome"])
    assert lines.ended == "login: \nWelcome"


def test_the_last_line_needs_no_line_end() -> None:
    lines = Lines()
    lines.add("half a li")
    lines.show()
    lines.add("ne\r")
    assert lines.end() == (["half a line"], ["ne"])
    assert lines.end() == ([], [])


def test_a_line_without_end_is_split_and_marked_and_nothing_of_it_lost() -> None:
    lines, out = Lines(), []
    for _ in range(5):
        out += lines.add("x" * 100_000)[1]
    out += lines.add("\n")[1]
    assert out[0].endswith(CONTINUES)
    assert "".join(text.removesuffix(CONTINUES) for text in out) == "x" * 500_000
    assert len(lines.partial) <= MAX_LINE
