# SPDX-License-Identifier: Apache-2.0
"""Two runs side by side."""

from __future__ import annotations

import io

from executor.model.journal import END, End
from executor.report.summarize import summarize
from executor.report.summary import Summary
from executor.reproduce.compare import compare
from executor.testing.book import Book


def run(end: End | None, *cases: tuple[str, str]) -> Summary:
    book = Book()
    for case, result in cases:
        book.result("0_smoke", case, result)
    if end is not None:
        book.add(END, end)
    return summarize(io.BytesIO(book.data))


COMPLETE = End("Complete", 1)


def test_the_same_failing_case_is_the_same() -> None:
    found = compare(run(COMPLETE, ("a", "pass"), ("b", "fail")), run(COMPLETE, ("a", "pass"), ("b", "fail")))
    assert found.same
    assert found.failing == ["0_smoke/b"]
    assert found.as_text() == (
        "same verdict: Complete\n2 of 2 test cases came out the same\nfailing in both: 0_smoke/b\n"
    )


def test_differences_name_both_results() -> None:
    found = compare(run(COMPLETE, ("a", "pass"), ("b", "fail")), run(COMPLETE, ("b", "pass"), ("c", "skip")))
    assert found.same_verdict
    assert not found.same
    assert [difference.sentence for difference in found.differences] == [
        "0_smoke/a: pass in the original, absent in the rerun",
        "0_smoke/b: fail in the original, pass in the rerun",
        "0_smoke/c: absent in the original, skip in the rerun",
    ]
    assert found.as_data()["same_cases"] == 0


def test_the_last_attempt_counts() -> None:
    original = run(COMPLETE, ("a", "fail"), ("a", "pass"))
    assert compare(original, run(COMPLETE, ("a", "pass"))).same


def test_verdicts_differ_by_class_and_place_not_by_words() -> None:
    def ended(error_type: str, action: str, text: str) -> Summary:
        return run(End("Incomplete", 2, error_type=error_type, action=action, error_msg=text))

    one = ended("Job", "login-action", "panic after 3 s")
    assert compare(one, ended("Job", "login-action", "panic after 5 s")).same
    assert not compare(one, ended("Job", "lava-test-shell", "panic after 3 s")).same
    found = compare(one, ended("Infrastructure", "login-action", ""))
    assert found.as_text() == (
        "other verdict: Incomplete (Infrastructure in login-action), "
        "the original was Incomplete (Job in login-action)\n"
    )


def test_a_run_without_an_end_equals_no_other() -> None:
    assert not compare(run(None), run(COMPLETE)).same
