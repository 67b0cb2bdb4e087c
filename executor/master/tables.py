# SPDX-License-Identifier: Apache-2.0
"""The tables of the store, and the steps from each older form of them to today's."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Connection,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    insert,
    inspect,
    select,
    update,
)

from executor.errors import ConfigurationError

VERSION = 1  # of the tables; `MIGRATIONS` leads from each earlier one to the next

metadata = MetaData()

meta = Table("meta", metadata, Column("key", String, primary_key=True), Column("value", Text, nullable=False))

jobs = Table(
    "jobs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("request_key", String, unique=True),  # names the request that made it, so that a repeat makes none
    Column("name", String, nullable=False),
    Column("state", String, nullable=False),
    Column("health", String, nullable=False),
    Column("device_type", String, nullable=False),
    Column("want_device", String, nullable=False, default=""),
    Column("want_worker", String, nullable=False, default=""),
    Column("tags", JSON, nullable=False, default=list),
    Column("context", JSON, nullable=False, default=dict),
    Column("priority", Integer, nullable=False, default=50),
    Column("submitter", String, nullable=False, default=""),
    Column("lax", Boolean, nullable=False, default=False),
    Column("submitted", Float, nullable=False),
    Column("queue_until", Float),  # null: waits for ever
    Column("started", Float, nullable=False, default=0.0),
    Column("ended", Float, nullable=False, default=0.0),
    Column("device", String, nullable=False, default=""),
    Column("worker", String, nullable=False, default=""),
    # the worker has confirmed that it holds the job
    Column("accepted", Boolean, nullable=False, default=False),
    Column("exit_code", Integer, nullable=False, default=-1),
    Column("error_type", String, nullable=False, default=""),
    Column("error_msg", Text, nullable=False, default=""),
    Column("end", JSON),  # the journal's last record
    Column("cases", JSON, nullable=False, default=dict),  # result -> number, outside suite lava
    # bytes of the journal whose results are in the store
    Column("indexed", Integer, nullable=False, default=0),
    Column("results", Integer, nullable=False, default=0),  # rows in `results`
    Column("group_id", String, nullable=False, default=""),
    Column("role", String, nullable=False, default=""),
    Column("attempt_of", String, nullable=False, default=""),
    Column("cancel_by", String, nullable=False, default=""),
    Column("cancel_reason", Text, nullable=False, default=""),
    Column("kept_bytes", Integer, nullable=False, default=0),  # size of its directory, once finished
    Column("removed", Boolean, nullable=False, default=False),  # its directory went by retention
)
Index("jobs_by_state", jobs.c.state, jobs.c.id)
Index("jobs_by_device", jobs.c.device, jobs.c.id)
Index("jobs_by_submitter", jobs.c.submitter, jobs.c.id)

results = Table(
    "results",
    metadata,
    Column("job", Integer, ForeignKey("jobs.id"), primary_key=True),
    Column("n", Integer, primary_key=True, autoincrement=False),  # from 0 in order of arrival
    Column("suite", String, nullable=False),
    Column("case", String, nullable=False),
    Column("result", String, nullable=False),
    Column("set", String, nullable=False, default=""),
    Column("measurement", Float),
    Column("units", String, nullable=False, default=""),
    Column("level", String, nullable=False, default=""),
    Column("duration", String, nullable=False, default=""),
    Column("seq", Integer, nullable=False, default=-1),
    Column("dt", String, nullable=False, default=""),
    Column("starttc", Integer, nullable=False, default=-1),
    Column("endtc", Integer, nullable=False, default=-1),
    Column("metadata", JSON, nullable=False, default=dict),
)

devices = Table(
    "devices",
    metadata,
    Column("name", String, primary_key=True),
    Column("health", String, nullable=False),
    Column("note", Text, nullable=False, default=""),
    Column("changed", Float, nullable=False, default=0.0),
)

workers = Table(
    "workers",
    metadata,
    Column("name", String, primary_key=True),
    Column("health", String, nullable=False),
    Column("version", String, nullable=False, default=""),
    Column("seen", Float, nullable=False, default=0.0),
    Column("clock_offset", Float, nullable=False, default=0.0),
    Column("facts", JSON),
    Column("note", Text, nullable=False, default=""),
)

history = Table(
    "history",
    metadata,
    Column("n", Integer, primary_key=True),
    Column("kind", String, nullable=False),  # job, device, worker
    Column("name", String, nullable=False),
    Column("time", Float, nullable=False),
    Column("text", Text, nullable=False),
)
Index("history_by_name", history.c.kind, history.c.name, history.c.n)


Migration = Callable[[Connection], None]
MIGRATIONS: dict[int, Migration] = {}  # version -> the step that leads to version + 1


def prepare(
    connection: Connection, migrations: Mapping[int, Migration] | None = None, to: int = VERSION
) -> None:
    """Make the tables, or bring older ones up to date. Raises ConfigurationError for a newer store."""
    steps = MIGRATIONS if migrations is None else migrations
    if not inspect(connection).has_table("meta"):
        metadata.create_all(connection)
        connection.execute(insert(meta).values(key="version", value=str(to)))
        connection.commit()
        return
    found = int(connection.execute(select(meta.c.value).where(meta.c.key == "version")).scalar_one())
    if found > to:
        raise ConfigurationError(
            f"the store was written by a newer lava-exec (tables {found}, known here: {to})",
            "Install that version again, or restore the store from before the upgrade.",
        )
    for version in range(found, to):
        steps[version](connection)
        connection.execute(update(meta).where(meta.c.key == "version").values(value=str(version + 1)))
        connection.commit()
