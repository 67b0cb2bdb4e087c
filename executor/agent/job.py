# SPDX-License-Identifier: Apache-2.0
"""One job at the agent: a session on one thread, its way to the master on another."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from pathlib import Path
from typing import Any

from executor.agent.host import Host
from executor.agent.record import (
    DONE,
    ENDING,
    RUNNING,
    AgentRecord,
    write_record,
)
from executor.agent.shipping import NotWanted, Shipper, Stopped
from executor.agent.starting import first_record, worker_facts
from executor.container.devicelock import lock_name
from executor.container.engine import EngineGone
from executor.container.jobdir import JobDirectory
from executor.container.journalfile import read_tail, seal
from executor.container.launch import plan_container
from executor.container.secretplace import split_secrets
from executor.container.session import Detached, Launch, Session
from executor.errors import Bug, JobCanceled, LavaExecError
from executor.model.journal import End
from executor.wire import messages
from executor.wire.messages import AgentJob, StartJob

log = logging.getLogger(__name__)

FINALIZE_SECONDS = 900.0  # what a runner may take beyond the job's own timeout before it counts as hung
ADOPT_PAUSE = 3.0  # between two attempts to reach the engine


class Job:
    """`start` is what the master sent; None when it is not at hand for a job of an earlier process.

    `begin` starts the threads.
    """

    def __init__(
        self, host: Host, directory: JobDirectory, record: AgentRecord, start: StartJob | None
    ) -> None:
        self.record = record
        self._host = host
        self._directory = directory
        self._start = start
        attachments = start.limits.attachment_bytes if start is not None else 25 << 20
        self._shipper = Shipper(host.link, directory, record, self._save, attachments)
        self._session = Session(
            host.engine,
            host.cache,
            directory,
            host.locks,
            on_journal=lambda size: self._shipper.ring(),
            steps=host.steps,
        )
        self._wanted = True
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._guard, args=(self._run,), name=f"job-{record.id}", daemon=True),
            threading.Thread(target=self._guard, args=(self._ship,), name=f"ship-{record.id}", daemon=True),
        ]

    def begin(self) -> None:
        """Start working on it."""
        for thread in self._threads:
            thread.start()

    @property
    def alive(self) -> bool:
        """Is there still something to do or to say?"""
        return any(thread.is_alive() for thread in self._threads)

    @property
    def state(self) -> AgentJob:
        """As the master is told."""
        record = self.record
        return AgentJob(record.id, record.unique, record.state, record.acknowledged)

    def cancel(self, reason: str) -> None:
        """Ask for the end; may be repeated."""
        self._session.cancel(reason)

    def drop(self) -> None:
        """The master does not want it: end it and say nothing."""
        if self._wanted:
            log.info("job %s is not wanted by the master any more", self.record.id)
        self._wanted = False
        self._session.cancel("the master does not know this job any more")
        self._shipper.stop()

    def leave(self) -> None:
        """Let it run on without this process."""
        self._stopping.set()
        self._session.detach()
        self._shipper.stop()

    def join(self, seconds: float) -> None:
        """Wait for the threads."""
        until = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    # -- the session's thread

    def _run(self) -> None:
        record = self.record
        try:
            if record.end is None and not self._begin():
                self._forget()
                return
            if record.end is None:
                outcome = self._session.finish()
                record.end, record.journal = outcome.end, outcome.journal
        except Detached:
            return
        except Stopped:
            return
        self._set_state(ENDING)
        self._shipper.complete(record.journal)
        self._settle()

    def _begin(self) -> bool:
        """True when a container runs or the job has an end by now; False when it never began."""
        if self._adopt():
            return True
        if self._start is None:
            return False
        try:
            self._launch(self._start)
        except LavaExecError as error:
            self._failed(self._start, error)
        except Exception as error:
            log.exception("job %s cannot be started", self.record.id)
            self._failed(self._start, Bug(f"the agent failed: {type(error).__name__}: {error}"))
        else:
            self._set_state(RUNNING)
        self._forget_start()
        return True

    def _launch(self, start: StartJob) -> None:
        host, device = self._host, start.device
        facts = host.facts_now()
        planned = host.plan(start.text, device, not start.lax)
        secrets = bool(start.secrets) or bool(split_secrets(start.text)[1])
        spec = plan_container(
            start.id,
            planned.needs,
            device,
            facts,
            limits=start.limits,
            bounds=host.bounds,
            agent=facts.worker,
            state=str(host.state),
            secrets=secrets,
            command=host.runner,
        )
        kvm = facts.kvm and "kvm" in planned.needs.devices
        launch = Launch(
            text=start.text,
            device=device,
            worker=worker_facts(start, facts, kvm=kvm),
            device_name=lock_name(device),
            secrets=start.secrets,
            directories=[Path(path) for path in start.file_urls],
            max_seconds=planned.seconds + start.limits.cleanup_seconds + FINALIZE_SECONDS,
        )
        self._session.start(launch, spec)

    def _failed(self, start: StartJob, error: LavaExecError) -> None:
        """No container came to be: the journal says why, so that a user finds it where all the rest is."""
        canceled = isinstance(error, JobCanceled)
        end = End(
            health="Canceled" if canceled else "Incomplete",
            exit_code=int(error.exit_code),
            error_type=error.error_type,
            error_msg=error.message,
            hint=error.hint,
            who=error.who,
            powered_off=True,
        )
        self._directory.out.mkdir(parents=True, exist_ok=True)
        self._directory.note(f"not started: {error.message}")
        with contextlib.suppress(OSError):
            header = first_record(start, self._host.facts.worker)
            self.record.journal = seal(self._directory.journal, end, header=header).complete
        self.record.end, self.record.never_started = end, True

    def _adopt(self) -> bool:
        """Take up what an earlier process left, if it left anything. Waits for the engine."""
        while not self._stopping.is_set():
            try:
                if self._session.adopt():
                    self._set_state(RUNNING)
                    return True
                break
            except EngineGone as error:
                log.warning("job %s waits for the engine: %s", self.record.id, error.message)
                self._stopping.wait(ADOPT_PAUSE)
        else:
            raise Stopped
        tail = read_tail(self._directory.journal)
        if tail.end is None:
            return False
        self.record.end, self.record.journal = tail.end, tail.complete  # it had ended, nobody wrote that down
        return True

    # -- the shipping thread

    def _ship(self) -> None:
        record, shipper = self.record, self._shipper
        try:
            shipper.ship()
            shipper.upload()
            shipper.report(
                messages.Finished(
                    record.id,
                    min(record.journal, record.acknowledged),
                    record.end,
                    record.end.error_type if record.end is not None else "",
                    record.end.error_msg if record.end is not None else "",
                    never_started=record.never_started,
                )
            )
        except Stopped:
            self._settle()
        except NotWanted:
            self.drop()
            self._settle()
        else:
            self._done()

    # -- both

    def _settle(self) -> None:
        """A job that nobody wants is done when its session is."""
        if not self._wanted and self.record.state == ENDING:
            self._done()

    def _set_state(self, state: str) -> None:
        self.record.state = state
        self._save()
        self._host.changed()

    def _done(self) -> None:
        self.record.state = DONE
        self._save()
        self._host.changed()

    def _forget(self) -> None:
        """It never began here; the master sends it again when it still wants it."""
        self._shipper.stop()
        self._directory.remove()
        self.record.state = DONE
        self._host.changed()

    def _forget_start(self) -> None:
        if self.record.start:
            Path(self.record.start).unlink(missing_ok=True)
            self.record.start = ""
            self._save()

    def _save(self) -> None:
        try:
            write_record(self._directory.path, self.record)
        except LavaExecError as error:
            log.error("job %s: %s", self.record.id, error.message)

    def _guard(self, work: Any) -> None:
        try:
            work()
        except Exception:
            log.exception("job %s: the agent failed", self.record.id)
