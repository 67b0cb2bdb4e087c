# SPDX-License-Identifier: Apache-2.0
"""What the master does when an agent speaks. Agents say their full state often, so every step may be
repeated.
"""

from __future__ import annotations

import logging

from executor import __version__
from executor.master import states
from executor.master.core import Core, LiveWorker
from executor.master.store import JobRecord
from executor.wire import messages
from executor.wire.messages import AgentJob, CancelJob, Failure, HelloAgain, Orders, StartJob, Welcome
from executor.wire.server import Ticket

log = logging.getLogger(__name__)

MISSED = 2  # heartbeats in a row that leave out a job which the agent should hold
MAX_STARTS = 8  # jobs of one Orders, and their bytes together
MAX_START_BYTES = 8 << 20
SAVE_SECONDS = 60.0  # how often "last seen" goes into the store
CLOCK_WARNING = 1.0  # seconds (design §9)


class Agents:
    """One handler a message; each returns the reply, or None when there is nobody to reply to."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def hello(self, ticket: Ticket, ask: messages.Hello) -> messages.Body:
        core, name = self._core, ticket.identity.name
        if ask.worker and ask.worker != name:
            return Failure(
                "mismatch",
                f"the agent calls itself {ask.worker}, its key belongs to {name}",
                f"For that name: lava-exec keys add agent {ask.worker} {ticket.identity.public}",
                "Configuration",
            )
        worker = core.workers.setdefault(name, LiveWorker(name))
        alive = worker.online and core.monotonic() - worker.seen < 2 * core.settings.heartbeat
        if alive and worker.session not in ("", ticket.session):
            log.warning("worker %s has connected again without a goodbye", name)
        worker.route, worker.session = ticket.route, ticket.session
        worker.missing.clear()
        self._seen(worker)
        core.store.update_worker(name, version=ask.version, facts=ask.facts, seen=core.clock())
        self._take_state(worker, ask.jobs)
        return Welcome(
            version=__version__,
            instance=core.store.instance,
            worker=name,
            time=core.clock(),
            heartbeat=core.settings.heartbeat,
            file_urls=core.settings.file_urls,
            limits=core.settings.limits,
        )

    def heartbeat(self, ticket: Ticket, ask: messages.Heartbeat) -> messages.Body:
        core = self._core
        worker = core.workers.get(ticket.identity.name)
        if worker is None or not worker.session:
            core.outgoing.append((ticket.route, HelloAgain()))
            return Orders(time=core.clock())
        if worker.session != ticket.session:
            text = f"another agent has said hello as worker {worker.name}"
            return Failure("mismatch", text, "One key belongs to one agent.", "Configuration")
        worker.route = ticket.route
        if worker.draining != ask.draining:
            worker.draining, core.dirty = ask.draining, True
        self._seen(worker)
        self._clock(worker, ask.clock_offset)
        self._take_state(worker, ask.jobs)
        return self._orders(worker, {job.id for job in ask.jobs})

    def goodbye(self, ticket: Ticket, ask: messages.Goodbye) -> messages.Body:
        worker = self._core.workers.get(ticket.identity.name)
        if worker is not None and worker.session == ticket.session and worker.online:
            self._core.offline(worker, "it said goodbye")
        return messages.Done()

    def job_update(self, ticket: Ticket, ask: messages.JobUpdate) -> messages.Body:
        job = self._job(ticket, ask.job.id)
        if job is None:
            return _unknown(ask.job.id)
        self._hear(job, ask.job)
        return messages.Done()

    def journal_block(self, ticket: Ticket, ask: messages.JournalBlock) -> tuple[JobRecord, int] | Failure:
        """Append; returns the job and the journal's new size, to be acknowledged once it is on the disk.

        Raises BadBlock and InfrastructureError (see journals.py).
        """
        job = self._job(ticket, ask.job)
        if job is None or job.removed:
            return _unknown(ask.job)
        size, fresh = self._core.journals.append(job.id, ask.offset, ask.data)
        if fresh:
            if not job.finished:
                self._core.tally.take(job.id, fresh, size)
            self._core.touched.add(job.id)
        return job, size

    def owned(self, ticket: Ticket, id: str) -> JobRecord | Failure:
        """The job with this id when it is the sender's, else what to reply."""
        job = self._job(ticket, id)
        return _unknown(id) if job is None or job.removed else job

    def finished(self, ticket: Ticket, ask: messages.Finished) -> messages.Body:
        core = self._core
        job = self._job(ticket, ask.job)
        if job is None:
            return _unknown(ask.job)
        worker = core.workers.get(ticket.identity.name)
        if worker is not None:
            worker.jobs.pop(ask.job, None)
            if worker.leftovers.pop(job.id, None) is not None:
                core.dirty = True
        if job.finished:
            return messages.Done("it had been given up before")
        size = core.journals.size(job.id)
        if size < ask.journal:
            text = f"{ask.journal - size} bytes of the journal of job {job.id} are missing"
            return Failure("mismatch", text, f"Ship from offset {size} first.")
        end = ask.end or core.tally.end(job.id)
        if end is not None:
            core.finish(job, end.health, end.error_type, end.error_msg, end)
        else:
            text = ask.error_msg or "the job ended without saying how"
            core.finish(job, states.INCOMPLETE, ask.error_type or "Infrastructure", text)
        return messages.Done()

    # -- within

    def _job(self, ticket: Ticket, id: str) -> JobRecord | None:
        """The job when it belongs to this agent."""
        job = self._core.find(id)
        if job is None or job.worker != ticket.identity.name:
            return None
        worker = self._core.workers.get(job.worker)
        return None if worker is not None and id in worker.foreign else job

    def _seen(self, worker: LiveWorker) -> None:
        core = self._core
        worker.seen = core.monotonic()
        if not worker.online:
            worker.online = True
            core.dirty = True
            core.store.note("worker", worker.name, "online", core.clock())
            log.info("worker %s is online", worker.name)

    def _clock(self, worker: LiveWorker, offset: float) -> None:
        core = self._core
        note = ""
        if abs(offset) > CLOCK_WARNING:
            note = f"its clock is {abs(offset):.0f} s {'ahead of' if offset > 0 else 'behind'} the master's"
            if not worker.note:
                log.warning("worker %s: %s", worker.name, note)
        now = core.monotonic()
        if note != worker.note or now - worker.saved > SAVE_SECONDS:
            worker.note, worker.saved = note, now
            core.store.update_worker(worker.name, seen=core.clock(), clock_offset=offset, note=note)
        worker.clock_offset = offset

    def _take_state(self, worker: LiveWorker, reported: list[AgentJob]) -> None:
        """Compare what the agent holds with what it should hold."""
        core = self._core
        worker.foreign = {
            job.id for job in reported if job.unique and job.unique != f"{core.store.instance}-{job.id}"
        }
        worker.jobs = {job.id: job for job in reported if job.id not in worker.foreign}
        held = {str(job.id): job for job in core.store.unfinished(worker.name)}
        for id, job in held.items():
            if id in worker.jobs:
                worker.missing.pop(job.id, None)
                self._hear(job, worker.jobs[id])
            elif job.accepted or job.state == states.CANCELING or worker.draining:
                worker.missing[job.id] = worker.missing.get(job.id, 0) + 1
                if worker.missing[job.id] >= MISSED:
                    self._give_up(worker, job)
        before = worker.leftovers
        worker.leftovers = {}
        for id in worker.jobs.keys() - held.keys():
            known = core.find(id)
            if known is not None and known.worker == worker.name and known.device:
                worker.leftovers[known.id] = known.device
        if before != worker.leftovers:
            core.dirty = True

    def _give_up(self, worker: LiveWorker, job: JobRecord) -> None:
        """The agent does not hold a job, although there was time to hear of it."""
        worker.missing.pop(job.id, None)
        if job.accepted or job.state == states.CANCELING:
            text = "" if job.state == states.CANCELING else f"worker {worker.name} no longer knows the job"
            self._core.finish(job, states.INCOMPLETE, "Infrastructure", text)
        else:
            self._core.withdraw(job, f"worker {worker.name} is draining")

    def _hear(self, job: JobRecord, said: AgentJob) -> None:
        """An agent holds a job: it need not be sent again; it may be running by now."""
        core = self._core
        if not job.accepted:
            job.accepted = True
            core.store.update_job(job.id, accepted=True)
        if said.state != "accepted" and core.move(job, states.RUNNING):
            core.store.update_job(job.id, started=core.clock())
            core.store.note("job", job.id, f"runs at worker {job.worker}", core.clock())

    def _orders(self, worker: LiveWorker, reported: set[str]) -> Orders:
        core = self._core
        start: list[StartJob] = []
        cancel: list[CancelJob] = []
        known: list[str] = []
        room = MAX_START_BYTES
        for job in core.store.unfinished(worker.name):
            if str(job.id) in worker.foreign:
                # its place is taken by a job of another master's store, until the agent has dropped that
                continue
            known.append(str(job.id))
            if job.state == states.CANCELING:
                cancel.append(CancelJob(str(job.id), job.cancel_reason))
            elif str(job.id) not in reported and not job.accepted and len(start) < MAX_STARTS and room > 0:
                made = core.start_job(job)
                if made is not None:
                    start.append(made)
                    room -= len(made.text) + 4096
        unknown = sorted(reported - set(known))
        return Orders(time=core.clock(), start=start, cancel=cancel, known=known, unknown=unknown)


def _unknown(id: str) -> Failure:
    return Failure("unknown-job", f"job {id[:40]!r} is not known as a job of this worker")
