# SPDX-License-Identifier: Apache-2.0
"""Records of a test block: what each event makes of itself in suite and journal."""

from __future__ import annotations

from typing import Any

import pytest

from executor.errors import JobError, TestError
from executor.testing.clock import FakeClock
from executor.testing.hostdevice import define
from executor.testshell import events
from executor.testshell.events import CaseResult, RunEnded, RunSettled, RunStarted
from executor.testshell.results import Bookkeeper


class Book:
    """A bookkeeper with what it wrote."""

    def __init__(self, **fields: object) -> None:
        self.records: list[dict[str, Any]] = []
        self.notes: list[tuple[str, str]] = []
        self.clock = FakeClock()
        self.keeper = Bookkeeper(
            [define("smoke", uuid="42_1.1", **fields), define("more", index=1)],
            namespace="common",
            emit=self.records.append,
            note=lambda level, text: self.notes.append((level, text)),
            stage=2,
            level="3.1",
            clock=self.clock,
        )

    def take(self, *given: events.Event) -> list[dict[str, Any]]:
        """The records that these events make."""
        before = len(self.records)
        for event in given:
            self.keeper.take(event)
        return self.records[before:]


START = RunStarted("0_smoke", "42_1.1", line=10)
END = RunEnded("0_smoke", "42_1.1", line=20)


def case(name: str, result: str = "pass", **fields: Any) -> CaseResult:
    return CaseResult("0_smoke", "0_smoke", name, result, **fields)


def test_a_definition_and_its_provenance() -> None:
    book = Book(repository="https://h/x.git", path="x.yaml", revision="abc", commit_id="abcdef")
    book.take(START)
    assert book.keeper.running == "0_smoke"
    book.clock.advance(2.5)
    (record,) = book.take(END)
    assert record == {
        "definition": "lava",
        "case": "0_smoke",
        "result": "pass",
        "duration": "2.50",
        "namespace": "common",
        "uuid": "42_1.1",
        "repository": "https://h/x.git",
        "path": "x.yaml",
        "revision": "abc",
        "commit_id": "abcdef",
    }
    assert book.keeper.running == ""
    assert book.take(RunSettled("0_smoke", True, "pass")) == []


def test_a_case_with_all_that_it_can_have() -> None:
    book = Book()
    book.take(START)
    marked = [events.CaseStarted("a", line=11), events.CaseEnded("a", line=13)]
    (record,) = book.take(
        *marked, case("a", set="s1", measurement=1.5, units="s", reference="http://h", line=14)
    )
    assert record == {
        "definition": "0_smoke",
        "case": "a",
        "result": "pass",
        "set": "s1",
        "measurement": 1.5,
        "units": "s",
        "reference": "http://h",
        "starttc": 11,
        "endtc": 13,
    }


def test_without_marks_a_case_is_where_its_signal_was() -> None:
    book = Book()
    book.take(START)
    first, second = book.take(case("a", line=14), case("b", restored=True))
    assert (first["starttc"], first["endtc"]) == (14, 14)
    assert "starttc" not in second


def test_a_renamed_suite_takes_its_results_with_it() -> None:
    book = Book(expected=["a"])
    book.take(START)
    (record,) = book.take(
        events.SuiteRenamed("0_smoke", "0_other"), CaseResult("0_smoke", "0_other", "a", "pass", line=1)
    )
    assert record["definition"] == "0_other"
    assert book.take(RunSettled("0_smoke", True, "pass"), END)[-1]["case"] == "0_smoke"


def test_an_unknown_result_says_why() -> None:
    book = Book()
    book.take(START)
    (record,) = book.take(case("a", "unknown", reason="its signal was cut"))
    assert record["result"] == "unknown"
    assert record["extra"] == {"reason": "its signal was cut"}
    assert record["level"] == "3.1"


# -- expected cases --------------------------------------------------------------------------------------


