# SPDX-License-Identifier: Apache-2.0
"""The records that open and close a journal, and what people are told: pure functions of how the run went."""

from __future__ import annotations

import os

from executor import __version__
from executor.actions.origin import RepoAction
from executor.errors import ExitCode, LavaExecError
from executor.model.journal import End, Header
from executor.model.problem import Problem
from executor.model.worker import Worker
from executor.pipeline.check import Checked
from executor.pipeline.context import JobContext
from executor.pipeline.engine import Outcome
from executor.pipeline.planner import Plan

_HEALTH = {ExitCode.OK: "Complete", ExitCode.TEST_FAILED: "Complete", ExitCode.CANCELED: "Canceled"}


def header(worker: Worker, checked: Checked, text: str) -> Header:
    """The first record: every report is a function of the journal alone (design §9)."""
    job, device = checked.job, checked.device
    return Header(
        job_id=worker.job_id,
        job_name=job.job_name if job else "",
        device=device.hostname if device else "",
        device_type=(job.device_type if job else "") or "",
        submitter=worker.submitter,
        image=worker.image,
        image_digest=worker.image_digest,
        container=worker.container or os.uname().nodename,
        version=__version__,
        host=worker.worker,
        metadata=dict(job.metadata) if job else {},
        definitions=definitions(checked.planned) if checked.planned else [],
        priority=job.priority if job else 50,
        tags=list(job.tags) if job else [],
        attempt_of=worker.attempt_of,
        pipeline_job=text,
    )


def definitions(planned: Plan) -> list[str]:
    """`<idx>_<name>` of every test definition whose name is known before it is read."""
    found = [a.definition for a in planned.walk() if isinstance(a, RepoAction)]
    return list(dict.fromkeys(f"{d.suite}_{d.name}" for d in found if d.name))


def end_of(outcome: Outcome, context: JobContext | None, seconds: float) -> End:
    """The last record. `context` is None when the run never began, so nothing was powered on either."""
    error = outcome.error
    cases = dict(context.cases) if context else {}
    code = exit_code(error, cases)
    return End(
        health=_HEALTH.get(code, "Incomplete"),
        exit_code=int(code),
        error_type=error.error_type if error else "",
        error_msg=error.message if error else "",
        hint=error.hint if error else "",
        who=error.who if error else "",
        action=outcome.action,
        level=outcome.level,
        seq=outcome.seq,
        cases=cases,
        seconds=round(seconds, 3),
        powered_off=context.powered_off if context else True,
    )


def exit_code(error: LavaExecError | None, cases: dict[str, int]) -> ExitCode:
    """0 all passed, 1 a case failed or is unknown, else that of the error (design §5)."""
    if error is not None:
        return error.exit_code
    return ExitCode.TEST_FAILED if cases.get("fail") or cases.get("unknown") else ExitCode.OK


def last_word(error: LavaExecError | None) -> str:
    """Who has to act, where, what happened, what to do next: the help line of the error's class."""
    if error is None:
        return "Job finished correctly"
    if error.exit_code == ExitCode.CANCELED:
        return error.message
    hint = f" ({error.hint})" if error.hint else ""
    action, level, _ = error.place or ("", "", -1)
    where = f", in {level} {action}" if action else ""
    return f"{error.error_type} error, for {error.who}{where}: {error.message}{hint}"


def shown(problem: Problem) -> str:
    """A problem in one line of the log."""
    place = problem.action or problem.where
    near = f" (did you mean {problem.near!r}?)" if problem.near else ""
    expected = f"; expected {problem.expected}" if problem.expected and not near else ""
    text = f"{problem.message}{near}{expected}"
    return f"{place}: {text}" if place else text
