# SPDX-License-Identifier: Apache-2.0
"""Finding results in journals without decoding the rest."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.master import index
from executor.model import journal
from executor.model.journal import Record


def rec(seq: int, level: str, msg: Any) -> Record:
    return Record(seq, "2030-01-01T00:00:00+00:00", level, msg)


def result(**more: Any) -> Record:
    return rec(5, "results", {"definition": "0_a", "case": "c", "result": "pass", **more})


def test_only_results_and_end_are_found_in_order() -> None:
    records = [
        rec(0, "target", "x"),
        result(),
        rec(2, "info", 'a text with "lvl":"results" inside'),
        rec(3, "debug", {"lvl": "results"}),
        rec(4, "end", {"health": "Complete", "exit_code": 0}),
    ]
    assert [(r.seq, r.lvl) for r in index.find(journal.encode(records))] == [(5, "results"), (4, "end")]


def test_rubbish_is_passed_over() -> None:
    good = journal.encode([result()])
    data = b'{"lvl":"results", broken\n' + good + b'{"lvl":"results"}\n\xff"lvl":"end"\n'
    assert [r.seq for r in index.find(data)] == [5]


_levels = st.sampled_from(["target", "info", "results", "end", "debug"])
_texts = st.text(st.sampled_from('"lvl:results\\\n{}end'), max_size=30)


@given(st.lists(st.tuples(_levels, _texts | st.dictionaries(_texts, _texts, max_size=2)), max_size=10))
def test_finds_exactly_what_decoding_all_would_find(parts: list[tuple[str, Any]]) -> None:
    records = [rec(n, level, msg) for n, (level, msg) in enumerate(parts)]
    found = list(index.find(journal.encode(records)))
    assert found == [record for record in records if record.lvl in ("results", "end")]


def test_row_of_a_result() -> None:
    full = result(
        measurement="1.5",
        units="s",
        set="s1",
        level="3.1",
        duration="2.00",
        starttc=7,
        endtc="9",
        extra={"a": 1},
    )
    row = index.result_row(full)
    assert row is not None
    assert (row.suite, row.case, row.result, row.set) == ("0_a", "c", "pass", "s1")
    assert (row.measurement, row.units, row.level, row.duration) == (1.5, "s", "3.1", "2.00")
    assert (row.starttc, row.endtc, row.seq) == (7, 9, 5)
    assert row.metadata["extra"] == {"a": 1}


@pytest.mark.parametrize(
    "msg",
    [
        "text",
        None,
        {},
        {"definition": "a", "case": "b"},
        {"definition": "a", "case": "b", "result": "maybe"},
        {"definition": "", "case": "b", "result": "pass"},
        {"case": "b", "result": "pass"},
    ],
)
def test_incomplete_results_are_left_out(msg: Any) -> None:
    assert index.result_row(rec(0, "results", msg)) is None


def test_odd_values_do_no_harm() -> None:
    row = index.result_row(result(measurement="fast", starttc="x", case="a\nb\x1b", units=None))
    assert row is not None
    assert (row.measurement, row.starttc, row.case, row.units) == (None, -1, "a_b_", "")


def test_huge_metadata_stays_in_the_journal_only() -> None:
    row = index.result_row(result(extra="x" * (index.MAX_METADATA + 1)))
    assert row is not None
    assert row.metadata == {"definition": "0_a", "case": "c", "result": "pass", "truncated": True}


def test_end() -> None:
    found = index.end_of(rec(0, "end", {"health": "Incomplete", "exit_code": 2, "error_type": "Job"}))
    assert found is not None
    assert (found.health, found.exit_code, found.error_type) == ("Incomplete", 2, "Job")
    assert index.end_of(rec(0, "end", {"health": 5})) is None
    assert index.end_of(rec(0, "end", "over")) is None
