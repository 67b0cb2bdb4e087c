# SPDX-License-Identifier: Apache-2.0
"""What the master answers to people: lists, single things, logs, results, files, and the few things they may
change.
"""

from __future__ import annotations

from executor import __version__
from executor.errors import ConfigurationError
from executor.master import states
from executor.master.core import Core
from executor.master.files import BadFile
from executor.master.render import render
from executor.master.scheduler import FarmDevice
from executor.master.secretfile import Secrets, write_secrets
from executor.master.store import JobRecord
from executor.master.submission import Accepted, Refused
from executor.schema.words import nearest
from executor.wire import messages
from executor.wire.keys import Identity, Keyring
from executor.wire.messages import DeviceRow, Failure, JobInfo, LogBlock

DEFINITION = "definition.yaml"  # in the job's directory: the text without secret values


class Clients:
    """One handler a message; each returns the reply."""

    def __init__(self, core: Core, keyring: Keyring) -> None:
        self._core = core
        self._keyring = keyring

    def ping(self, who: Identity, ask: messages.Ping) -> messages.Body:
        core = self._core
        return messages.Pong(
            version=__version__,
            instance=core.store.instance,
            time=core.clock(),
            role=who.role,
            name=who.name,
            idle=not core.store.unfinished(),
        )

    # -- jobs

    def may_submit(self, who: Identity, ask: messages.Submit) -> Failure | None:
        """Limits that are looked at before the job itself; None when it may go on."""
        size = len(ask.text.encode())
        if size > messages.MAX_JOB_TEXT:
            text = f"the job has {size} bytes, the limit is {messages.MAX_JOB_TEXT}"
            return Failure("too-large", text, "Put large test scripts into a repository.", "Job")
        allowed = self._core.settings.user(who.name).queued_jobs
        if self._core.store.queued_of(who.name) >= allowed:
            text = f"{who.name} has {allowed} unfinished jobs, the limit"
            return Failure("limit", text, "Wait for some to finish, or cancel some.")
        if len(ask.secrets) > 200 or sum(map(len, ask.secrets.values())) > messages.MAX_JOB_TEXT:
            return Failure("too-large", "more than 200 secrets, or more than 1 MiB of them", "", "Job")
        return None

    def submitted_before(self, key: str) -> messages.Submitted | None:
        """The reply to a submission that was carried out already, perhaps before a restart."""
        made = self._core.store.job_of_request(key)
        return messages.Submitted([str(id) for id in made]) if made else None

    def submit(
        self, who: Identity, ask: messages.Submit, found: Accepted | Refused, key: str
    ) -> messages.Body:
        """Store a job that was examined, and let the scheduler look at it."""
        if isinstance(found, Refused):
            count = len(found.problems)
            text = f"the job is refused: {count} problem{'s' if count != 1 else ''}"
            kind = found.problems[0].error_type if found.problems else "Job"
            return Failure("refused", text, "", kind, found.problems)
        if ask.dry_run:
            return messages.Submitted([], warnings=found.warnings)
        core, summary, now = self._core, found.summary, self._core.clock()
        wait = float(summary.queue_seconds or core.settings.queue_hours * 3600)
        id = core.store.add_job(
            request_key=key,
            name=summary.name,
            device_type=summary.device_type,
            want_device=summary.device,
            want_worker=summary.worker,
            tags=summary.tags,
            context=summary.context,
            priority=summary.priority,
            submitter=who.name,
            lax=ask.lax,
            submitted=now,
            queue_until=now + wait if wait else None,
            attempt_of=ask.attempt_of[:64],
        )
        directory = core.directory(id)
        write_secrets(directory, Secrets(ask.text, ask.secrets))
        (directory / DEFINITION).write_text(found.shown, encoding="utf-8")
        core.store.note("job", id, f"submitted by {who.name}", now)
        core.run_scheduler()
        return messages.Submitted([str(id)], warnings=found.warnings, waiting=core.waiting.get(id, ""))

    def job_list(self, who: Identity, ask: messages.JobList) -> messages.Body:
        if ask.before and not ask.before.isdecimal():
            return Failure("malformed", f"{ask.before[:40]!r} is no job id")
        self._core.tally.flush()
        limit = max(1, min(ask.limit, messages.MAX_PAGE))
        found = self._core.store.list_jobs(ask, limit + 1)
        return messages.Jobs([job.row() for job in found[:limit]], more=len(found) > limit)

    def job_info(self, id: str) -> JobInfo | Failure:
        core = self._core
        core.tally.flush()
        job = core.find(id)
        if job is None:
            return self._no_job(id)
        waiting = core.waiting.get(job.id, "")
        if job.state == states.SCHEDULED and not waiting:
            waiting = f"worker {job.worker} prepares it"
        return JobInfo(
            row=job.row(),
            waiting="" if job.finished else waiting,
            tags=job.tags,
            end=job.end,
            journal_size=core.journals.size(job.id),
            files=len(core.files.rows(job.id)),
            context=job.context,
            attempt_of=job.attempt_of,
            cancel_by=job.cancel_by,
            cancel_reason=job.cancel_reason,
            history=core.store.notes("job", job.id),
        )

    def job_definition(self, who: Identity, ask: messages.JobDefinition) -> messages.Body:
        core = self._core
        job = core.find(ask.job)
        if job is None:
            return self._no_job(ask.job)
        try:
            text = (core.directory(job.id) / DEFINITION).read_text(encoding="utf-8")
        except OSError:
            return _removed(job)
        device = core.configs.devices.get(job.device)
        try:
            rendered = render(device, job.context) if device is not None else {}
        except ConfigurationError:
            rendered = {}
        return messages.Definition(text, rendered)

    def cancel(self, who: Identity, ask: messages.Cancel) -> messages.Body:
        core = self._core
        job = core.find(ask.job)
        if job is None:
            return self._no_job(ask.job)
        if who.role != "admin" and job.submitter != who.name:
            text = f"job {job.id} belongs to {job.submitter}"
            return Failure("not-allowed", text, "Its submitter or an admin can cancel it.", "Usage")
        core.cancel(job, who.name, ask.reason[:500])
        return self.job_info(ask.job)

    def log_block(self, ask: messages.LogRead) -> LogBlock | Failure | None:
        """Lines of a journal; None when there are none yet and the question may wait."""
        core = self._core
        job = core.find(ask.job)
        if job is None:
            return self._no_job(ask.job)
        if job.removed:
            return _removed(job)
        offset = max(0, ask.offset)
        if ask.last_lines > 0:
            offset = core.journals.offset_of_last(job.id, ask.last_lines)
        data = core.journals.read(job.id, offset, max(4096, min(ask.max_bytes, messages.MAX_BLOCK)))
        size = core.journals.size(job.id)
        if not data and not job.finished:
            return None
        end = offset + len(data)
        return LogBlock(ask.job, offset, data, end, job.finished and end >= size, size, job.state)

    def empty_block(self, ask: messages.LogRead) -> messages.Body:
        """The reply when the time of waiting is over."""
        job = self._core.find(ask.job)
        if job is None:
            return self._no_job(ask.job)
        size = self._core.journals.size(job.id)
        offset = size if ask.last_lines > 0 else max(0, ask.offset)
        return LogBlock(ask.job, offset, b"", offset, False, size, job.state)

    def results(self, who: Identity, ask: messages.Results) -> messages.Body:
        job = self._core.find(ask.job)
        if job is None:
            return self._no_job(ask.job)
        self._core.tally.flush(job.id)
        limit = max(1, min(ask.limit, messages.MAX_PAGE))
        rows, total = self._core.store.results(job.id, max(0, ask.offset), limit, ask.suite)
        return messages.ResultPage(rows, total)

    def file_list(self, who: Identity, ask: messages.FileList) -> messages.Body:
        job = self._core.find(ask.job)
        if job is None:
            return self._no_job(ask.job)
        return _removed(job) if job.removed else messages.Files(self._core.files.rows(job.id))

    def file_read(self, who: Identity, ask: messages.FileRead) -> messages.Body:
        job = self._core.find(ask.job)
        if job is None:
            return self._no_job(ask.job)
        if job.removed:
            return _removed(job)
        size = max(1, min(ask.max_bytes, messages.MAX_BLOCK))
        try:
            data, row = self._core.files.read(job.id, ask.path, ask.offset, size)
        except BadFile as error:
            known = [row.path for row in self._core.files.rows(job.id)]
            near = nearest(ask.path, known)
            return Failure("unknown-file", str(error), f"Did you mean {near}?" if near else "", "Usage")
        return messages.FileBlock(ask.path, ask.offset, data, row.size, row.sha256)

    # -- devices, workers, keys

    def device_list(self, who: Identity, ask: messages.DeviceList) -> messages.Body:
        rows = [self._device_row(device) for device in self._core.farm_devices()]
        wanted = [row for row in rows if ask.device_type in ("", row.device_type)]
        return messages.Devices(sorted(wanted, key=lambda row: row.name))

    def device_show(self, who: Identity, ask: messages.DeviceShow) -> messages.Body:
        device = self._core.configs.devices.get(ask.name)
        if device is None:
            return self._no_device(ask.name)
        try:
            config = render(device, ask.context)
        except ConfigurationError:
            config = {}
        row = next(self._device_row(d) for d in self._core.farm_devices() if d.name == ask.name)
        return messages.DeviceInfo(row, config, self._core.store.notes("device", ask.name))

    def device_set(self, who: Identity, ask: messages.DeviceSet) -> messages.Body:
        core = self._core
        if ask.name not in core.configs.devices:
            return self._no_device(ask.name)
        health = states.canonical_health(ask.health, states.DEVICE_HEALTHS)
        if not health:
            return _no_health(ask.health, states.DEVICE_HEALTHS)
        core.store.set_device(ask.name, health, ask.reason[:500], who.name, core.clock())
        if health == states.RETIRED:
            for job in core.store.holding():
                if job.device == ask.name:
                    core.cancel(job, who.name, f"device {ask.name} was retired")
        core.run_scheduler()
        return self.device_show(who, messages.DeviceShow(ask.name))

    def worker_list(self, who: Identity, ask: messages.WorkerList) -> messages.Body:
        return messages.Workers(self._worker_rows())

    def worker_set(self, who: Identity, ask: messages.WorkerSet) -> messages.Body:
        core = self._core
        known = core.store.workers().get(ask.name)
        if known is None:
            near = nearest(ask.name, core.store.workers())
            hint = f"Did you mean {near}?" if near else "A worker is known once its agent has connected."
            return Failure("unknown-worker", f"there is no worker {ask.name[:80]!r}", hint, "Usage")
        health = states.canonical_health(ask.health, states.WORKER_HEALTHS)
        if not health:
            return _no_health(ask.health, states.WORKER_HEALTHS)
        core.store.update_worker(ask.name, health=health)
        reason = f" ({ask.reason[:500]})" if ask.reason else ""
        core.store.note("worker", ask.name, f"{who.name}: {known.health} → {health}{reason}", core.clock())
        self._devices_follow(ask.name, known.health, health, who.name)
        core.run_scheduler()
        return messages.Workers([row for row in self._worker_rows() if row.name == ask.name])

    def key_list(self, who: Identity, ask: messages.KeyList) -> messages.Body:
        keys = self._keyring.all()
        return messages.KeyRows([messages.KeyRow(key.role, key.name, key.public) for key in keys])

    # -- within

    def _devices_follow(self, worker: str, old: str, new: str, by: str) -> None:
        """What a worker's health does to its devices (spec: fleet §3)."""
        core = self._core
        known = core.store.devices()
        for device in core.configs.devices.values():
            health = known[device.name].health if device.name in known else states.GOOD
            if device.worker != worker:
                continue
            if new == states.RETIRED and health not in (states.BAD, states.RETIRED):
                core.store.set_device(device.name, states.RETIRED, f"worker {worker} was retired", by)
            elif new == states.ACTIVE and old == states.MAINTENANCE and health == states.GOOD:
                core.store.set_device(device.name, states.UNKNOWN, f"worker {worker} was in maintenance", by)

    def _device_row(self, device: FarmDevice) -> DeviceRow:
        core = self._core
        known = core.store.devices().get(device.name)
        job = core.find(device.job)
        live = core.workers.get(device.worker)
        if device.worker:
            online = live is not None and live.online
        else:
            online = any(worker.online for worker in core.workers.values())
        state = states.device_state("" if job is None else job.state)
        return DeviceRow(
            name=device.name,
            device_type=device.device_type,
            state=states.RESERVED if device.job and job is None else state,
            health=device.health,
            worker=device.worker or ("" if job is None else job.worker),
            worker_online=online,
            tags=sorted(device.tags),
            job=device.job,
            note="" if known is None else known.note,
            changed=0.0 if known is None else known.changed,
            problem=device.problem,
        )

    def _worker_rows(self) -> list[messages.WorkerRow]:
        core = self._core
        jobs: dict[str, list[str]] = {}
        for job in core.store.holding():
            jobs.setdefault(job.worker, []).append(str(job.id))
        rows = []
        now, mono = core.clock(), core.monotonic()
        for name, record in sorted(core.store.workers().items()):
            live = core.workers.get(name)
            rows.append(
                messages.WorkerRow(
                    name=name,
                    state=states.ONLINE if live is not None and live.online else states.OFFLINE,
                    health=record.health,
                    version=record.version,
                    seen=record.seen if live is None else now - (mono - live.seen),
                    clock_offset=record.clock_offset if live is None else live.clock_offset,
                    jobs=jobs.get(name, []),
                    facts=record.facts,
                    warning=record.note if live is None else live.note,
                )
            )
        return rows

    def _no_job(self, id: str) -> Failure:
        return Failure("unknown-job", f"there is no job {id[:40]!r}", "`lava-exec jobs` lists them.", "Usage")

    def _no_device(self, name: str) -> Failure:
        near = nearest(name, self._core.configs.devices)
        hint = f"Did you mean {near}?" if near else "`lava-exec devices` lists them."
        return Failure("unknown-device", f"there is no device {name[:80]!r}", hint, "Usage")


def _removed(job: JobRecord) -> Failure:
    text = f"the journal and files of job {job.id} are no longer kept"
    return Failure("unknown-file", text, "See `retention` in master.yaml.", "Usage")


def _no_health(word: str, healths: tuple[str, ...]) -> Failure:
    names = ", ".join(health.lower() for health in healths)
    return Failure("malformed", f"there is no health {word[:40]!r}", f"There are: {names}.", "Usage")
