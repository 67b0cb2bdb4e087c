# SPDX-License-Identifier: Apache-2.0
"""Run one job: read /job, write the journal, leave the exit code. No docker, no zmq, no farm.

The runner is given directories, so the same program runs in a container, in a test, or by hand:

    python -m executor.runner [--job /job] [--out /out] [--work /work] [--socket /run/lava-exec/agent.sock]
"""

from __future__ import annotations

import argparse
import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec
import yaml

from executor import __version__
from executor.errors import Bug, ExitCode, LavaExecError
from executor.model import journal
from executor.model.deadline import Deadline
from executor.model.worker import Worker
from executor.pipeline.check import Checked, check_job
from executor.pipeline.context import JobContext
from executor.pipeline.describe import as_data
from executor.pipeline.engine import Engine, Outcome
from executor.pipeline.interrupt import Interrupts
from executor.pipeline.log import clock
from executor.pipeline.planner import Plan
from executor.pipeline.world import LocalWorld, World
from executor.runner.doorbell import Doorbell
from executor.runner.journal import JournalBroken, JournalFull, JournalWriter
from executor.runner.masking import Masker
from executor.runner.words import end_of, header, last_word, shown
from executor.runner.world import AgentWorld

NO_LIMIT = 24 * 3600  # seconds for a job that sets none itself


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
        on_full=lambda size: interrupts.throw(JournalFull(size)),
        on_broken=lambda reason: interrupts.throw(JournalBroken(reason)),
        hold=interrupts.hold,
    )
    interrupts.install()
    try:
        code = _Run(args, worker, secrets, bell, writer, interrupts).run()
    finally:
        interrupts.restore()
        writer.close()
        bell.close()
    return int(code)


@dataclass
class _Run:
    """One run, from the files in /job to the last record."""

    args: argparse.Namespace
    worker: Worker
    secrets: dict[str, str]
    bell: Doorbell
    writer: JournalWriter
    interrupts: Interrupts
    context: JobContext | None = None

    def run(self) -> ExitCode:
        """Plan, validate, run; whatever happens, the last record tells it."""
        started = time.monotonic()
        try:
            outcome = self._whole()
        except LavaExecError as error:
            outcome = Outcome(error, seq=self.writer.record(journal.EXCEPTION, error.message))
        end = end_of(outcome, self.context, time.monotonic() - started)
        self.writer.current = ("finalize", "")
        cause = outcome.error
        self.writer.record(journal.INFO if cause is None else journal.ERROR, last_word(cause))
        record = _lava("job", cause is None)
        if cause is not None:
            record |= {"error_type": cause.error_type, "error_msg": cause.message or "Unknown error"}
        self.writer.record(journal.RESULTS, record)
        self.writer.record(journal.END, end)
        return ExitCode(end.exit_code)

    def _whole(self) -> Outcome:
        self.writer.current = ("validate", "0")
        text = (self.args.job / "job.yaml").read_text(encoding="utf-8")
        device = (self.args.job / "device.yaml").read_text(encoding="utf-8")
        checked = check_job(text, device, strict=self.worker.strict, world=self._world())
        if checked.job is not None:  # without an agent they stand in the job itself
            self.secrets = {**checked.job.secrets, **self.secrets}
            self.writer.hide(self.secrets.values())
        self.writer.record(journal.HEADER, header(self.worker, checked, text))
        hello = f"lava-exec {__version__}, job {self.worker.job_id}, worker {self.worker.worker}"
        self.writer.record(journal.INFO, hello)
        self.writer.record(journal.INFO, "start: 0 validate")
        error = checked.error
        self._report(checked)
        self.writer.record(journal.RESULTS, _lava("validate", error is None))
        if error is not None:
            return Outcome(error, "validate", "0", self.writer.record(journal.EXCEPTION, error.message))
        if checked.planned is None:
            raise Bug("a job without errors has no plan")
        return self._pipeline(checked.planned)

    def _world(self) -> World:
        """A job that is run again has what it needs; its URLs may be gone."""
        again = self.worker.replace or self.worker.pinned or self.worker.attempt_of
        return LocalWorld() if again else AgentWorld(self.bell)

    def _report(self, checked: Checked) -> None:
        if checked.planned is not None:
            plan = Masker(self.secrets.values()).message(journal.PIPELINE, as_data(checked.planned))
            self.writer.record(journal.PIPELINE, plan)
            with contextlib.suppress(OSError):  # the journal has it anyway
                kept = msgspec.json.format(msgspec.json.encode(plan), indent=1)
                (self.args.out / "plan.json").write_bytes(kept)
        for rewrite in checked.rewrites:
            self.writer.record(journal.DEBUG, f"read as today's form: {rewrite}")
        for problem in checked.problems:
            level = journal.ERROR if problem.severity == "error" else journal.WARNING
            self.writer.record(level, shown(problem))

    def _pipeline(self, planned: Plan) -> Outcome:
        job = planned.job
        os.environ.update(self.secrets)
        os.environ.setdefault("TMPDIR", str(self.args.work))  # /tmp is small; QEMU's snapshots are not
        limit = job.timeouts.job or NO_LIMIT
        own = "" if job.timeouts.job else ", for the job sets none"
        self.writer.record(journal.INFO, f"job timeout {clock(limit)}{own}")
        self.context = JobContext(
            job=job,
            device=planned.device,
            worker=self.worker,
            journal=self.writer,
            agent=self.bell,
            interrupts=self.interrupts,
            deadline=Deadline.after(limit),
            out=self.args.out,
            work=self.args.work,
            secrets=self.secrets,
        )
        outcome = Engine(planned, self.context).run()
        self._tell_artefacts()
        return outcome

    def _tell_artefacts(self) -> None:
        """What the cache had to get, over the whole job."""
        bell = self.bell
        if bell.fetched:
            done = f"{bell.downloaded} bytes downloaded, {bell.decompressed} decompressed"
            self.writer.record(journal.INFO, f"artefacts: {bell.fetched} used, {done}")


def _lava(case: str, passed: bool) -> dict[str, object]:
    return {"definition": "lava", "case": case, "result": "pass" if passed else "fail"}


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
