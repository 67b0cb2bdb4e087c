# SPDX-License-Identifier: Apache-2.0
"""`logs.yaml` is both a stream of lines and one YAML list (spec: results-and-logs §1)."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from executor.report.logs_yaml import LogsYaml, quote, scalar
from executor.testing.book import Book


def test_the_shape_of_a_line() -> None:
    book = Book()
    book.target('say "hi"\tto C:\\')
    book.add("feedback", "elsewhere", ns="lxc1")
    text = LogsYaml().feed(book.records)
    assert text.splitlines() == [
        r'- {"dt": "2031-05-06T07:00:00.000000+00:00", "lvl": "target", "msg": "say \"hi\"\tto C:\\"}',
        '- {"dt": "2031-05-06T07:00:01.000000+00:00", "lvl": "feedback", "msg": "elsewhere", "ns": "lxc1"}',
    ]


def test_the_whole_log_is_one_list_with_the_levels_of_the_field(failing_job: Book) -> None:
    loaded = yaml.safe_load(LogsYaml().feed(failing_job.records))
    assert len(loaded) == 19
    assert {item["lvl"] for item in loaded} == {"info", "results", "debug", "exception", "target"}


def test_results_are_maps_with_tagged_scalars_and_line_numbers(failing_job: Book) -> None:
    text = LogsYaml().feed(failing_job.records)
    line = text.splitlines()[13]
    assert '"msg": {"definition": "0_smoke", "case": "disk", "result": "fail", "starttc": !!int "10"' in line
    loaded = yaml.safe_load(text)
    assert loaded[13]["msg"] == {
        "definition": "0_smoke",
        "case": "disk",
        "result": "fail",
        "starttc": 10,
        "endtc": 12,
    }
    assert loaded[10]["msg"] == "<LAVA_SIGNAL_STARTTC disk>"
    assert loaded[14]["msg"]["measurement"] == 1.5


def test_a_record_that_is_too_long_is_replaced() -> None:
    book = Book()
    book.target("x" * 99_000)
    book.target("x" * 100_001)
    first, second = yaml.safe_load(LogsYaml().feed(book.records))
    assert first["msg"] == "x" * 99_000
    assert "longer than 100000" in second["msg"]


def test_pieces_give_the_same_text_as_the_whole(failing_job: Book) -> None:
    pieces = LogsYaml()
    text = "".join(pieces.feed([record]) for record in failing_job.records)
    assert text == LogsYaml().feed(failing_job.records)


@given(st.text())
def test_any_text_comes_back_from_a_line(text: str) -> None:
    quoted = quote(text)
    assert "\n" not in quoted
    assert yaml.safe_load(f"- {{{quoted}: {quoted}}}") == [{text: text}]


@pytest.mark.parametrize(
    "text", ["a\x7fb", "\x85", "\u2028x", "\ufeff", "\ud800", "nul\x00", "😀", "%yes: [#"]
)
def test_characters_that_yaml_does_not_take_raw(text: str) -> None:
    assert yaml.safe_load(quote(text)) == text


@pytest.mark.parametrize(
    "value",
    [
        True,
        False,
        None,
        0,
        -7,
        1.5,
        1e100,
        1e-9,
        float("inf"),
        float("-inf"),
        [1, "a", {"b": None}],
        {},
        {"a": []},
    ],
)
def test_values_keep_their_type(value: Any) -> None:
    assert yaml.safe_load(scalar(value)) == value


def test_chosen_lines_keep_their_numbers(failing_job: Book) -> None:
    text = LogsYaml(lambda line, record: line >= 12 and record.lvl == "results").feed(failing_job.records)
    first = yaml.safe_load(text)[0]["msg"]
    assert (first["case"], first["starttc"], first["endtc"]) == ("disk", 10, 12)


def test_without_the_beginning_no_line_number_is_known(failing_job: Book) -> None:
    text = LogsYaml(partial=True).feed(failing_job.records[-8:])
    disk = next(item["msg"] for item in yaml.safe_load(text) if item["lvl"] == "results")
    assert disk == {"definition": "0_smoke", "case": "disk", "result": "fail"}
