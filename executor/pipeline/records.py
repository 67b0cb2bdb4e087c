# SPDX-License-Identifier: Apache-2.0
"""What the journal says about an action by itself: start, end, result (spec: job-format §3, results-and-logs
§2).
"""

from __future__ import annotations

from executor.errors import LavaExecError
from executor.model import journal
from executor.pipeline.action import Action
from executor.pipeline.log import Journal, clock
from executor.pipeline.run import Run


def mark_start(out: Journal, action: Action, run: Run) -> None:
    """The action begins; what the consoles say is booked under it from now on."""
    out.current = (action.name, action.level)
    limit = min(action.limit, run.deadline.remaining)
    text = f"start: {action.level} {action.name} (timeout {clock(limit + 0.5)}) [{action.namespace}]"
    out.record(_level(action), text)
    mark = journal.ActionMark(
        "start",
        action.name,
        action.level,
        attempt=run.attempt,
        max_attempts=action.max_attempts,
        timeout=round(limit, 3),
        section=action.section,
        namespace=action.namespace,
    )
    out.record(journal.ACTION, mark)


def mark_end(
    out: Journal, action: Action, run: Run, seconds: float, error: LavaExecError | None, *, retried: bool
) -> None:
    """The action ends; with a result record when there is something to tell. `retried`: it may run again."""
    out.current = (action.name, action.level)
    if run.results:
        record: dict[str, object] = {
            "definition": "lava",
            "case": action.name,
            "result": "fail" if error else "pass",
            "level": action.level,
            "duration": f"{seconds:.2f}",
            "namespace": action.namespace,
            "extra": run.results,
        }
        if run.connection.name != action.namespace:
            record["connection-namespace"] = run.connection.name
        if retried:
            record["attempt"] = run.outer
        out.record(journal.RESULTS, record)
    text = f"end: {action.level} {action.name} (duration {clock(seconds)}) [{action.namespace}]"
    out.record(_level(action), text)
    mark = journal.ActionMark(
        "end",
        action.name,
        action.level,
        attempt=run.attempt,
        max_attempts=action.max_attempts,
        duration=round(seconds, 3),
        result="fail" if error else "pass",
        error_type=error.error_type if error else "",
        error_msg=error.message if error else "",
        section=action.section,
        namespace=action.namespace,
    )
    out.record(journal.ACTION, mark)


def _level(action: Action) -> str:
    """Top actions are told at info, those below at debug (spec: job-format §3)."""
    return journal.DEBUG if "." in action.level else journal.INFO
