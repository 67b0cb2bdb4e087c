# SPDX-License-Identifier: Apache-2.0
"""Checked commands and forced prompts, on a scripted board."""

from __future__ import annotations

import re

import pytest

from executor.console.expect import PromptTimeout
from executor.errors import JobError
from executor.model import journal
from executor.model.deadline import Deadline
from executor.testing.console import FakeClock, Hear, Say, ScriptedConsole, ScriptedPort, Shell, Step


def scripted(*script: Step) -> ScriptedConsole:
    return ScriptedConsole(ScriptedPort(FakeClock(), script))


def answer(output: str, rc: int = 0) -> Shell:
    """A shell that runs anything with this output and exit code."""

    def run(found: re.Match[str]) -> str:
        return f"<begin:{found[1]}>\n{output}<end:{found[1]}:{rc}>\n"

    return Shell("/ # ", {r"<%s:(lava-exec-\d+)>": run})


def test_output_and_exit_code() -> None:
    console = scripted(answer("one\ntwo\n", rc=42))
    outcome = console.command("do something", "/ # ", Deadline.after(60, console.clock))
    assert (outcome.output, outcome.rc) == ("one\ntwo\n", 42)
    assert console.sink.records[outcome.seq][1].startswith("<end:lava-exec-")
    assert console.sink.texts(journal.DEBUG) == ["'do something' returned 42"]


def test_a_prompt_left_over_is_not_taken_for_the_one_after_the_command() -> None:
    console = scripted(Say("/ # / # "), answer("done\n"))
    console.settle(1)
    outcome = console.command("x", "/ # ", Deadline.after(60, console.clock))
    assert outcome.output == "done\n"
    assert console.drain() == ""


def test_long_output_keeps_its_end_or_as_much_as_is_wanted() -> None:
    text = "".join(f"line {n}\n" for n in range(20_000))
    console = scripted(answer(text))
    outcome = console.command("cat log", "/ # ", Deadline.after(60, console.clock))
    assert text.endswith(outcome.output)
    assert len(outcome.output) > 50_000
    outcome = console.command("cat log", "/ # ", Deadline.after(60, console.clock), keep=1 << 20)
    assert outcome.output == text


def test_no_exit_code_in_time_is_the_jobs_error() -> None:
    console = scripted(Shell("> "))
    with pytest.raises(JobError, match="no exit code of 'cat' within 15 seconds"):
        console.command("cat", "/ # ", Deadline.after(60, console.clock))
    assert console.clock() == pytest.approx(1015, abs=0.1)


def test_no_prompt_afterwards_is_a_timeout() -> None:
    mute = Shell("", answer("").answers)
    console = scripted(mute)
    with pytest.raises(PromptTimeout):
        console.command("x", "/ # ", Deadline.after(60, console.clock))


def test_a_prompt_that_comes_by_itself_is_not_asked_for() -> None:
    console = scripted(Say("/ # ", after=4))
    match = console.expect_forced("/ # ", Deadline.after(60, console.clock), limit=10)
    assert match.text == "/ # "
    assert console.board.typed == ""


def test_half_of_the_limit_and_then_tenths_of_it() -> None:
    console = scripted(Hear(re.compile(r"(#\n){3}")), Say("/ # "))
    console.expect_forced("/ # ", Deadline.after(60, console.clock), limit=10)
    assert console.board.typed == "#\n#\n#\n"
    assert console.clock() == pytest.approx(1000 + 5 + 2, abs=0.1)
    assert len(console.sink.texts(journal.WARNING)) == 3
