# SPDX-License-Identifier: Apache-2.0
"""Results as TAP version 13 (spec: results-and-logs §5)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from executor.report.logs_yaml import quote
from executor.report.summary import Case, Summary

_NOT_PLAIN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")


def results_tap(summary: Summary, *, suite: str = "") -> Iterator[str]:
    """Plan, then one line a case. `summary` should have excerpts."""
    suites = {name: cases for name, cases in summary.suites.items() if not suite or name == suite}
    yield "TAP version 13\n"
    yield f"1..{sum(map(len, suites.values()))}\n"
    number = 0
    for name, cases in suites.items():
        yield f"# suite {name}\n"
        for case in cases:
            number += 1
            yield _line(number, case)


def _line(number: int, case: Case) -> str:
    title = case.name.replace("\\", "\\\\").replace("#", "\\#")
    if case.result == "pass":
        return f"ok {number} - {title}\n"
    if case.result == "skip":
        return f"ok {number} - {title} # SKIP\n"
    if case.result == "unknown":
        return f"not ok {number} - {title} # TODO the result is not known\n"
    return f"not ok {number} - {title}\n{_diagnosis(case)}"


def _diagnosis(case: Case) -> str:
    """The log lines of a failed case as an indented YAML block."""
    message = str(case.record.get("error_msg") or "")
    if not case.excerpt and not message:
        return ""
    out = ["  ---\n"]
    if message:
        out.append(f"  message: {quote(message)}\n")
    if case.excerpt:
        out.append("  log: |2-\n")
        out += (f"    {_NOT_PLAIN.sub('?', line)}\n" for line in case.excerpt.split("\n"))
    out.append("  ...\n")
    return "".join(out)
