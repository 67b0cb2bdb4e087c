# SPDX-License-Identifier: Apache-2.0
"""Results as JUnit XML, for the CI systems that read it (spec: results-and-logs §5)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from executor.report.summary import Case, Summary

# XML 1.0 has no way to write these, not even as a reference.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_REFERENCES = {ord(c): f"&#{ord(c)};" for c in "\t\n\r"} | {
    ord("&"): "&amp;",
    ord("<"): "&lt;",
    ord(">"): "&gt;",
    ord('"'): "&quot;",
}
_TEXT = {ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;", ord("\r"): "&#13;"}


def results_junit(summary: Summary, *, suite: str = "", prefix: str = "") -> Iterator[str]:
    """One testsuite a suite. `summary` should have excerpts; class names are `prefix_suite`."""
    suites = {name: cases for name, cases in summary.suites.items() if not suite or name == suite}
    every = [case for cases in suites.values() for case in cases]
    yield '<?xml version="1.0" encoding="utf-8"?>\n'
    name = summary.header.job_name or f"job {summary.header.job_id}"
    yield f"<testsuites name={_attribute(name)} {_counts(every)}>\n"
    for number, (title, cases) in enumerate(suites.items()):
        stamp = f" timestamp={_attribute(cases[0].dt[:19])}" if cases else ""
        yield f'  <testsuite id="{number}" name={_attribute(title)} {_counts(cases)}{stamp}>\n'
        for case in cases:
            yield _case(case, f"{prefix}_{title}" if prefix else title)
        yield "  </testsuite>\n"
    yield "</testsuites>\n"


def _case(case: Case, classname: str) -> str:
    time = f' time="{case.duration:.2f}"' if case.duration is not None else ""
    start = f"    <testcase classname={_attribute(classname)} name={_attribute(case.name)}{time}"
    if case.result == "fail":
        text = _NOT_XML.sub("?", case.excerpt or str(case.record.get("error_msg") or "")).translate(_TEXT)
        kind = str(case.record.get("error_type") or "failed")
        return (
            f'{start}>\n      <failure message="failed" type={_attribute(kind)}>{text}</failure>\n'
            "    </testcase>\n"
        )
    if case.result == "skip":
        return f"{start}>\n      <skipped/>\n    </testcase>\n"
    return f"{start}/>\n"


def _counts(cases: list[Case]) -> str:
    failures = sum(case.result == "fail" for case in cases)
    skipped = sum(case.result == "skip" for case in cases)
    seconds = sum(case.duration or 0.0 for case in cases)
    return f'tests="{len(cases)}" failures="{failures}" errors="0" skipped="{skipped}" time="{seconds:.2f}"'


def _attribute(text: str) -> str:
    return f'"{_NOT_XML.sub("?", text).translate(_REFERENCES)}"'
