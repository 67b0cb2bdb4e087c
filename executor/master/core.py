# SPDX-License-Identifier: Apache-2.0
"""The master's knowledge and what may be done with it, without sockets: queue, devices, workers, journals,
endings.

Used by one thread. A caller makes its changes, then `commit`s, and only then sends what `outgoing` holds and
wakes who waits for the jobs in `touched`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from executor.errors import ConfigurationError, ExitCode
from executor.master import states
from executor.master.configs import DeviceConfigs
from executor.master.files import Files
from executor.master.journals import Journals
from executor.master.render import render
from executor.master.scheduler import FarmDevice, FarmWorker, WaitingJob, schedule
from executor.master.secretfile import Secrets, read_secrets, remove_secrets
from executor.master.settings import Settings
from executor.master.store import JobRecord, Store
from executor.master.tally import Tally
from executor.model.journal import End
from executor.wire.messages import AgentJob, CancelJob, Push, Start, StartJob, Stop

log = logging.getLogger(__name__)

FILE_BYTES = 8 << 30  # kept files of one job together
JOURNAL_ROOM = 64 << 20  # beyond the runner's own limit, so that its last words always fit

_EXIT_CODES = {
    "": ExitCode.OK,
    "Job": ExitCode.JOB_ERROR,
    "Test": ExitCode.JOB_ERROR,
    "Canceled": ExitCode.CANCELED,
    "LAVATimeout": ExitCode.TIMEOUT,
    "MultinodeTimeout": ExitCode.TIMEOUT,
    "Bug": ExitCode.BUG,
}


@dataclass
class LiveWorker:
    """What is known of a worker since this master started."""

    name: str
    route: bytes = b""
    session: str = ""
    online: bool = False
    draining: bool = False
    seen: float = 0.0  # monotonic
    jobs: dict[str, AgentJob] = field(default_factory=dict)  # as it reported last
    missing: dict[int, int] = field(default_factory=dict)  # running job -> heartbeats that did not name it
    leftovers: dict[int, str] = field(default_factory=dict)  # job that nobody waits for -> its device
    foreign: set[str] = field(default_factory=set)  # jobs that it holds for another master's store
    clock_offset: float = 0.0  # its clock minus ours, seconds
    note: str = ""
    saved: float = float("-inf")  # monotonic; when it was last written to the store


class Core:
    """Everything but the wire."""

    def __init__(
        self,
        state: Path,
        settings: Settings,
        configs: DeviceConfigs,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self.configs = configs
        self.clock = clock
        self.monotonic = monotonic
        self.jobs_directory = state / "jobs"
        self.jobs_directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.store = Store(state / "store.db")
        self.journals = Journals(self.jobs_directory, settings.limits.journal_bytes + JOURNAL_ROOM)
        self.files = Files(self.jobs_directory, FILE_BYTES)
        self.tally = Tally(self.store)
        self.workers: dict[str, LiveWorker] = {}
        self.waiting: dict[int, str] = {}  # job -> why it waits, as of the last scheduling
        self.outgoing: list[tuple[bytes, Push]] = []
        self.touched: set[int] = set()  # jobs of which somebody may want to hear
        self.dirty = True  # the scheduler should look again
        self._next_expiry = float("inf")  # when the first waiting job has waited too long
        self._started = monotonic()
        self._recover()

    def close(self) -> None:
        self.journals.close()
        self.store.close()

    def commit(self) -> None:
        self.store.commit()

    def rollback(self) -> None:
        """Forget everything since the last commit; results are read from the journals again."""
        self.store.rollback()
        self.outgoing.clear()
        for job in self.tally.clear():
            self._index_again(job)

    def directory(self, job: int) -> Path:
        return self.jobs_directory / str(job)

    def _recover(self) -> None:
        """After a restart: journals lose torn ends, results that were not stored yet are stored."""
        for job in self.store.unfinished():
            self.journals.recover(job.id, job.indexed)
            self._index_again(job.id)
        self.tally.flush()
        self.commit()

    def _index_again(self, id: int) -> None:
        job = self.store.job(id)
        position = 0 if job is None else job.indexed
        while job is not None and (data := self.journals.read(id, position, 1 << 20)):
            position += len(data)
            self.tally.take(id, data, position)

    # -- jobs

    def find(self, id: str) -> JobRecord | None:
        """The job that a client means by `id`."""
        return self.store.job(int(id)) if id.isdecimal() and len(id) < 18 else None

    def move(self, job: JobRecord, state: str) -> bool:
        """Bring a job into a later state; False when it is there or beyond (spec: fleet §3)."""
        if not states.may_move(job.state, state):
            return False
        job.state = state
        self.store.update_job(job.id, state=state)
        self.touched.add(job.id)
        return True

    def withdraw(self, job: JobRecord, why: str) -> None:
        """Put a job that no agent has accepted back into the queue; the one move back that there is."""
        job.state, job.device, job.worker = states.SUBMITTED, "", ""
        self.store.update_job(job.id, state=job.state, device="", worker="")
        self.store.note("job", job.id, f"back in the queue: {why}", self.clock())
        self.touched.add(job.id)
        self.dirty = True

    def cancel(self, job: JobRecord, by: str, reason: str) -> None:
        """End a job: at once while it waits, else by asking its worker."""
        if job.finished or job.state == states.CANCELING:
            return
        now = self.clock()
        self.store.update_job(job.id, cancel_by=by, cancel_reason=reason)
        self.store.note("job", job.id, f"cancel asked by {by}" + (f": {reason}" if reason else ""), now)
        if job.state == states.SUBMITTED:
            self.finish(job, states.CANCELED, "Canceled", f"canceled by {by}")
            return
        self.move(job, states.CANCELING)
        worker = self.workers.get(job.worker)
        if worker is not None and worker.online:
            self.outgoing.append((worker.route, Stop(CancelJob(str(job.id), reason))))

    def finish(
        self, job: JobRecord, health: str, error_type: str, error_msg: str, end: End | None = None
    ) -> None:
        """The last state of a job. One that was being canceled ends as Canceled, whatever it says itself."""
        if job.finished:
            return
        if job.state == states.CANCELING:
            health, error_type = states.CANCELED, "Canceled"
            error_msg = error_msg or f"canceled by {job.cancel_by}"
        if health == states.CANCELED:
            code = int(ExitCode.CANCELED)
        elif end is not None:
            code = end.exit_code
        else:
            code = int(_EXIT_CODES.get(error_type, ExitCode.INFRASTRUCTURE))
        now = self.clock()
        self.tally.flush(job.id)
        self.store.update_job(
            job.id,
            health=health,
            error_type=error_type,
            error_msg=error_msg,
            exit_code=code,
            ended=now,
            started=job.started or now,
            kept_bytes=self.journals.size(job.id) + self.files.size(job.id),
        )
        self.move(job, states.FINISHED)
        self.store.note("job", job.id, f"finished: {health}" + (f", {error_msg}" if error_msg else ""), now)
        self._judge_device(job, health, error_type)
        self.tally.forget(job.id)
        self.waiting.pop(job.id, None)
        remove_secrets(self.directory(job.id))
        self.dirty = True

    def _judge_device(self, job: JobRecord, health: str, error_type: str) -> None:
        if not job.device:
            return
        known = self.store.devices().get(job.device)
        before = states.GOOD if known is None else known.health
        after = states.device_health_after(before, health, error_type)
        if after != before:
            self.store.set_device(job.device, after, f"job {job.id} ended with {error_type}", "lava-health")

    # -- scheduling

    def run_scheduler(self) -> None:
        """Give devices to waiting jobs, and remember why the others wait."""
        self.dirty = False
        waiting = self.store.waiting()
        result = schedule(
            [_as_waiting(job) for job in waiting], self.farm_devices(), self.farm_workers(), self.clock()
        )
        by_id = {job.id: job for job in waiting}
        for id in result.expired:
            text = "it waited for a device longer than allowed"
            self.finish(by_id[id], states.CANCELED, "Canceled", text)
        for given in result.start:
            self._reserve(by_id[given.job], given.device, given.worker)
        self.waiting = result.waiting
        self._next_expiry = min(
            (job.queue_until for job in waiting if job.id in result.waiting and job.queue_until is not None),
            default=float("inf"),
        )

    def _reserve(self, job: JobRecord, device: str, worker: str) -> None:
        job.device, job.worker = device, worker
        self.store.update_job(job.id, device=device, worker=worker)
        self.move(job, states.SCHEDULED)
        self.store.note("job", job.id, f"got device {device} at worker {worker}", self.clock())
        start = self.start_job(job)
        if start is not None:
            self.outgoing.append((self.workers[worker].route, Start(start)))

    def start_job(self, job: JobRecord) -> StartJob | None:
        """What the agent is sent. When it cannot be made the job ends, and None is returned."""
        try:
            device = self.configs.devices.get(job.device)
            if device is None:
                raise ConfigurationError(f"device {job.device} is no longer configured")
            rendered = render(device, job.context)
            secrets = read_secrets(self.directory(job.id))
        except ConfigurationError as error:
            self.finish(job, states.INCOMPLETE, "Configuration", error.message)
            return None
        own = self.settings.worker(job.worker)
        return StartJob(
            id=str(job.id),
            unique=self.unique(job.id),
            text=secrets.text,
            device=rendered,
            device_name=job.device,
            secrets=secrets.values,
            submitter=job.submitter,
            priority=job.priority,
            environment=own.environment,
            dispatcher=own.dispatcher,
            limits=self.settings.limits,
            file_urls=self.settings.file_urls,
            attempt_of=job.attempt_of,
            group=job.group_id,
            role=job.role,
            lax=job.lax,
        )

    def unique(self, job: int) -> str:
        """A name for a job that no other master uses."""
        return f"{self.store.instance}-{job}"

    def secrets_of(self, job: JobRecord) -> Secrets:
        """The text as submitted and the secrets beside it. Raises ConfigurationError when they are gone."""
        return read_secrets(self.directory(job.id))

    def farm_devices(self) -> list[FarmDevice]:
        """All configured devices with what they do now."""
        known = self.store.devices()
        busy = {job.device: str(job.id) for job in self.store.holding() if job.device}
        for worker in self.workers.values():
            for job, device in worker.leftovers.items():
                busy.setdefault(device, f"{job} (given up, still being ended)")
        return [
            FarmDevice(
                name=device.name,
                device_type=device.device_type,
                tags=device.tags,
                worker=device.worker,
                health=known[device.name].health if device.name in known else states.GOOD,
                job=busy.get(device.name, ""),
                problem=device.problem,
            )
            for device in self.configs.devices.values()
        ]

    def farm_workers(self) -> list[FarmWorker]:
        """All workers that were ever seen."""
        running: dict[str, int] = {}
        for job in self.store.holding():
            running[job.worker] = running.get(job.worker, 0) + 1
        out = []
        for name, record in self.store.workers().items():
            live = self.workers.get(name)
            out.append(
                FarmWorker(
                    name=name,
                    online=live is not None and live.online,
                    health=record.health,
                    running=running.get(name, 0),
                    job_limit=self.settings.worker(name).job_limit,
                    draining=live is not None and live.draining,
                )
            )
        return out

    # -- workers

    def tick(self) -> None:
        """Notice workers that have fallen silent, and jobs whose worker is lost."""
        now = self.monotonic()
        if self.clock() >= self._next_expiry:
            self.dirty = True
        for worker in self.workers.values():
            if worker.online and now - worker.seen > self.settings.worker_offline:
                self.offline(worker, "it has been silent")
        for job in self.store.holding():
            live = self.workers.get(job.worker)
            seen = max(self._started, live.seen if live is not None else 0.0)
            if now - seen > self.settings.worker_lost:
                text = f"worker {job.worker} has not been heard of for {now - seen:.0f} s"
                self.finish(job, states.INCOMPLETE, "Infrastructure", text)

    def offline(self, worker: LiveWorker, why: str) -> None:
        """No new jobs for this worker."""
        worker.online = False
        worker.leftovers.clear()
        log.warning("worker %s is offline: %s", worker.name, why)
        self.store.note("worker", worker.name, f"offline: {why}", self.clock())
        self.dirty = True


def _as_waiting(job: JobRecord) -> WaitingJob:
    return WaitingJob(
        id=job.id,
        device_type=job.device_type,
        priority=job.priority,
        submitted=job.submitted,
        tags=frozenset(job.tags),
        device=job.want_device,
        worker=job.want_worker,
        group=job.group_id,
        queue_until=float("inf") if job.queue_until is None else job.queue_until,
    )
