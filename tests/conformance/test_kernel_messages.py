# SPDX-License-Identifier: Apache-2.0
"""Kernel faults in console texts of the field, compared with what LAVA finds in them.

The cases are read from $CONFORMANCE_CASES or, where the data lies beside the project, from there; they
are never copied.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from executor.console.expect import PromptTimeout
from executor.console.faults import KernelFault
from executor.console.watcher import MAX_FAULTS, Mode
from executor.errors import JobError
from executor.model.deadline import Deadline
from executor.testing.console import FakeClock, Hang, Say, ScriptedConsole, ScriptedPort

CASES = Path(os.environ.get("CONFORMANCE_CASES") or Path(__file__).parents[3] / "shared/conformance/cases")
FOLDER = CASES / "logs" / "linux-kernel-messages"
NAMES = sorted(path.name for path in FOLDER.iterdir()) if FOLDER.is_dir() else []

# Where we differ on purpose, and why.
PANIC_WINS = "a panic is the cause also when the stream ends before its end marker; there it is lost"
DIFFERENCES = {
    "kernel-panic-and-reset-overlapped": PANIC_WINS,
    "syn-panic-simple": PANIC_WINS,
    "syn-lockdep": "a report without an end marker is recorded once the console is quiet; there it is lost",
}

pytestmark = pytest.mark.skipif(not NAMES, reason=f"no cases in {FOLDER}")

_ESCAPE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def expected(name: str) -> dict[str, Any]:
    data: dict[str, Any] = yaml.safe_load((FOLDER / name / "expected.yaml").read_text(encoding="utf-8"))
    return data


def watched(name: str, chunk: int, *, ends: bool) -> ScriptedConsole:
    data = (FOLDER / name / "input.txt").read_bytes()
    script: list[Say | Hang] = [Say(data, chunk=chunk), *([Hang()] if ends else [])]
    console = ScriptedConsole(ScriptedPort(FakeClock(), script))
    console.watch(Mode.BOOT)
    return console


def plain(message: str) -> str:
    """Their message as ours are: no escape sequences, lines ended by a newline."""
    return re.sub(r"\r+\n", "\n", _ESCAPE.sub("", message))


@pytest.mark.parametrize("chunk", [100, 4096, 65536])
def test_the_same_faults_are_found_however_the_stream_is_cut(name: str, chunk: int) -> None:
    console = watched(name, chunk, ends=True)
    console.settle(60)
    want = [(m["kind"], plain(m["message"])) for m in expected(name)["expect"].get("matches", [])]
    got = [(f.kind.value, f.message) for f in console.faults if not f.fatal]
    if name in DIFFERENCES:
        assert got != want or console.faults[-1].fatal, f"no difference any more: {DIFFERENCES[name]}"
        return
    if expected(name)["expect"]["result"] == "raises":
        return  # the case does not tell what was found before the fatal one
    assert got == want[:MAX_FAULTS]
    assert len(got) + console._watcher.not_kept.total() == len(want)


def test_the_same_ending_when_the_stream_ends(name: str) -> None:
    console = watched(name, 4096, ends=True)
    console.settle(60)
    case = expected(name)["expect"]
    if case["result"] == "raises":
        with pytest.raises(KernelFault) as caught:
            console.check()
        assert isinstance(caught.value, JobError)
        assert caught.value.fault.message == plain(case["error_message"])
    elif DIFFERENCES.get(name) == PANIC_WINS:
        with pytest.raises(KernelFault):
            console.check()
    else:
        console.check()


def test_the_same_ending_when_nothing_more_comes(name: str) -> None:
    console = watched(name, 4096, ends=False)
    case = expected(name).get("expect_open_stream")
    if case is None:
        pytest.skip("the case does not say")
    with pytest.raises((KernelFault, PromptTimeout)) as caught:
        console.expect("no such prompt", Deadline.after(60, console.clock))
    if case["error_message"] == "wait for prompt timed out":
        assert caught.type is PromptTimeout
    else:
        assert isinstance(caught.value, KernelFault)
        assert plain(case["error_message"]) in caught.value.fault.message
