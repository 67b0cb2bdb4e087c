# SPDX-License-Identifier: Apache-2.0
"""Two runs of the same job side by side, verdict and test cases: a pure function of two summaries."""

from __future__ import annotations

from typing import Any

import msgspec

from executor.report.summary import Summary


class CaseDifference(msgspec.Struct, frozen=True):
    """One test case that did not come out the same. Empty text: the run has no such case."""

    case: str  # suite/set/case
    original: str
    rerun: str

    @property
    def sentence(self) -> str:
        """`0_smoke/disk: pass in the original, fail in the rerun`."""
        return (
            f"{self.case}: {self.original or 'absent'} in the original, {self.rerun or 'absent'} in the rerun"
        )


class Comparison(msgspec.Struct, frozen=True):
    """What is the same and what is not. Verdicts are health, error class and action of the first cause."""

    original: str
    rerun: str
    same_cases: int
    differences: list[CaseDifference]
    failing: list[str]  # cases that failed, or are unknown, in both

    @property
    def same_verdict(self) -> bool:
        """Whether both ended the same way."""
        return self.original == self.rerun

    @property
    def same(self) -> bool:
        """Verdict and every test case."""
        return self.same_verdict and not self.differences

    def as_data(self) -> dict[str, Any]:
        """For programs."""
        return {
            "same": self.same,
            "same_verdict": self.same_verdict,
            "verdict": {"original": self.original, "rerun": self.rerun},
            "same_cases": self.same_cases,
            "differences": msgspec.to_builtins(self.differences),
            "failing_in_both": self.failing,
        }

    def as_text(self) -> str:
        """A few lines for people."""
        if self.same_verdict:
            lines = [f"same verdict: {self.rerun}"]
        else:
            lines = [f"other verdict: {self.rerun}, the original was {self.original}"]
        count = self.same_cases + len(self.differences)
        if count:
            lines.append(f"{self.same_cases} of {count} test cases came out the same")
        lines += [f"  {difference.sentence}" for difference in self.differences]
        if self.failing:
            lines.append(f"failing in both: {', '.join(self.failing)}")
        return "\n".join(lines) + "\n"


def compare(original: Summary, rerun: Summary) -> Comparison:
    """The last attempt of each case counts; suite `lava` enters through the verdict only."""
    before, after = _results(original), _results(rerun)
    names = list(dict.fromkeys([*before, *after]))
    differences = [
        CaseDifference(name, before.get(name, ""), after.get(name, ""))
        for name in names
        if before.get(name) != after.get(name)
    ]
    bad = ("fail", "unknown")
    failing = [name for name in names if before.get(name) in bad and after.get(name) in bad]
    same = len(names) - len(differences)
    return Comparison(_verdict(original), _verdict(rerun), same, differences, failing)


def _results(summary: Summary) -> dict[str, str]:
    return {case.address: case.result for case in summary.tests}


def _verdict(summary: Summary) -> str:
    """`Complete`, or `Incomplete (Job in login-action)`; messages carry times and do not count."""
    end = summary.end
    if end is None:
        return "no end"
    if not end.error_type:
        return end.health
    where = f" in {end.action}" if end.action else ""
    return f"{end.health} ({end.error_type}{where})"
