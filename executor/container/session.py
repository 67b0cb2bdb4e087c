# SPDX-License-Identifier: Apache-2.0
"""The life of one job's container on a host, for the agent, `lava-exec run` and `reproduce` alike.

    session = Session(engine, cache, JobDirectory(path), locks)
    session.start(launch, spec)          # or session.adopt() in another process
    outcome = session.finish()           # blocks; cancel() and detach() come from other threads

However it ends, nothing is left but the job's own directory: container, scratch, secrets, socket and locks
go, the device is off, and the journal has an `end` record.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets as random
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from executor.container import secretplace
from executor.container.artefacts import Artefacts
from executor.container.cache import Access, Cache
from executor.container.closing import Closing, Outcome, remove
from executor.container.devicelock import DeviceLock, Holder, take_device
from executor.container.doorbell import DoorbellServer
from executor.container.engine import Engine, NoSuchContainer
from executor.container.jobdir import Artefact, JobDirectory, SessionRecord
from executor.container.ladder import CancelSteps, Ladder
from executor.container.launch import LABEL_STATE, labels
from executor.container.request import Places, service_directories
from executor.container.watch import Detached, Watch
from executor.errors import InfrastructureError, JobCanceled, LavaExecError
from executor.model.deadline import Deadline
from executor.model.launch import LaunchSpec
from executor.model.worker import Worker

__all__ = ["CancelSteps", "Detached", "Launch", "Outcome", "Session"]

log = logging.getLogger(__name__)

START_SECONDS = 120.0


class Launch(msgspec.Struct):
    """What a job brings. The session fills image and container into `worker`."""

    text: str  # the definition as submitted
    device: dict[str, Any]  # rendered
    worker: Worker
    device_name: str = ""  # locked on this host; "" = nothing to lock
    secrets: dict[str, str] = {}  # beside those in the definition
    directories: list[Path] = []  # that file:// URLs may lie in
    files: list[Path] = []  # single files that they may name
    max_seconds: float = 0.0  # the runner is taken for hung after this; 0: never
    fixed: Sequence[Artefact] = ()  # reproduce: what URLs meant the first time


class Session:
    """One job. `start` or `adopt`, then `finish`, in one thread; `cancel` and `detach` from any.

    `on_journal` is called with the journal's size when it has grown; it must return at once.
    `engine_patience` is how many seconds an engine that does not answer is waited for.
    """

    def __init__(
        self,
        engine: Engine,
        cache: Cache,
        directory: JobDirectory,
        locks: Path,
        *,
        on_journal: Callable[[int], None] = lambda size: None,
        steps: CancelSteps | None = None,
        engine_patience: float = 120.0,
    ) -> None:
        self.directory = directory
        self._engine = engine
        self._cache = cache
        self._locks = locks
        self._on_journal = on_journal
        self._ladder = Ladder(steps or CancelSteps())
        self._patience = engine_patience
        self._watch: Watch | None = None
        self._record = SessionRecord("")
        self._spec: LaunchSpec | None = None
        self._places = Places(directory.path)
        self._lock: DeviceLock | None = None
        self._doorbell: DoorbellServer | None = None
        self._artefacts: Artefacts | None = None
        self._secrets: dict[str, str] = {}
        self._canceled = ""
        self._turn = threading.Lock()  # of cancel and detach with the making of the watch
        self._detached = False

    @property
    def container(self) -> str:
        """The full id, "" before there is one."""
        return self._record.container

    @property
    def canceled(self) -> str:
        """The reason for which the end was asked for, "" when nobody did."""
        return self._canceled

    # -- the beginning

    def start(self, launch: Launch, spec: LaunchSpec) -> None:
        """Make everything and start the container.

        Raises InfrastructureError, ConfigurationError, JobError or JobCanceled; nothing is left then but the
        directory.
        """
        begin, deadline = time.monotonic(), Deadline.after(START_SECONDS)
        name = f"lava-exec-{spec.job_id}-{random.token_hex(3)}"
        state = spec.labels.get(LABEL_STATE, "")
        self._record = SessionRecord(spec.job_id, container_name=name, state=state)
        self.directory.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self.directory.own():
            raise InfrastructureError(f"job {spec.job_id} is already served by another process")
        try:
            self._lock_device(launch.device_name)
            self._prepare(launch, spec)
            self._serve(spec, launch.fixed)
            self._check_canceled()
            self._save(container=self._engine.create(spec, self._places, name, deadline))
            self._write_worker(launch.worker, spec)
            self._check_canceled()
            until = time.time() + launch.max_seconds if launch.max_seconds else 0.0
            self._save(started=True, until=until)
            self._engine.start(self.container, deadline)
        except BaseException:
            with contextlib.suppress(LavaExecError):
                self._save(started=False)
            self._undo()
            raise
        self._note(f"container {self.container[:12]} started after {time.monotonic() - begin:.2f} s")

    def adopt(self) -> bool:
        """Go on with a job that another process began.

        False when it never began; the directory is clean then. Raises EngineGone when the engine cannot be
        asked: the job stays as it is.
        """
        record = self.directory.session()
        if record is None or not self.directory.own():
            return False
        self._record, self._canceled = record, record.canceled
        path = Path(record.secrets) if record.secrets else None
        self._places, self._secrets = Places(self.directory.path, secrets=path), secretplace.load(path)
        try:
            self._remove_finalizers()
            began = self._began()
        except InfrastructureError:
            self.directory.disown()
            raise
        try:
            self._lock_device(record.device_name)
        except InfrastructureError as error:  # the job must be served all the same
            self._note(f"going on without the lock of the device: {error.message}")
        if not began:
            self._undo()
            return False
        self._spec = self.directory.read_spec()
        self._serve(self._spec, ())
        self._note("taken up again by another process")
        return True

    # -- the end

    def finish(self) -> Outcome:
        """Wait until the container has ended, in whatever way, and clean up. Raises Detached."""
        if self._spec is None:
            raise InfrastructureError("this session has not been started")
        try:
            ending = self._begin_watch(self._spec).run()
        except Detached:
            self._close_doorbell()
            if self._lock is not None:
                self._lock.keep()
            self.directory.disown()
            raise
        closing = Closing(self._engine, self.directory, self._spec, self._places, self.container)
        outcome = closing.conclude(ending, self._secrets)
        self._on_journal(outcome.journal)
        if self._artefacts is not None:
            outcome.downloaded = self._artefacts.downloaded
            outcome.decompressed = self._artefacts.decompressed
            self._artefacts.ended(failed=outcome.end.exit_code != 0)
        self._note(f"ended: {outcome.end.health} {outcome.end.exit_code} {outcome.end.error_msg}".rstrip())
        self._clean()
        return outcome

    def cancel(self, reason: str = "") -> None:
        """Ask for the end; returns at once. A second call changes nothing."""
        with self._turn:
            if self._canceled:
                return
            self._canceled = reason or "somebody asked for it"
            if self._watch is not None:
                self._tell_cancel(self._watch)

    def detach(self) -> None:
        """Let the container run on without this process; `finish` raises Detached."""
        with self._turn:
            self._detached = True
            if self._watch is not None:
                self._watch.detach()

    def _tell_cancel(self, watch: Watch) -> None:
        watch.cancel(self._canceled)
        with contextlib.suppress(LavaExecError):  # a full disk does not keep a job from its end
            self._save(canceled=self._canceled)

    # -- within: beginning

    def _prepare(self, launch: Launch, spec: LaunchSpec) -> None:
        facts = spec.facts
        text, found = secretplace.split_secrets(launch.text)
        self._secrets = {**found, **launch.secrets}
        self.directory.create(facts.uid, facts.gid)
        if spec.device_rules:
            self.directory.check_nodes()
        for directory in service_directories(spec, self._places):
            _make_served(directory, facts.uid, facts.gid)
        path = secretplace.store(self._secrets, facts.uid) if self._secrets else None
        self._places = msgspec.structs.replace(self._places, secrets=path)
        self._save(
            secrets=str(path or ""),
            device_name=launch.device_name,
            directories=[str(p) for p in launch.directories],
            files=[str(p) for p in launch.files],
            max_bytes=launch.worker.limits.download_bytes,
        )
        secret = path is not None
        self.directory.write_inputs(text, launch.device, secrets=secret, ca_bundle=facts.ca_bundle)
        self.directory.write_spec(spec)
        self._spec = spec

    def _write_worker(self, worker: Worker, spec: LaunchSpec) -> None:
        self.directory.write_worker(
            msgspec.structs.replace(
                worker,
                job_id=spec.job_id,
                image=spec.image,
                image_digest=spec.image_digest,
                container=self.container[:12],
                secret_names=sorted(self._secrets),
            )
        )

    def _serve(self, spec: LaunchSpec, fixed: Sequence[Artefact]) -> None:
        record = self._record
        access = Access(tuple(map(Path, record.directories)), tuple(map(Path, record.files)))
        self._artefacts = Artefacts(
            self._cache, self.directory, record.job_id, access, max_bytes=record.max_bytes, fixed=fixed
        )
        self._doorbell = DoorbellServer(
            self.directory.run,
            handler=self._artefacts.answer,
            on_bell=self._on_journal,
            uid=spec.facts.uid,
        )

    def _lock_device(self, device: str) -> None:
        if device:
            holder = Holder(self._record.job_id, str(self.directory.path), os.getpid())
            self._lock = take_device(self._locks, device, holder, self._alive)

    def _alive(self, holder: Holder) -> bool:
        """Does the container of a job that nobody serves still run?"""
        other = JobDirectory(Path(holder.directory)).session()
        if other is None or not other.container:
            return False
        try:
            return self._engine.inspect(other.container, Deadline.after(10)).running
        except NoSuchContainer:
            return False

    def _remove_finalizers(self) -> None:
        """Those that were cut off with the process that ran them; they are run again."""
        wanted = labels(self._record.job_id, "", "", role="finalizer")
        for container in self._engine.containers(wanted, Deadline.after(30)):
            if container.labels.get(LABEL_STATE) == self._record.state:
                self._engine.remove(container.id, Deadline.after(30))

    def _began(self) -> bool:
        """Was the container of an adopted job ever started? Finds one whose id could not be written down."""
        record = self._record
        try:
            seen = self._engine.inspect(record.container or record.container_name, Deadline.after(30))
        except NoSuchContainer:
            return record.started
        record.container = seen.id
        return record.started and seen.started

    def _check_canceled(self) -> None:
        if self._canceled:
            raise JobCanceled(f"the job was canceled before it began: {self._canceled}")

    # -- within: the end

    def _begin_watch(self, spec: LaunchSpec) -> Watch:
        with self._turn:
            self._watch = Watch(
                self._engine,
                self.container,
                ladder=self._ladder,
                used=self.directory.usage,
                disk=spec.disk_mib << 20,
                until=self._record.until,
                patience=self._patience,
                note=self._note,
            )
            if self._canceled:
                self._tell_cancel(self._watch)
            if self._detached:
                self._watch.detach()
            return self._watch

    def _undo(self) -> None:
        """Take back a beginning that failed."""
        container = self.container
        if not container and self._record.container_name:
            try:
                container = self._engine.inspect(self._record.container_name, Deadline.after(30)).id
            except InfrastructureError as error:
                if not isinstance(error, NoSuchContainer):
                    self._note(f"the engine cannot be asked: {error.message}")
        remove(self._engine, container, self.directory)
        if self._artefacts is not None:
            self._artefacts.ended(failed=False)
        self._clean()

    def _clean(self) -> None:
        self._close_doorbell()
        if self._record.secrets:
            Path(self._record.secrets).unlink(missing_ok=True)
        if self._lock is not None:
            self._lock.release()
        if self._spec is not None:
            for path in service_directories(self._spec, self._places):
                shutil.rmtree(path, ignore_errors=True)
        self.directory.end()

    def _close_doorbell(self) -> None:
        if self._doorbell is not None:
            self._doorbell.close()
            self._doorbell = None

    def _save(self, **changes: Any) -> None:
        self._record = msgspec.structs.replace(self._record, **changes)
        self.directory.write_session(self._record)

    def _note(self, text: str) -> None:
        log.info("job %s: %s", self._record.job_id, text)
        self.directory.note(text)


def _make_served(directory: Path, uid: int, gid: int) -> None:
    """A directory of this job where the TFTP or NFS server looks. Raises InfrastructureError."""
    try:
        directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        if os.geteuid() == 0:
            os.chown(directory, uid, gid)
    except OSError as problem:
        raise InfrastructureError(
            f"{directory} cannot be made: {problem.strerror}",
            f"jobs that boot boards over the network need it: may the agent write to {directory.parent}?",
        ) from problem
