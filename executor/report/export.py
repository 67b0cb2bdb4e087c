# SPDX-License-Identifier: Apache-2.0
"""The map of one test case that the YAML and CSV exports share (spec: results-and-logs §5)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from executor.report.summary import Case, Summary

# The order of the CSV's columns.
COLUMNS = (
    "job", "suite", "result", "measurement", "unit", "duration", "timeout", "logged", "level", "metadata",
    "url", "name", "id", "log_start_line", "log_end_line",
)  # fmt: skip


def case_maps(
    summary: Summary, *, suite: str = "", limit: int | None = None, offset: int = 0
) -> Iterator[dict[str, Any]]:
    """One map a case, in order, without `duration` and `timeout`. Every value but `metadata` is text."""
    job = summary.header.job_id
    cases = [c for c in summary.cases if not suite or c.suite == suite]
    for case in cases[offset : None if limit is None else offset + limit]:
        yield {
            "job": job,
            "suite": case.suite,
            "result": case.result,
            "measurement": "None" if case.measurement is None else str(case.measurement),
            "unit": case.units,
            "logged": case.dt,
            "level": case.level,
            "metadata": metadata(case),
            "url": "/results/" + "/".join(quote(p, safe="") for p in (job, *case.address.split("/"))),
            "name": case.name,
            "id": str(case.seq),
            "log_start_line": _line(case.start_line),
            "log_end_line": _line(case.end_line),
        }


def suite_maps(summary: Summary) -> list[dict[str, str]]:
    """The summary form: one map a suite."""
    job = summary.header.job_id
    return [{"name": name, "job": job, "id": str(i)} for i, name in enumerate(summary.suites, 1)]


def metadata(case: Case) -> dict[str, Any]:
    """The record as it came, its `extra` as a list of maps with one key each."""
    record = dict(case.record)
    if isinstance(record.get("extra"), dict):
        record["extra"] = [{key: value} for key, value in record["extra"].items()]
    return record


def _line(number: int) -> str:
    return str(number) if number >= 0 else ""
