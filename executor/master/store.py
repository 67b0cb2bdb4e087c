# SPDX-License-Identifier: Apache-2.0
"""Everything the master knows, in one SQLite file, so that its death at any moment costs nothing it has
confirmed.

Used by one thread. Nothing is durable before `commit`; the caller commits after each event and replies
afterwards. WAL with synchronous FULL: a commit survives loss of power. Journals are files (see journals.py),
not rows.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    and_,
    create_engine,
    delete,
    event,
    func,
    insert,
    or_,
    select,
    update,
)

from executor.errors import InfrastructureError
from executor.master import states
from executor.master.retention import KeptJob
from executor.master.tables import devices, history, jobs, meta, prepare, results, workers
from executor.model.journal import End
from executor.model.launch import HostFacts
from executor.wire.messages import JobList, JobRow, ResultRow

HISTORY_KEPT = 200  # lines of one job, device or worker


class JobRecord(msgspec.Struct):
    """One row of `jobs`; the columns are explained in tables.py."""

    id: int
    name: str
    state: str
    health: str
    device_type: str
    want_device: str
    want_worker: str
    tags: list[str]
    context: dict[str, Any]
    priority: int
    submitter: str
    lax: bool
    submitted: float
    queue_until: float | None
    started: float
    ended: float
    device: str
    worker: str
    accepted: bool
    exit_code: int
    error_type: str
    error_msg: str
    end: End | None
    cases: dict[str, int]
    indexed: int
    results: int
    group_id: str
    role: str
    attempt_of: str
    cancel_by: str
    cancel_reason: str
    kept_bytes: int
    removed: bool

    @property
    def finished(self) -> bool:
        return self.state == states.FINISHED

    def row(self) -> JobRow:
        """As it goes over the wire."""
        return JobRow(
            id=str(self.id),
            name=self.name,
            state=self.state,
            health=self.health,
            device_type=self.device_type,
            device=self.device,
            worker=self.worker,
            submitter=self.submitter,
            priority=self.priority,
            submitted=self.submitted,
            started=self.started,
            ended=self.ended,
            exit_code=self.exit_code,
            error_type=self.error_type,
            error_msg=self.error_msg,
            cases=self.cases,
            group=self.group_id,
            role=self.role,
        )


class WorkerRecord(msgspec.Struct):
    """One row of `workers`."""

    name: str
    health: str
    version: str
    seen: float
    clock_offset: float
    facts: HostFacts | None
    note: str


class DeviceRecord(msgspec.Struct):
    """One row of `devices`."""

    name: str
    health: str
    note: str
    changed: float


_JOB_COLUMNS = [jobs.c[name] for name in JobRecord.__struct_fields__]
_RESULT_COLUMNS = [results.c[name] for name in ResultRow.__struct_fields__]


class Store:
    """Open it, ask, change, `commit`, `close`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": 10})
        event.listen(self._engine, "connect", _configure)
        try:
            self._db: Connection = self._engine.connect()
            prepare(self._db)
            self.instance = self._instance()
        except Exception as error:
            self._engine.dispose()
            if type(error).__module__.startswith("sqlalchemy"):
                text = f"the store {path} cannot be used: {error.__cause__ or error}"
                raise InfrastructureError(text, "Is the disk full, or does another master use it?") from None
            raise

    def commit(self) -> None:
        """Make all changes since the last commit durable."""
        self._db.commit()

    def rollback(self) -> None:
        """Forget all changes since the last commit."""
        self._db.rollback()

    def close(self) -> None:
        self._db.close()
        self._engine.dispose()

    def _instance(self) -> str:
        """A random word that makes this store's job ids unique among all masters."""
        found = self._db.execute(select(meta.c.value).where(meta.c.key == "instance")).scalar_one_or_none()
        if found is None:
            found = secrets.token_hex(3)
            self._db.execute(insert(meta).values(key="instance", value=found))
            self._db.commit()
        return found

    # -- jobs

    def add_job(self, **values: Any) -> int:
        """A new job in state Submitted; returns its id. name, device_type and submitted are required."""
        row = {"state": states.SUBMITTED, "health": states.UNKNOWN, **values}
        return int(self._db.execute(insert(jobs).values(**row).returning(jobs.c.id)).scalar_one())

    def job(self, id: int) -> JobRecord | None:
        return self._one_job(jobs.c.id == id)

    def job_of_request(self, key: str) -> list[int]:
        """The jobs that a submission has made, when it came before."""
        found = self._db.execute(select(jobs.c.id).where(jobs.c.request_key == key)).scalars()
        return list(found)

    def update_job(self, id: int, **values: Any) -> None:
        self._db.execute(update(jobs).where(jobs.c.id == id).values(**values))

    def unfinished(self, worker: str = "") -> list[JobRecord]:
        """Jobs that are not finished, oldest first; of one worker when it is named."""
        where: ColumnElement[bool] = jobs.c.state.in_(states.JOB_STATES[:-1])
        if worker:
            where = and_(where, jobs.c.worker == worker)
        return self._jobs(where)

    def waiting(self) -> list[JobRecord]:
        """Jobs in the queue, oldest first."""
        return self._jobs(jobs.c.state == states.SUBMITTED)

    def holding(self) -> list[JobRecord]:
        """Jobs that have a device."""
        return self._jobs(jobs.c.state.in_(states.HOLDING))

    def queued_of(self, submitter: str) -> int:
        """How many unfinished jobs a user has."""
        where = and_(jobs.c.submitter == submitter, jobs.c.state.in_(states.JOB_STATES[:-1]))
        return int(self._db.execute(select(func.count()).where(where)).scalar_one())

    def list_jobs(self, ask: JobList, limit: int) -> list[JobRecord]:
        """Newest first."""
        terms: list[ColumnElement[bool]] = []
        if ask.states:
            terms.append(jobs.c.state.in_(ask.states))
        if ask.health:
            terms.append(jobs.c.health.in_(ask.health))
        for column, value in (
            (jobs.c.device_type, ask.device_type),
            (jobs.c.device, ask.device),
            (jobs.c.worker, ask.worker),
            (jobs.c.submitter, ask.submitter),
            (jobs.c.group_id, ask.group),
        ):
            if value:
                terms.append(column == value)
        if ask.before:
            terms.append(jobs.c.id < int(ask.before))
        query = select(*_JOB_COLUMNS).where(*terms).order_by(jobs.c.id.desc()).limit(limit)
        return [_job(row) for row in self._db.execute(query)]

    def kept(self) -> list[KeptJob]:
        """Finished jobs whose directory is still there."""
        query = select(jobs.c.id, jobs.c.ended, jobs.c.kept_bytes, jobs.c.health, jobs.c.exit_code).where(
            jobs.c.state == states.FINISHED, jobs.c.removed.is_(False)
        )
        return [
            KeptJob(row.id, row.ended, row.kept_bytes, row.health == states.INCOMPLETE or row.exit_code > 0)
            for row in self._db.execute(query)
        ]

    def _jobs(self, where: ColumnElement[bool]) -> list[JobRecord]:
        query = select(*_JOB_COLUMNS).where(where).order_by(jobs.c.id)
        return [_job(row) for row in self._db.execute(query)]

    def _one_job(self, where: ColumnElement[bool]) -> JobRecord | None:
        found = self._db.execute(select(*_JOB_COLUMNS).where(where)).one_or_none()
        return None if found is None else _job(found)

    # -- results

    def add_results(self, job: int, first: int, rows: Iterable[ResultRow]) -> None:
        """Append results; `first` is the number of the first."""
        values = [{"job": job, "n": first + n, **msgspec.structs.asdict(row)} for n, row in enumerate(rows)]
        if values:
            self._db.execute(insert(results), values)

    def results(self, job: int, offset: int, limit: int, suite: str = "") -> tuple[list[ResultRow], int]:
        """Rows in order of arrival, and how many there are in all."""
        where: ColumnElement[bool] = results.c.job == job
        if suite:
            where = and_(where, results.c.suite == suite)
        total = int(self._db.execute(select(func.count()).select_from(results).where(where)).scalar_one())
        query = select(*_RESULT_COLUMNS).where(where).order_by(results.c.n).offset(offset).limit(limit)
        return [ResultRow(*row) for row in self._db.execute(query)], total

    # -- devices and workers

    def devices(self) -> dict[str, DeviceRecord]:
        rows = self._db.execute(select(*[devices.c[n] for n in DeviceRecord.__struct_fields__]))
        return {row[0]: DeviceRecord(*row) for row in rows}

    def set_device(self, name: str, health: str, note: str, by: str, now: float | None = None) -> None:
        """Change a device's health, with an audit line (spec: fleet §3)."""
        now = time.time() if now is None else now
        old = self.devices().get(name)
        if old is None:
            self._db.execute(insert(devices).values(name=name, health=health, note=note, changed=now))
        else:
            change = update(devices).where(devices.c.name == name)
            self._db.execute(change.values(health=health, note=note, changed=now))
        before = states.GOOD if old is None else old.health
        self.note("device", name, f"{by}: {before} → {health}" + (f" ({note})" if note else ""), now)

    def workers(self) -> dict[str, WorkerRecord]:
        rows = self._db.execute(select(*[workers.c[n] for n in WorkerRecord.__struct_fields__]))
        return {
            row.name: WorkerRecord(
                **{
                    **row._mapping,
                    "facts": None if row.facts is None else msgspec.convert(row.facts, HostFacts),
                }
            )
            for row in rows
        }

    def update_worker(self, name: str, **values: Any) -> None:
        """Add a worker or change it."""
        if isinstance(values.get("facts"), HostFacts):
            values["facts"] = msgspec.to_builtins(values["facts"])
        done = self._db.execute(update(workers).where(workers.c.name == name).values(**values))
        if done.rowcount == 0:
            self._db.execute(insert(workers).values(**{"name": name, "health": states.ACTIVE, **values}))

    # -- history

    def note(self, kind: str, name: str | int, text: str, now: float | None = None) -> None:
        """A line for people about a job, device or worker."""
        now = time.time() if now is None else now
        self._db.execute(insert(history).values(kind=kind, name=str(name), time=now, text=text))

    def notes(self, kind: str, name: str | int) -> list[str]:
        """`<ISO time> <text>`, oldest first."""
        where = and_(history.c.kind == kind, history.c.name == str(name))
        query = (
            select(history.c.time, history.c.text)
            .where(where)
            .order_by(history.c.n.desc())
            .limit(HISTORY_KEPT)
        )
        return [f"{_iso(when)} {text}" for when, text in reversed(self._db.execute(query).all())]

    def trim_history(self, before: float) -> None:
        """Forget lines about devices and workers that are older."""
        where = and_(history.c.time < before, or_(history.c.kind == "device", history.c.kind == "worker"))
        self._db.execute(delete(history).where(where))


def _job(row: Row[Any]) -> JobRecord:
    record = JobRecord(*tuple(row))
    if record.end is not None:
        record.end = msgspec.convert(record.end, End)
    return record


def _iso(when: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(when))


def _configure(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=10000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
