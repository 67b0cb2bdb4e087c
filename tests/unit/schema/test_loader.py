# SPDX-License-Identifier: Apache-2.0
"""YAML with positions: what is read, what is refused, and where the fault is said to be."""

from __future__ import annotations

import pytest
import yaml

from executor.schema.loader import MAX_CHARACTERS, MAX_DEPTH, load_yaml

PLAIN = """\
# a comment
name: demo
numbers: [1, -2, 0x1f, 010, 1_000, 1.5, .inf]
words: [yes, No, on, ~, null, '', "quoted: text", 007, 1e3]
block: |
  one
  two
folded: >-
  one
  two
base: &base {a: 1, b: 2}
derived: {<<: *base, b: 3, c: *base}
merged: {<<: [{x: 1}, {x: 2, y: 3}], z: 0}
list:
- first
- key: value
7: number as key
true: boolean as key
"""


def only(text: str) -> tuple[int, int, str, str]:
    """Line, column, message and hint of the one problem in `text`."""
    document = load_yaml(text, "f.yaml")
    [problem] = document.problems
    assert problem.file == "f.yaml"
    return problem.line, problem.column, problem.message, problem.hint


def test_plain_words_resolve_as_the_field_is_used_to() -> None:
    document = load_yaml(PLAIN, "f.yaml")
    assert not document.problems
    assert document.data == yaml.safe_load(PLAIN)
    assert list(document.data["derived"]) == list(yaml.safe_load(PLAIN)["derived"])


@pytest.mark.parametrize("text", ["2026-08-01", "2026-08-01 10:00:00", "2001-99-99"])
def test_dates_stay_text(text: str) -> None:
    assert load_yaml(f"day: {text}\n", "f").data == {"day": text}


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ((), (2, 1)),
        (("name",), (2, 1)),
        (("numbers", 2), (3, 18)),
        (("derived", "c"), (12, 28)),
        (("derived", "a"), (11, 14)),  # where the merged key stands
        (("list", 1, "key"), (16, 3)),
        (("list", 1, "absent", "deeper"), (16, 3)),
        (("list", 7), (14, 1)),
        (("name", "inside of text"), (2, 1)),
        (("absent",), (2, 1)),
    ],
)
def test_position_of_a_node_or_of_its_nearest_ancestor(
    path: tuple[str | int, ...], place: tuple[int, int]
) -> None:
    assert load_yaml(PLAIN, "f.yaml").mark(path) == place


@pytest.mark.parametrize("text", ["", "---\n", "# only a comment\n", "\ufeff"])
def test_nothing_in_the_file_is_no_fault_of_the_yaml(text: str) -> None:
    document = load_yaml(text, "f")
    assert document.data is None
    assert not document.failed
    assert document.mark(("a",))[0] in (0, 1, 2)


def test_a_tab_is_explained() -> None:
    line, column, message, hint = only("actions:\n- deploy:\n\tto: tmpfs\n")
    assert (line, column) == (3, 1)
    assert "'to: tmpfs'" in message
    assert "tab" in hint


@pytest.mark.parametrize(
    ("text", "line", "hint"),
    [
        ("a: b: c\n", 1, "quotes"),
        ("a: %x\n", 1, "quotes"),
        ("a: *nowhere\n", 1, "quotes"),
        ("a: !tag x\n", 1, "quotes"),
        ("{{ device }}: x\n", 1, "quotes"),
        ("? [1, 2]\n: x\n", 1, "quotes"),
        ("ok: 1\na: 'never\nclosed\n", 3, "line 2 is never closed"),
        ("ok: 1\nb: [1, 2\nc: 3\n", 3, "line 2"),
        ("a:\n  b: 1\n c: 2\n", 3, "line 1"),
    ],
)
def test_syntax_errors_say_where_and_what_helps(text: str, line: int, hint: str) -> None:
    found = only(text)
    assert found[0] == line
    assert hint in found[3]
    assert load_yaml(text, "f").failed


@pytest.mark.parametrize("char", ["\x00", "\x07", "\ud800", "\uffff"])
def test_characters_that_no_text_file_has(char: str) -> None:
    line, column, message, _ = only(f"a: 1\nb: x{char}y\n")
    assert (line, column) == (2, 5)
    assert repr(char) in message


def test_a_key_twice_keeps_the_data_and_names_both_lines() -> None:
    document = load_yaml("a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\na: 2\n", "f")
    assert [(p.line, p.message) for p in document.problems] == [
        (5, "the key 'c' stands twice in this map, first in line 3"),
        (6, "the key 'a' stands twice in this map, first in line 1"),
    ]
    assert document.data == {"a": 2, "b": {"c": 3, "d": 2}}
    assert not document.failed


def test_digits_with_colons_are_pointed_out() -> None:
    document = load_yaml("mac: 10:20:30\nquoted: '10:20:30'\n", "f")
    [problem] = document.problems
    assert problem.severity == "warning"
    assert "37230" in problem.message
    assert document.data["quoted"] == "10:20:30"


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "- " * 100_000,
        "{b: " * 10_000,
        "\n".join("  " * n + "a:" for n in range(1000)),
    ],
)
def test_nesting_is_bounded(text: str) -> None:
    assert str(MAX_DEPTH) in only(text)[2]


def test_aliases_that_multiply_are_bounded() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [" + ", ".join([f"*a{n - 1}"] * 10) + "]" for n in range(1, 20)]
    assert "aliases" in only("\n".join(lines))[2]


def test_merges_that_multiply_are_bounded() -> None:
    lines = ["m0: &m0 {" + ", ".join(f"k{n}: 1" for n in range(1000)) + "}"]
    lines += [f"m{n}: &m{n} {{x: [" + ", ".join(["{<<: *m0}"] * 100) + "]}" for n in range(1, 10)]
    assert "aliases" in only("\n".join(lines))[2]


def test_an_alias_inside_of_itself() -> None:
    assert "refers to itself" in only("a: &a {b: [*a]}\n")[2]


@pytest.mark.parametrize(
    "text",
    ["a: !!python/object/apply:os.system [ls]", "a: !!binary aGk=", "a: !!set {x: }", "!custom {a: 1}"],
)
def test_only_plain_data(text: str) -> None:
    assert "not supported" in only(text)[2]


@pytest.mark.parametrize("text", ["a: !!int x", "a: " + "9" * 10_000, "a: !!float y", "a: !!bool maybe"])
def test_values_that_do_not_fit_their_tag(text: str) -> None:
    assert "does not fit" in only(text)[2]


@pytest.mark.parametrize(
    "text", ["a: 1\n--- \nb: 2\n", "<<: 5\n", "a: {<<: [1]}\n", "x: &x [1]\ny: {*x : 1}\n"]
)
def test_other_things_that_no_job_means(text: str) -> None:
    assert load_yaml(text, "f").failed


def test_a_file_that_is_too_large_is_not_even_parsed() -> None:
    assert "larger than" in only("a" * (MAX_CHARACTERS + 1))[2]


def test_locate_fills_in_file_and_line_once() -> None:
    from executor.model.problem import Problem

    document = load_yaml("a:\n  b: 1\n", "f.yaml")
    located = document.locate(Problem("m", path=("a", "b")))
    assert (located.file, located.line, located.column) == ("f.yaml", 2, 3)
    assert document.locate(located) is located


def test_merge_and_value_signs_as_plain_words_are_text() -> None:
    assert load_yaml("a: <<\nb: [<<, =]\n", "f").data == {"a": "<<", "b": ["<<", "="]}
