# SPDX-License-Identifier: Apache-2.0
"""Names of actions that a job speaks of and that its plan does not have: most often slips, so they are told
(spec: job-format §3, multinode §7).
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING

from executor.model.problem import Path, Problem
from executor.model.timeouts import action_name
from executor.schema.multinode import NAME, calls_of

if TYPE_CHECKING:
    from executor.model.job import Job
    from executor.pipeline.action import Action


def unknown_names(job: Job, actions: Collection[Action]) -> Iterator[Problem]:
    """Warnings for timeouts and protocol calls. `actions` is all of the plan."""
    known = {action_name(action.name) for action in actions}
    for path, names in _timeouts(job):
        for name in names:
            if action_name(name) not in known:
                yield _warning(f"timeout for {name!r}", "of this plan", (*path, name), name, known)
    for block in job.blocks:
        if block.iteration:
            continue
        own = {action_name(a.name) for a in actions if a.block is block}
        for number, call in enumerate(calls_of(block, NAME)):
            action = call.get("action")
            if isinstance(action, str) and action_name(action) not in own:
                path = (*block.path, "protocols", NAME, number, "action")
                yield _warning(f"a call in {action!r}", "of this block", path, action, own)


def _timeouts(job: Job) -> Iterator[tuple[Path, Iterable[str]]]:
    if job.member is None:  # those of a group are for the jobs of all roles
        yield ("timeouts", "actions"), job.timeouts.actions
        yield ("timeouts", "connections"), job.timeouts.connections
    for block in job.blocks:
        yield (*block.path, "timeouts"), block.parameters.get("timeouts") or {}


def _warning(what: str, where: str, path: Path, name: str, known: Collection[str]) -> Problem:
    near = difflib.get_close_matches(name, sorted(known), 1)
    return Problem(
        f"{what}, but no action {where} has that name",
        path=path,
        near=near[0] if near else "",
        expected="one of " + ", ".join(sorted(known)),
        severity="warning",
    )
