# SPDX-License-Identifier: Apache-2.0
"""Console streams of the field, compared with the results that LAVA draws from them.

The cases are read from $CONFORMANCE_CASES or, where the data lies beside the project, from there; they are
never copied. Deliberate differences stand in differences/streams.yaml.
"""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from executor.errors import JobError, LavaExecError, TestError
from executor.testing.hostdevice import define
from executor.testshell.placed import PlacedDefinition
from executor.testshell.results import Bookkeeper
from executor.testshell.stream import SignalStream

CASES = Path(os.environ.get("CONFORMANCE_CASES") or Path(__file__).parents[3] / "shared/conformance/cases")
FOLDER = CASES / "logs" / "test-shell-streams"
NAMES = sorted(path.name for path in FOLDER.iterdir()) if FOLDER.is_dir() else []
LISTED = yaml.safe_load((Path(__file__).parent / "differences" / "streams.yaml").read_text(encoding="utf-8"))
DIFFERENCES = {entry["case"]: entry["reason"] for entry in LISTED}

pytestmark = pytest.mark.skipif(not NAMES, reason=f"no cases in {FOLDER}")

_START = re.compile(r"<LAVA_SIGNAL_(?:START|END)RUN (\d+)_([-\w.]+) (\S+)>")
ERRORS = {"TestError": TestError, "JobError": JobError}
# What only we or only they say of a result.
OURS = ("starttc", "endtc", "duration", "level", "extra")


def placed(text: str, setup: dict[str, Any]) -> list[PlacedDefinition]:
    """The definitions that the job must have had."""
    found = {}
    for index, name, uuid in _START.findall(text):
        found[index] = define(
            name,
            index=int(index),
            uuid=uuid,
            pattern=setup.get("pattern") or "",
            fixup=setup.get("fixup") or {},
            expected=setup.get("expected") or [],
        )
    return list(found.values())


def compare(record: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in record.items() if key not in OURS and value is not None}
    if math.isinf(kept.get("measurement", 0)):
        kept["measurement"] = str(kept["measurement"])
    return kept


class Outcome:
    """What we make of one console."""

    def __init__(self, name: str, size: int) -> None:
        case = yaml.safe_load((FOLDER / name / "expected.yaml").read_text(encoding="utf-8"))
        text = (FOLDER / name / "console.txt").read_text(encoding="utf-8")
        self.expect: dict[str, Any] = case["expect"]
        self.records: list[dict[str, Any]] = []
        self.events: list[str] = []
        self.error: LavaExecError | None = None
        definitions = placed(text, case["setup"])
        self._book = Bookkeeper(
            definitions, namespace="common", emit=self.records.append, note=self._note, level="3.1"
        )
        self.stream = SignalStream([d.for_stream() for d in definitions])
        for start in range(0, len(text), size):
            self._feed(text[start : start + size])
            if self.error is not None or self.stream.exited:
                break
        for event in self.stream.give_up():
            self._book.take(event)
        self._book.finish()
        self.failure = self._book.failure

    def _feed(self, text: str) -> None:
        try:
            for event in self.stream.feed(text):
                self._book.take(event)
        except LavaExecError as error:
            self.error = error

    def _note(self, level: str, text: str) -> None:
        if level == "event":
            self.events.append(text)

    def differs(self) -> str:
        """In what we differ from the field, "" in nothing."""
        wanted = self.expect["error_class"] if self.expect["result"] == "raises" else ""
        if wanted == "ConnectionClosedError":
            if self.stream.exited or self.error is not None:
                return "the stream should have ended early"
        elif type(self.error) is not ERRORS.get(wanted, type(None)):
            return f"{wanted or 'nothing'} should have been raised, not {self.error!r}"
        elif not wanted and not self.stream.exited:
            return "the runner's end was not seen"
        unfinished = self.expect.get("unfinished_run_reported")
        theirs = [*self.expect["results"], *([unfinished] if unfinished else [])]
        ours = [compare(record) for record in self.records]
        left = [compare(record) for record in theirs]
        for record in ours:
            match = next((r for r in left if r.items() <= record.items()), None)
            if match is None:
                return f"{record} is one too many"
            left.remove(match)
        if left:
            return f"{left} are missing"
        if self.events != [" ".join(words) for words in self.expect["events"]]:
            return f"events {self.events}"
        if bool(self.expect.get("action_errors")) != (self.failure is not None):
            return f"failure at the end: {self.failure}"
        return ""


@pytest.mark.parametrize("size", [1, 17, 4096])
@pytest.mark.parametrize("name", NAMES)
def test_the_same_results_however_the_stream_is_cut(name: str, size: int) -> None:
    difference = Outcome(name, size).differs()
    if name in DIFFERENCES:
        assert difference, f"no difference any more: {DIFFERENCES[name]}"
    else:
        assert difference == ""


def test_every_listed_difference_is_a_case() -> None:
    if set(DIFFERENCES) & set(NAMES):  # none of them: these are other cases
        assert set(DIFFERENCES) <= set(NAMES)
