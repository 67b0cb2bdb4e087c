# SPDX-License-Identifier: Apache-2.0
"""The actions of a job as bars over its time: a row an attempt, the short ones that passed left out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from executor.report.summary import ActionNode, Summary, seconds_between

MAX_ROWS = 120
LEAST = 0.01  # of the whole time: shorter actions below the top have no row unless they failed


@dataclass(frozen=True, slots=True)
class Row:
    """One bar. `left` and `width` are percent of the job's time."""

    node: ActionNode
    depth: int
    left: float
    width: float
    seconds: float

    @property
    def result(self) -> str:
        return self.node.result or "running"


def total_seconds(summary: Summary) -> float:
    """From the first record to the last."""
    return seconds_between(summary.first_dt, summary.last_dt)


def timeline(summary: Summary) -> tuple[list[Row], int]:
    """Rows in order of time, and how many more there would have been."""
    total = total_seconds(summary) or 1.0
    rows = [_row(node, depth, summary, total) for node, depth in _nodes(summary.actions, 0)]
    rows = [row for row in rows if row.depth == 0 or row.result != "pass" or row.seconds >= LEAST * total]
    if len(rows) <= MAX_ROWS:
        return rows, 0
    weight = sorted(rows, key=lambda row: (row.result == "pass", row.depth, -row.seconds))
    kept = set(map(id, weight[:MAX_ROWS]))
    return [row for row in rows if id(row) in kept], len(rows) - MAX_ROWS


def _nodes(nodes: list[ActionNode], depth: int) -> Iterator[tuple[ActionNode, int]]:
    for node in nodes:
        yield node, depth
        yield from _nodes(node.children, depth + 1)


def _row(node: ActionNode, depth: int, summary: Summary, total: float) -> Row:
    begin = seconds_between(summary.first_dt, node.start_dt)
    seconds = node.duration if node.end_dt else seconds_between(node.start_dt, summary.last_dt)
    left = min(100.0, 100 * begin / total)
    width = min(100.0 - left, max(0.25, 100 * seconds / total))
    return Row(node, depth, round(left, 2), round(width, 2), seconds)
