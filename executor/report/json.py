# SPDX-License-Identifier: Apache-2.0
"""The whole of a Summary as one JSON document, for programs that want more than the field's formats carry."""

from __future__ import annotations

from typing import Any

import msgspec

from executor.report.summary import ActionNode, Case, Summary

FORMAT = 1


def results_json(summary: Summary, *, suite: str = "") -> str:
    """One object: job, outcome, cause, counts, suites with their cases, actions with their attempts."""
    return msgspec.json.format(msgspec.json.encode(as_data(summary, suite=suite)), indent=2).decode() + "\n"


def as_data(summary: Summary, *, suite: str = "") -> dict[str, Any]:
    """The same as plain data. Times are seconds, log lines count from 0; what is not known is null."""
    header, end, cause = summary.header, summary.end, summary.cause()
    return {
        "format": FORMAT,
        "job": header.job_id,
        "name": header.job_name,
        "device": header.device,
        "device_type": header.device_type,
        "submitter": header.submitter,
        "image": header.image,
        "image_digest": header.image_digest,
        "version": header.version,
        "worker": header.host,
        "metadata": header.metadata,
        "started": summary.first_dt or None,
        "ended": summary.last_dt if end is not None else None,
        "seconds": end.seconds if end is not None else None,
        "health": end.health if end is not None else "Unknown",
        "exit_code": end.exit_code if end is not None else None,
        "cause": None
        if cause is None
        else {
            "who": cause.who,
            "error_type": cause.error_type,
            "message": cause.what,
            "hint": cause.hint,
            "action": cause.action,
            "level": cause.level,
            "attempt": cause.attempt or None,
            "attempts": cause.attempts or None,
            "log_line": _line(cause.line),
        },
        "counts": summary.counts,
        "suites": [
            {"name": name, "cases": [_case(case) for case in cases]}
            for name, cases in summary.suites.items()
            if not suite or name == suite
        ],
        "actions": [_action(node) for node in summary.actions],
        "warnings": [*summary.warnings, *(f"definition {name} did not run" for name in _unseen(summary))],
        "log": {"lines": summary.lines, "missing_records": summary.missing, "unreadable": summary.bad},
    }


def _unseen(summary: Summary) -> list[str]:
    return summary.unseen_definitions if summary.end is not None else []


def _case(case: Case) -> dict[str, Any]:
    known = {
        "set": case.set,
        "measurement": case.measurement,
        "units": case.units,
        "level": case.level,
        "duration": case.duration,
        "attempt": case.attempt,
        "reference": case.record.get("reference"),
        "error_type": case.record.get("error_type"),
        "error_msg": case.record.get("error_msg"),
        "extra": case.record.get("extra"),
        "log_start_line": _line(case.start_line),
        "log_end_line": _line(case.end_line),
    }
    given = {
        key: value for key, value in known.items() if value not in (None, "", 0) or key.startswith("log_")
    }
    if case.measurement is not None:
        given["measurement"] = case.measurement
    return {"name": case.name, "result": case.result, "time": case.dt, **given}


def _action(node: ActionNode) -> dict[str, Any]:
    data: dict[str, Any] = {
        "name": node.name,
        "level": node.level,
        "attempt": node.attempt,
        "attempts": node.max_attempts,
        "started": node.start_dt,
        "seconds": node.duration if node.end_dt else None,
        "timeout": node.timeout,
        "result": node.result or None,
        "namespace": node.namespace,
        "section": node.section,
        "log_line": _line(node.line),
    }
    if node.error_msg:
        data |= {"error_type": node.error_type, "error_msg": node.error_msg}
    if node.children:
        data["actions"] = [_action(child) for child in node.children]
    return data


def _line(number: int) -> int | None:
    return number if number >= 0 else None
