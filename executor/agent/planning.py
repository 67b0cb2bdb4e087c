# SPDX-License-Identifier: Apache-2.0
"""What a job needs in its container, from the same plan that the runner will make.

The one place of the agent that knows the pipeline, which is imported with the first job only.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import msgspec

from executor.model.launch import Needs

DAY = 86400.0


class Planned(msgspec.Struct, frozen=True):
    """`seconds`: the job's own timeout."""

    needs: Needs
    seconds: float = DAY


_turn = threading.Lock()
Planner = Callable[[str, dict[str, Any], bool], Planned]


def warm_up() -> None:
    """Import what `plan_job` needs, so that the first job does not wait for it."""
    from executor.pipeline.method import builtin_registry
    from executor.schema import device, job

    builtin_registry().load()
    _ = device, job


def plan_job(text: str, device: dict[str, Any], strict: bool) -> Planned:
    """Parse and plan. A job without a plan gets the smallest container: its runner tells what is wrong.

    One job at a time: the types of jobs are imported here, too late to be completed (see model.typeinfo).
    """
    with _turn:
        from executor.pipeline.planner import plan
        from executor.schema.device import parse_device
        from executor.schema.job import parse_job

        job = parse_job(text, "job.yaml", strict=strict).job
        parsed = parse_device(device, "device.yaml").device
        if job is None or parsed is None:
            return Planned(Needs())
        planned = plan(job, parsed)
        return Planned(planned.needs, job.timeouts.job or DAY)
