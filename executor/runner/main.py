# SPDX-License-Identifier: Apache-2.0
"""Run one job: read /job, write the journal, leave the exit code. No docker, no zmq, no knowledge of the farm.

The runner is given directories, so the same program runs in a container, in a test, or by hand:

    python -m executor.runner [--job /job] [--out /out] [--work /work] [--socket /run/lava-exec/agent.sock]
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import msgspec
import yaml

from executor import __version__
from executor.errors import Bug, ExitCode, JobError, LavaExecError
from executor.model import journal
from executor.model.deadline import Deadline
from executor.model.device import Device
from executor.model.job import Job
from executor.model.journal import End, Header
from executor.model.problem import Problem
from executor.model.worker import Worker
from executor.pipeline.context import JobContext
from executor.pipeline.describe import as_data, clock
from executor.pipeline.engine import Engine, Outcome
from executor.pipeline.interrupt import Interrupts
from executor.pipeline.planner import Plan, plan, validate
from executor.pipeline.world import LocalWorld
from executor.runner.doorbell import Doorbell
from executor.runner.journal import JournalWriter
from executor.schema.device import parse_device
from executor.schema.job import parse_job

_HEALTH = {ExitCode.OK: "Complete", ExitCode.TEST_FAILED: "Complete", ExitCode.CANCELED: "Canceled"}


def main(argv: list[str]) -> int:
    """The whole run; the process's exit code (errors.ExitCode)."""
    args = _arguments(argv)
    os.umask(0o022)
    worker = _worker(args.job)
    secrets = _secrets(args.job)
    bell = Doorbell(args.socket)
    interrupts = Interrupts()
    writer = JournalWriter(
        args.out / "journal.ndjson",
        secrets=secrets.values(),
        limit=worker.limits.journal_bytes,
        on_grow=bell.ring,
        on_full=lambda: interrupts.throw(_too_long(worker)),
    )
    interrupts.install()
    started = time.monotonic()
    try:
        code = _Run(args, worker, secrets, bell, writer, interrupts).run(started)
    finally:
        interrupts.restore()
        writer.close()
        bell.close()
    return int(code)


class _Run:
    def __init__(
        self,
        args: argparse.Namespace,
        worker: Worker,
        secrets: dict[str, str],
        bell: Doorbell,
        writer: JournalWriter,
        interrupts: Interrupts,
    ) -> None:
        self.args, self.worker, self.secrets = args, worker, secrets
        self.bell, self.writer, self.interrupts = bell, writer, interrupts
        self.context: JobContext | None = None

    def run(self, started: float) -> ExitCode:
        outcome = Outcome()
        try:
            planned, problems = self._plan()
            self._header(planned)
            if planned is not None:
                self.writer.record(journal.PIPELINE, as_data(planned))
            self._report(problems)
            error = _as_error(problems)
            passed = error is None
            self.writer.record(journal.RESULTS, _lava("validate", passed))
            if error is not None:
                seq = self.writer.record(journal.EXCEPTION, error.message)
                outcome = Outcome(error, "validate", "0", seq)
            elif planned is not None:
                outcome = self._pipeline(planned)
        except LavaExecError as error:
            outcome = Outcome(error, seq=self.writer.record(journal.EXCEPTION, error.message))
        return self._end(outcome, time.monotonic() - started)

    def _plan(self) -> tuple[Plan | None, list[Problem]]:
        self.writer.current = ("validate", "0")
        job_text = (self.args.job / "job.yaml").read_text(encoding="utf-8")
        device_text = (self.args.job / "device.yaml").read_text(encoding="utf-8")
        self.job_text = job_text
        parsed = parse_job(job_text, "job.yaml", strict=self.worker.strict)
        device = parse_device(device_text, "device.yaml")
        problems = [*parsed.problems, *device.problems]
        if parsed.job is None or device.device is None:
            return None, problems
        self.rewrites = parsed.rewrites
        planned = plan(parsed.job, device.device)
        problems += planned.problems
        if not planned.errors:
            problems += validate(planned, LocalWorld())
        return planned, problems

    def _header(self, planned: Plan | None) -> None:
        job: Job | None = planned.job if planned else None
        device: Device | None = planned.device if planned else None
        worker = self.worker
        self.writer.record(
            journal.HEADER,
            Header(
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
                priority=job.priority if job else 50,
                tags=list(job.tags) if job else [],
                attempt_of=worker.attempt_of,
                pipeline_job=self.job_text,
            ),
        )
        self.writer.record(
            journal.INFO, f"lava-exec {__version__}, job {worker.job_id}, worker {worker.worker}"
        )
        self.writer.record(journal.INFO, "start: 0 validate")

    def _report(self, problems: list[Problem]) -> None:
        for rewrite in getattr(self, "rewrites", []):
            self.writer.record(journal.DEBUG, f"read as today's form: {rewrite}")
        for problem in problems:
            level = journal.ERROR if problem.severity == "error" else journal.WARNING
            near = f" (did you mean {problem.near!r}?)" if problem.near else ""
            place = problem.action or problem.where
            self.writer.record(
                level, f"{place}: {problem.message}{near}" if place else problem.message + near
            )

    def _pipeline(self, planned: Plan) -> Outcome:
        job, worker = planned.job, self.worker
        os.environ.update(self.secrets)
        limit = job.timeouts.job or 24 * 3600
        self.writer.record(journal.INFO, f"job timeout {clock(limit)}")
        self.context = JobContext(
            job=job,
            device=planned.device,
            worker=worker,
            journal=self.writer,
            agent=self.bell,
            interrupts=self.interrupts,
            deadline=Deadline.after(limit),
            out=self.args.out,
            work=self.args.work,
            secrets=self.secrets,
        )
        return Engine(planned, self.context).run()

    def _end(self, outcome: Outcome, seconds: float) -> ExitCode:
        error = outcome.error
        cases = dict(self.context.cases) if self.context else {}
        code = _exit_code(error, cases)
        self.writer.current = ("finalize", "")
        if error is None:
            self.writer.record(journal.INFO, "Job finished correctly")
        else:
            self.writer.record(journal.ERROR, _last_word(error))
        record = _lava("job", error is None)
        if error is not None:
            record |= {"error_type": error.error_type, "error_msg": error.message or "Unknown error"}
        self.writer.record(journal.RESULTS, record)
        self.writer.record(
            journal.END,
            End(
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
                powered_off=self.context.powered_off if self.context else True,
            ),
        )
        return code


