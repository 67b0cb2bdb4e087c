# SPDX-License-Identifier: Apache-2.0
"""The Check that a master normally uses: the same parser and planner as everywhere else, offline."""

from __future__ import annotations

from executor.master.submission import Answer, Question, Summary
from executor.model.job import Job
from executor.model.problem import Problem
from executor.pipeline.planner import plan, validate
from executor.schema.device import parse_device
from executor.schema.job import ParsedJob, parse_job


def planning_check(question: Question) -> Answer:
    """Parse the job, and plan it when there is a device to plan it for."""
    parsed = parse_job(
        question.text,
        question.filename,
        strict=not question.lax,
        scheduled=True,
        refuse_long_timeouts=question.strict,
    )
    job = parsed.job
    if job is None:
        return Answer(parsed.problems)
    if job.multinode is not None:
        text = "this master cannot run groups of jobs yet"
        problem = parsed.locate(Problem(text, path=("protocols", "lava-multinode")))
        return Answer([*parsed.problems, problem])
    if question.device is None:
        return Answer(parsed.problems, _summary(job))
    return Answer([*parsed.problems, *_planned(parsed, job, question.device)], _summary(job))


def _planned(parsed: ParsedJob, job: Job, device: dict[str, object]) -> list[Problem]:
    name = str(device.get("hostname", "device"))
    found = parse_device(device, f"device {name}")
    if found.device is None:
        return found.problems
    planned = plan(job, found.device)
    problems = [*planned.problems, *validate(planned)]
    return [*found.problems, *(parsed.locate(problem) for problem in problems)]


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
