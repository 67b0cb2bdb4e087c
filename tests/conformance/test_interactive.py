# SPDX-License-Identifier: Apache-2.0
"""Dialogues of the field, played against our interactive test: what is typed, the results, how it ends.

The cases are read from $CONFORMANCE_CASES or, where the data lies beside the project, from there; they are
never copied. Deliberate differences stand in differences/interactive.yaml.
"""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from executor.actions.test.interactive import PlayScripts
from executor.actions.testrun.suite import MISSING
from executor.console.expect import Match, PromptTimeout, pattern_names
from executor.errors import ConnectionClosed, InfrastructureError, JobError, LavaExecError, TestError
from executor.model.deadline import Deadline
from executor.model.testblocks import Script
from executor.testing.clock import FakeClock
from executor.testing.pipeline import Scene, placed

CASES = Path(os.environ.get("CONFORMANCE_CASES") or Path(__file__).parents[3] / "shared/conformance/cases")
FOLDER = CASES / "logs" / "interactive"
NAMES = sorted(path.name for path in FOLDER.iterdir()) if FOLDER.is_dir() else []
LISTED = (
    yaml.safe_load((Path(__file__).parent / "differences" / "interactive.yaml").read_text(encoding="utf-8"))
    or []
)
DIFFERENCES = {entry["case"]: entry["reason"] for entry in LISTED}

pytestmark = pytest.mark.skipif(not NAMES, reason=f"no cases in {FOLDER}")

ERRORS: dict[str, type[Exception]] = {
    "ConnectionClosedError": ConnectionClosed,
    "InfrastructureError": InfrastructureError,
    "JobError": JobError,
    "LAVATimeoutError": TimeoutError,
    "TestError": TestError,
}
_TIMEOUT, _EOF = "TIMEOUT", "EOF"


class Dialog:
    """A console that plays the recorded dialogue: it answers waits in order and notes what is typed."""

    name = "console"

    def __init__(self, steps: list[list[Any]]) -> None:
        self.clock = FakeClock()
        self.character_delay = 0.0
        self.typed: list[str] = []
        self.wanted = [step[1] for step in steps if step[0] == "sendline"]
        self._answers = deque(step for step in steps if step[0] in ("expect", "readline"))

    def send_line(self, text: str) -> None:
        self.typed.append(text)

    def pause(self, deadline: Deadline) -> None:
        self.clock.advance(deadline.remaining)

    def expect(self, patterns: Any, deadline: Deadline) -> Match:
        kind, *rest = self._answers.popleft()
        names = pattern_names(patterns)
        if kind == "readline":
            assert re.compile(names[0]).search(f"{rest[0]}\n"), "an echo is a line"
            return Match(0, names[0], "\n", str(rest[0]), (), {}, 0)
        theirs = [p for p in rest[0] if not str(p).startswith("<class")]
        assert names == theirs, "what is waited for, and in which order"
        answer = rest[1]
        if not isinstance(answer, int) or answer >= len(theirs):
            text = str(answer if not isinstance(answer, int) else rest[0][answer])
            if _EOF in text:
                raise ConnectionClosed("it ended")
            assert _TIMEOUT in text, text
            raise PromptTimeout(names, deadline.remaining, "")
        groups = {k: v for k, v in (rest[2] if len(rest) > 2 else {}).items() if v is not None}
        return Match(answer, names[answer], "", "", (), groups, 0)


class Group:
    """Answers as the recorded one did: each wait tells an address."""

    def call(
        self, api: str, message: str, deadline: Deadline, *, role: str = "", pairs: Mapping[str, str] = {}
    ) -> dict[str, dict[str, str]]:
        return {"1": {"ipaddr": "172.17.0.3"}} if api == "wait" else {}


class Outcome:
    """What we make of one dialogue."""

    def __init__(self, name: str, directory: Path) -> None:
        case = yaml.safe_load((FOLDER / name / "case.yaml").read_text(encoding="utf-8"))
        self.expect: dict[str, Any] = case["expect"]
        self.error: Exception | None = None
        self.dialog = Dialog(case["connection_dialog"])
        scene = Scene(directory)
        scene.context.group = Group()
        scene.namespace.console = self.dialog  # type: ignore[assignment]
        scene.namespace.substitutions |= case.get("substitutions") or {}
        script = msgspec.convert(case["script"], Script)
        try:
            scene.run(placed(PlayScripts([(f"0_{script.name}", script)]), section="test"))
        except (LavaExecError, TimeoutError) as error:
            self.error = error
        # Expected cases that are missing are told by a part of theirs that is not in the recording.
        found = [
            r
            for r in scene.journal.results()
            if r["definition"] != "lava" and r.get("extra", {}).get("reason") != MISSING
        ]
        self.results = [(r["definition"], r["case"], r["result"]) for r in found]
        told = [entry[1] for entry in case.get("expected_log") or () if entry[0] == "results"]
        self.wanted = [(r["definition"], r["case"], r["result"]) for r in told if r["definition"] != "lava"]

    def differs(self) -> str:
        """In what we differ from the field, "" in nothing."""
        wanted = self.expect["error_class"] if self.expect["result"] == "raises" else ""
        if not isinstance(self.error, ERRORS[wanted]) if wanted else self.error is not None:
            return f"{wanted or 'nothing'} should have been raised, not {self.error!r}"
        if self.results != self.wanted:
            return f"results {self.results}"
        if {case: result for _, case, result in self.results} != self.expect["report"]:
            return f"report {self.results}"
        if self.dialog.typed != self.dialog.wanted[: len(self.dialog.typed)]:
            return f"typed {self.dialog.typed}"
        if not wanted and len(self.dialog.typed) != len(self.dialog.wanted):
            return f"typed only {self.dialog.typed}"
        return ""


@pytest.mark.parametrize("name", NAMES)
def test_the_same_results_of_the_same_dialogue(name: str, tmp_path: Path) -> None:
    difference = Outcome(name, tmp_path).differs()
    if name in DIFFERENCES:
        assert difference, f"no difference any more: {DIFFERENCES[name]}"
    else:
        assert difference == ""


def test_every_listed_difference_is_a_case() -> None:
    if set(DIFFERENCES) & set(NAMES):  # none of them: these are other cases
        assert set(DIFFERENCES) <= set(NAMES)
