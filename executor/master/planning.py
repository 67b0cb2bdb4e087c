# SPDX-License-Identifier: Apache-2.0
"""The Check that a master normally uses: the same check as everywhere else, offline."""

from __future__ import annotations

from executor.master.submission import Answer, Question, Summary
from executor.model.job import Job
from executor.model.problem import Problem
from executor.pipeline.check import check_job
from executor.pipeline.world import FarmWorld


def planning_check(question: Question) -> Answer:
    """Parse the job, and plan it when there is a device to plan it for."""
    device = question.device
    done = check_job(
        question.text,
        device,
        filename=question.filename,
        device_filename=f"device {device.get('hostname', 'device')}" if device is not None else "",
        strict=not question.lax,
        scheduled=True,
        refuse_long_timeouts=question.strict,
        world=FarmWorld(),
    )
    if done.job is None:
        return Answer(done.problems)
    if done.job.multinode is not None:
        text = "this master cannot run groups of jobs yet"
        problem = done.parsed.locate(Problem(text, path=("protocols", "lava-multinode")))
        return Answer([*done.parsed.problems, problem])
    return Answer(done.problems, _summary(done.job))


def _summary(job: Job) -> Summary:
    return Summary(
        name=job.job_name,
        device_type=job.device_type or "",
        priority=job.priority,
        tags=list(job.tags),
        context=dict(job.context),
        device=job.device or job.target or "",
        worker=job.worker or "",
        queue_seconds=job.timeouts.queue or 0,
        secrets=dict(job.secrets),
    )
