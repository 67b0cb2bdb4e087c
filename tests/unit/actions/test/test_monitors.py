# SPDX-License-Identifier: Apache-2.0
"""Monitors: results from what a board prints by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from executor.actions.test.monitors import MonitorRetry, ReadMonitors
from executor.errors import ConnectionClosed, TestTimeout
from executor.model import journal
from executor.model.job import Block
from executor.model.testblocks import Monitor
from executor.pipeline.check import check_job
from executor.testing import jobs
from executor.testing.board import Board
from executor.testing.console import Hang, Say, Step

PATTERN = r"(?P<result>PASS|FAIL) - (?P<test_case_id>.*)\."
KERNEL = Monitor(name="Kernel Common", start="tests begin", end="PROJECT EXECUTION", pattern=PATTERN)


def monitor(**keys: Any) -> Monitor:
    given = {
        "name": "m",
        "start": "begin",
        "end": "the end",
        "pattern": r"(?P<test_case_id>\w+): (?P<result>\w+)",
    }
    return Monitor(**{**given, **keys})


def read(tmp_path: Path, script: list[Step], *monitors: Monitor) -> Board:
    board = Board(tmp_path, *script, section="test")
    board.run(ReadMonitors(list(monitors)))
    return board


@pytest.mark.parametrize("chunk", [0, 1, 7])
def test_results_between_start_and_end(tmp_path: Path, chunk: int) -> None:
    text = (
        "PASS - too early.\r\ntests begin\r\nPASS - Test One.\r\nFAIL - test.two in 3 s.\r\n"
        "nothing\r\nPROJECT EXECUTION OK\r\nPASS - too_late.\r\n"
    )
    board = read(tmp_path, [Say(text, after=1, chunk=chunk)], KERNEL)
    assert board.cases("kernel-common") == {"test_one": "pass", "test_two_in_3_s": "fail"}
    assert board.scene.context.cases == {"pass": 1, "fail": 1}


def test_the_record_names_the_line_of_the_log(tmp_path: Path) -> None:
    board = read(
        tmp_path, [Say("tests begin\r\nPASS - a.\r\nPASS - b.\r\nPROJECT EXECUTION\r\n", chunk=5)], KERNEL
    )
    records = board.scene.journal.records
    for result in board.scene.journal.results():
        assert f"- {result['case']}." in records[result["starttc"]].msg
        assert result["level"] == "1"


def test_a_measurement_alone_is_a_pass(tmp_path: Path) -> None:
    pattern = r"(?P<test_case_id>.*) (?P<measurement>.*) (?P<units>tcs) = [0-9]* nsec"
    board = read(
        tmp_path,
        [Say("begin\nswitch time 12.5 tcs = 9 nsec\nodd x tcs = 1 nsec\nthe end")],
        monitor(pattern=pattern),
    )
    (record,) = board.scene.journal.results()
    assert (record["case"], record["result"]) == ("switch_time", "pass")
    assert (record["measurement"], record["units"]) == (12.5, "tcs")
    (error,) = board.scene.journal.messages(journal.ERROR)
    assert "'x' is no number" in error


def test_a_result_that_is_none_is_told_and_left_out(tmp_path: Path) -> None:
    fixed = monitor(fixupdict={"OK": "pass"})
    board = read(tmp_path, [Say("begin\na: OK\nb: maybe\nthe end")], fixed)
    assert board.cases("m") == {"a": "pass"}
    assert any("'b: maybe' is ignored" in text for text in board.scene.journal.messages(journal.ERROR))


def test_expected_cases_that_are_missing_fail_and_others_too(tmp_path: Path) -> None:
    board = read(tmp_path, [Say("begin\na: pass\nb: pass\nthe end")], monitor(expected=["a", "c"]))
    assert board.cases("m") == {"a": "pass", "b": "fail", "c": "fail"}
    reasons = [r.get("extra", {}).get("reason", "") for r in board.scene.journal.results()]
    assert [bool(reason) for reason in reasons] == [False, True, True]


def test_monitors_are_read_one_after_the_other(tmp_path: Path) -> None:
    two = monitor(name="second", start="again")
    board = read(tmp_path, [Say("begin\na: pass\nthe end\nagain\nb: fail\nthe end\n")], monitor(), two)
    assert (board.cases("m"), board.cases("second")) == ({"a": "pass"}, {"b": "fail"})


def test_a_pattern_may_cross_lines(tmp_path: Path) -> None:
    pattern = r"case (?P<test_case_id>\w+)\r?\n +(?P<result>\w+)"
    board = read(tmp_path, [Say("begin\r\ncase a\r\n  pass\r\nthe end", chunk=3)], monitor(pattern=pattern))
    assert board.cases("m") == {"a": "pass"}


def test_an_end_that_does_not_come_leaves_what_was_read(tmp_path: Path) -> None:
    board = Board(tmp_path, Say("begin\na: pass\nb: fail"), section="test")
    with pytest.raises(TestTimeout, match="60 seconds: the end of 'm', 'the end', did not come"):
        board.run(ReadMonitors([monitor()]))
    assert board.cases("m") == {"a": "pass", "b": "fail"}


def test_a_board_that_goes_away_is_the_labs_affair(tmp_path: Path) -> None:
    board = Board(tmp_path, Say("begin\na: pass\n"), Hang(after=1), section="test")
    with pytest.raises(ConnectionClosed):
        board.run(ReadMonitors([monitor()]))
    assert board.cases("m") == {"a": "pass"}


def test_a_start_that_does_not_come(tmp_path: Path) -> None:
    board = Board(tmp_path, Say("booting\n" * 3000), section="test")
    with pytest.raises(TestTimeout, match="the start of 'm', 'begin', did not come"):
        board.run(ReadMonitors([monitor()]))


def test_copies_of_a_repeat_block_say_which_one_they_are(tmp_path: Path) -> None:
    board = Board(tmp_path, Say("begin\na: pass\nthe end\n"), section="test")
    action = ReadMonitors([monitor()])
    action.block = Block(section="test", index=1, parameters={}, iteration=2)
    board.run(action)
    assert [r["attempt"] for r in board.scene.journal.results()] == [3]


# -- plan


def test_the_plan_has_the_fields_names() -> None:
    monitors = [{"name": "m", "start": "a", "end": "b", "pattern": PATTERN}]
    done = check_job(
        jobs.job(jobs.boot(), {"test": {"monitors": monitors, "failure_retry": 2}}), jobs.device()
    )
    assert done.errors == []
    assert done.planned is not None
    top = done.planned.actions[1]
    assert isinstance(top, MonitorRetry)
    assert (top.name, top.max_attempts) == ("lava-test-monitor-retry", 2)
    assert [child.name for child in top.children] == ["lava-test-monitor"]


@pytest.mark.parametrize(
    ("pattern", "words"),
    [("PASS (.*)", "no group test_case_id"), (r"(?P<test_case_id>\w+)", "neither a group")],
)
def test_a_pattern_that_gives_no_result_is_refused(pattern: str, words: str) -> None:
    monitors = [{"name": "m", "start": "a", "end": "b", "pattern": pattern}]
    done = check_job(jobs.job(jobs.boot(), {"test": {"monitors": monitors}}), jobs.device())
    (problem,) = done.errors
    assert words in problem.message
    assert problem.path[-3:] == ("monitors", 0, "pattern")


def test_two_flavours_in_one_block_are_refused_by_both() -> None:
    block = {
        **jobs.shell_test()["test"],
        "monitors": [{"name": "m", "start": "a", "end": "b", "pattern": PATTERN}],
    }
    done = check_job(jobs.job(jobs.deploy(), jobs.boot(), {"test": block}), jobs.device())
    (problem,) = done.errors
    assert "definitions and monitors stand in one block" in problem.message