def test_an_unlisted_case_fails() -> None:
    book = Book(expected=["a"])
    book.take(START)
    listed, unlisted, lost = book.take(
        case("a", line=1), case("b", line=2), case("lost-signal-3", "unknown", reason="lost")
    )
    assert [r["result"] for r in (listed, unlisted, lost)] == ["pass", "fail", "unknown"]
    assert unlisted["extra"]["reason"]


@pytest.mark.parametrize(("accounted", "result"), [(True, "fail"), (False, "unknown")])
def test_a_missing_case_fails_only_if_it_certainly_did_not_run(accounted: bool, result: str) -> None:
    book = Book(expected=["a", "b"])
    book.take(START, case("a", line=1), END)
    (record,) = book.take(RunSettled("0_smoke", accounted, "pass"))
    assert (record["definition"], record["case"], record["result"]) == ("0_smoke", "b", result)
    assert record["level"] == "3.1"


def test_expected_cases_of_the_job_win_over_those_of_the_definition() -> None:
    book = Book(expected=["of-the-definition"])
    book.keeper._runs["0_smoke"].placed.expected = ["of-the-job"]
    (record,) = book.take(RunSettled("0_smoke", True, ""))
    assert record["case"] == "of-the-job"


# -- endings ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", ["fail", "unknown"])
def test_a_definition_that_did_not_end(outcome: str) -> None:
    book = Book()
    book.take(START)
    (record,) = book.take(RunSettled("0_smoke", True, outcome))
    assert (record["definition"], record["case"], record["result"]) == ("lava", "0_smoke", outcome)


def test_a_definition_that_never_began_has_no_record() -> None:
    assert Book().take(RunSettled("1_more", True, "")) == []


def test_a_raise_ends_the_block_and_fails_the_definition() -> None:
    book = Book()
    book.take(START)
    with pytest.raises(TestError, match="no network"):
        book.take(events.Raised("no network"))
    (record,) = book.take(END, RunSettled("0_smoke", True, "pass"))
    assert record["result"] == "fail"


def test_what_an_error_cut_short_gets_its_record_at_the_end() -> None:
    book = Book(expected=["a"])
    book.take(START)
    book.keeper.finish()
    book.keeper.finish()
    assert [(r["case"], r["result"]) for r in book.records] == [("a", "unknown"), ("0_smoke", "fail")]


def test_broken_signals_raise_their_class() -> None:
    for kind, error in (("Test", TestError), ("Job", JobError)):
        with pytest.raises(error):
            Book().take(events.Broken(kind, "bad"))


def test_a_result_before_any_definition_is_a_test_error() -> None:
    with pytest.raises(TestError, match="before any test definition"):
        Book().take(CaseResult("", "", "a", "pass"))


def test_a_failed_install_is_raised_at_the_end() -> None:
    book = Book()
    records = book.take(events.InstallFailed("0_smoke"), events.InstallFailed("1_more"))
    assert records == [{"definition": "lava", "case": "stage_2", "result": "fail"}]
    assert isinstance(book.keeper.failure, TestError)
    assert "0_smoke" in book.keeper.failure.message


def test_a_definition_that_the_job_does_not_know() -> None:
    book = Book()
    (record, run) = book.take(
        RunStarted("7_x", "42_9"), CaseResult("7_x", "7_x", "a", "fail", line=1), RunEnded("7_x", "42_9")
    )
    assert record["definition"] == "7_x"
    assert (run["case"], run["uuid"], run["revision"]) == ("7_x", "42_9", "unspecified")


def test_what_is_for_the_log() -> None:
    book = Book()
    book.take(
        events.Malformed("cut", "<LAVA_"),
        events.Ignored("X", "y"),
        events.Announced("hello"),
        events.Attached("log.txt", 12),
        events.SetStarted("0_smoke", "s1"),
        events.Exit(True),
    )
    assert [level for level, _ in book.notes] == ["error", "debug", "event", "debug", "debug"]
    assert book.keeper.attached
    assert book.records == []
