# SPDX-License-Identifier: Apache-2.0
"""The plan for people and programs: users learn the action names from it (spec: action-pipeline §1)."""

from __future__ import annotations

from typing import Any

from executor.pipeline.action import Action
from executor.pipeline.log import clock
from executor.pipeline.planner import Plan


def as_data(planned: Plan) -> list[dict[str, Any]]:
    """The tree as lists and maps. `timeout` and `connection_timeout` are seconds."""
    return [_node(action) for action in planned.actions]


def as_text(planned: Plan) -> str:
    """One line an action: level, name, limit, attempts, label; children indented."""
    rows = []
    for action in planned.walk():
        depth = action.level.count(".")
        tries = (
            f"  x{action.max_attempts}{' (repeat)' if action.repeat else ''}"
            if action.max_attempts > 1
            else ""
        )
        label = f"  {action.label}" if action.label else ""
        rows.append(f"{'  ' * depth}{action.level} {action.name}  [{clock(action.limit)}]{tries}{label}")
    return "\n".join(rows)


def _node(action: Action) -> dict[str, Any]:
    node: dict[str, Any] = {
        "level": action.level,
        "name": action.name,
        "class": type(action).__name__,
        "summary": action.summary,
        "description": action.description,
        "section": action.section,
        "namespace": action.namespace,
        "timeout": action.limit,
        "connection_timeout": action.connection_limit,
        "max_retries": action.max_attempts,
    }
    if action.label:
        node["label"] = action.label
    if action.repeat:
        node["repeat"] = True
    if action.children:
        node["pipeline"] = [_node(child) for child in action.children]
    return node
