# SPDX-License-Identifier: Apache-2.0
"""Which limit holds for an action: the precedence of spec job-format §3, in one place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from executor.model.timeouts import DEFAULT_SECONDS, action_name, parse_timeout

if TYPE_CHECKING:
    from executor.model.device import Device
    from executor.model.job import Block, Job
    from executor.pipeline.action import Action


def action_limit(action: Action, parent: Action | None, block: Block | None, job: Job, device: Device) -> int:
    """Seconds that `action` may take. The last rule that applies wins."""
    name = action_name(action.name)
    limit = action.default_timeout or DEFAULT_SECONDS
    general = job.timeouts.action
    if action.section == "test" and job.timeouts.test is not None:
        general = job.timeouts.test
    if general is not None:
        limit = general
    limit = device.timeouts.actions.get(name, limit)
    if block is not None and "timeout" in block.parameters:
        limit = parse_timeout(block.parameters["timeout"])
    if parent is not None and parent.max_attempts > 1:
        limit = max(1, parent.limit // parent.max_attempts)
    limit = job.timeouts.actions.get(name, limit)
    own = _named(block, name)
    limit = limit if own is None else own
    return limit if action.longest is None else min(limit, action.longest)


def connection_limit(action: Action, block: Block | None, job: Job, device: Device) -> int:
    """Seconds that one operation on a console may take within `action`."""
    name = action_name(action.name)
    limit = DEFAULT_SECONDS
    if job.timeouts.connection is not None:
        limit = job.timeouts.connection
    limit = device.timeouts.connections.get(name, limit)
    limit = job.timeouts.connections.get(name, limit)
    if block is not None and "connection_timeout" in block.parameters:
        limit = parse_timeout(block.parameters["connection_timeout"])
    return limit


def attempts(action: Action, block: Block | None, device: Device) -> tuple[int, bool]:
    """(attempts, repeat): how often a RetryAction runs at most, and whether it always runs them all."""
    if not action.retry:
        return 1, False
    given = block.parameters if block is not None else {}
    if "repeat" in given:
        return int(given["repeat"]), True
    if "failure_retry" in given:
        return int(given["failure_retry"]), False
    if action.section == "boot":
        boot = device.constant("boot_retry", default=None)
        if boot is not None:
            return int(boot), False
    return int(device.constant("failure_retry", default=1) or 1), False


def _named(block: Block | None, name: str) -> int | None:
    if block is None:
        return None
    for key, value in (block.parameters.get("timeouts") or {}).items():
        if action_name(key) == name:
            return parse_timeout(value)
    return None