def _last_word(error: LavaExecError) -> str:
    """Who has to act, what happened, what to do next: the help line of the error's class."""
    if error.exit_code == ExitCode.CANCELED:
        return error.message
    return f"{error.error_type} error, for {error.who}: {error.message}" + (
        f" ({error.hint})" if error.hint else ""
    )


def _exit_code(error: LavaExecError | None, cases: dict[str, int]) -> ExitCode:
    if error is not None:
        return error.exit_code
    return ExitCode.TEST_FAILED if cases.get("fail") or cases.get("unknown") else ExitCode.OK


def _as_error(problems: list[Problem]) -> LavaExecError | None:
    """All problems as one error of the class that weighs most (spec: action-pipeline §1, validate)."""
    from executor import errors

    found = [p for p in problems if p.severity == "error"]
    if not found:
        return None
    text = "; ".join(f"{p.action or p.where}: {p.message}" for p in found)
    kinds = {p.error_type for p in found}
    if "Configuration" in kinds:
        return errors.ConfigurationError(f"invalid device: {text}")
    if "Infrastructure" in kinds:
        return errors.InfrastructureError(text)
    return JobError(f"invalid job data: {text}")


def _lava(case: str, passed: bool) -> dict[str, object]:
    return {"definition": "lava", "case": case, "result": "pass" if passed else "fail"}


def _too_long(worker: Worker) -> JobError:
    mib = worker.limits.journal_bytes >> 20
    return JobError(f"the device printed more than {mib} MiB", "make the test print less")


def _worker(folder: Path) -> Worker:
    path = folder / "worker.yaml"
    try:
        return msgspec.convert(yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader), Worker)  # noqa: S506
    except (OSError, yaml.YAMLError, msgspec.ValidationError) as error:
        raise Bug(f"{path}: {error}") from error


def _secrets(folder: Path) -> dict[str, str]:
    path = folder / "secrets"
    if not path.is_file():
        return {}
    return msgspec.json.decode(path.read_bytes(), type=dict[str, str])


def _arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m executor.runner", description="Run one job.")
    parser.add_argument(
        "--job", type=Path, default=Path("/job"), help="directory with job, device and worker.yaml"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("/out"), help="kept directory: journal, overlay, attachments"
    )
    parser.add_argument("--work", type=Path, default=Path("/work"), help="scratch directory")
    parser.add_argument(
        "--socket", type=Path, default=Path("/run/lava-exec/agent.sock"), help="the agent's socket"
    )
    return parser.parse_args(argv)
