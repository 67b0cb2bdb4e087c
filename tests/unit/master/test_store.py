# SPDX-License-Identifier: Apache-2.0
"""The store: rows come back, commits hold, schema steps are taken in order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from executor.errors import ConfigurationError, InfrastructureError
from executor.master import states, tables
from executor.master.store import Store
from executor.master.tally import Tally
from executor.model import journal
from executor.model.journal import End, Record
from executor.model.launch import HostFacts
from executor.wire.messages import JobList, ResultRow


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "store.db")
    yield opened
    opened.close()


def reopen(store: Store) -> Store:
    store.close()
    return Store(store.path)


def add(store: Store, **more: Any) -> int:
    return store.add_job(**{"name": "n", "device_type": "qemu", "submitted": 1.0, **more})


def test_job_with_its_defaults(store: Store) -> None:
    id = add(store, tags=["a"], context={"arch": "arm"}, submitter="bob")
    job = store.job(id)
    assert job is not None
    assert (job.state, job.health, job.tags, job.context) == ("Submitted", "Unknown", ["a"], {"arch": "arm"})
    assert (job.priority, job.queue_until, job.end, job.accepted) == (50, None, None, False)
    assert job.row().id == str(id)
    assert store.job(id + 1) is None


def test_only_what_was_committed_survives(store: Store) -> None:
    add(store)
    store.commit()
    add(store)
    again = reopen(store)
    assert [job.id for job in again.waiting()] == [1]
    assert again.instance == store.instance
    again.close()


def test_rollback(store: Store) -> None:
    add(store)
    store.commit()
    store.update_job(1, state=states.RUNNING)
    store.rollback()
    assert [job.state for job in store.unfinished()] == [states.SUBMITTED]


def test_same_request_makes_one_job(store: Store) -> None:
    id = add(store, request_key="k:1")
    store.commit()
    assert store.job_of_request("k:1") == [id]
    assert store.job_of_request("k:2") == []


def test_end_comes_back_typed(store: Store) -> None:
    id = add(store)
    store.update_job(id, end={"health": "Complete", "exit_code": 0})
    job = store.job(id)
    assert job is not None
    assert job.end == End("Complete", 0)


def test_lists(store: Store) -> None:
    for n in range(5):
        add(store, submitter="bob" if n % 2 else "eve", state=states.FINISHED if n < 2 else states.SUBMITTED)
    add(store, device="d", worker="w", state=states.RUNNING)

    def ids(**ask: Any) -> list[int]:
        return [job.id for job in store.list_jobs(JobList(**ask), 100)]

    assert ids() == [6, 5, 4, 3, 2, 1]
    assert ids(submitter="bob") == [4, 2]
    assert ids(states=["Finished"], submitter="eve") == [1]
    assert ids(device="d") == ids(worker="w") == [6]
    assert ids(before="3") == [2, 1]
    assert [job.id for job in store.list_jobs(JobList(), 2)] == [6, 5]
    assert [job.id for job in store.unfinished()] == [3, 4, 5, 6]
    assert [job.id for job in store.unfinished("w")] == [job.id for job in store.holding()] == [6]
    assert store.queued_of("bob") == 1


def test_results_in_order_of_arrival(store: Store) -> None:
    id = add(store)
    store.add_results(id, 0, [ResultRow("s", f"c{n}", "pass", measurement=n / 2) for n in range(5)])
    store.add_results(id, 5, [ResultRow("t", "last", "fail", metadata={"a": [1]})])
    rows, total = store.results(id, 1, 3)
    assert ([row.case for row in rows], total) == (["c1", "c2", "c3"], 6)
    rows, total = store.results(id, 0, 10, "t")
    assert (rows, total) == ([ResultRow("t", "last", "fail", metadata={"a": [1]})], 1)
    assert store.results(99, 0, 10) == ([], 0)


def test_device_health_with_audit(store: Store) -> None:
    store.set_device("d", "Maintenance", "broken fan", "bob", 10.0)
    store.set_device("d", "Good", "", "bob", 20.0)
    assert store.devices()["d"].health == "Good"
    assert store.notes("device", "d") == [
        "1970-01-01T00:00:10Z bob: Good → Maintenance (broken fan)",
        "1970-01-01T00:00:20Z bob: Maintenance → Good",
    ]
    store.trim_history(15.0)
    assert len(store.notes("device", "d")) == 1


def test_workers(store: Store) -> None:
    store.update_worker("w", version="1", facts=HostFacts(cpus=2))
    store.update_worker("w", clock_offset=0.5)
    worker = store.workers()["w"]
    assert (worker.version, worker.clock_offset, worker.health) == ("1", 0.5, "Active")
    assert worker.facts == HostFacts(cpus=2)


def test_commit_survives_the_death_of_the_process(tmp_path: Path) -> None:
    """The file as it is, without a close, is what another process finds."""
    first = Store(tmp_path / "store.db")
    add(first)
    first.commit()
    second = Store(tmp_path / "store.db")
    assert [job.id for job in second.waiting()] == [1]
    second.close()
    first.close()


def test_newer_store_is_refused(tmp_path: Path) -> None:
    Store(tmp_path / "store.db").close()
    _set_version(tmp_path / "store.db", tables.VERSION + 1)
    with pytest.raises(ConfigurationError, match="written by a newer lava-exec"):
        Store(tmp_path / "store.db")


def test_migrations_run_in_order_and_once(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'x.db'}")
    ran: list[int] = []
    steps = {n: (lambda connection, n=n: ran.append(n)) for n in (1, 2)}
    with engine.connect() as connection:
        tables.prepare(connection, {}, to=1)
        tables.prepare(connection, steps, to=3)
        tables.prepare(connection, steps, to=3)
    engine.dispose()
    assert ran == [1, 2]


def test_every_older_version_has_its_step() -> None:
    assert sorted(tables.MIGRATIONS) == list(range(1, tables.VERSION))


def test_file_that_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "store.db").write_bytes(b"rubbish" * 1000)
    with pytest.raises(InfrastructureError, match="cannot be used"):
        Store(tmp_path / "store.db")


def _set_version(path: Path, version: int) -> None:
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        connection.execute(text("update meta set value = :v where key = 'version'"), {"v": str(version)})
    engine.dispose()


# ---- tally


def block(first: int, count: int, suite: str = "0_a") -> bytes:
    return journal.encode(
        [
            Record(
                n,
                "t",
                "results",
                {"definition": suite, "case": f"c{n}", "result": "pass" if n % 2 else "fail"},
            )
            for n in range(first, first + count)
        ]
    )


def test_tally_stores_results_once(store: Store) -> None:
    id = add(store)
    tally = Tally(store)
    one, two = block(0, 3), block(3, 2, "lava")
    tally.take(id, one, len(one))
    assert store.results(id, 0, 10)[1] == 0
    assert tally.flush(id)
    tally.take(id, two, len(one + two))
    assert tally.flush()
    assert not tally.flush()
    job = store.job(id)
    assert job is not None
    assert store.results(id, 0, 10)[1] == job.results == 5
    assert job.cases == {"fail": 2, "pass": 1}
    assert job.indexed == len(one + two)


def test_tally_goes_on_from_the_store(store: Store) -> None:
    id = add(store)
    first = Tally(store)
    first.take(id, block(0, 3), 100)
    first.flush()
    second = Tally(store)
    second.take(id, block(3, 3), 200)
    second.flush()
    assert [row.case for row in store.results(id, 0, 10)[0]] == [f"c{n}" for n in range(6)]


def test_many_results_do_not_wait_for_the_timer(store: Store) -> None:
    id = add(store)
    Tally(store).take(id, block(0, 600), 100)
    assert store.results(id, 0, 1)[1] == 600


def test_tally_remembers_the_end(store: Store) -> None:
    id = add(store)
    tally = Tally(store)
    end = journal.encode([Record(0, "t", "end", {"health": "Incomplete", "exit_code": 5})])
    tally.take(id, end, len(end))
    assert tally.end(id) == End("Incomplete", 5)
    tally.flush()
    assert Tally(store).end(id) == End("Incomplete", 5)


def test_clear_forgets_what_was_not_stored(store: Store) -> None:
    id = add(store)
    tally = Tally(store)
    tally.take(id, block(0, 3), 100)
    assert tally.clear() == [id]
    tally.take(id, block(0, 3), 100)
    tally.flush()
    assert store.results(id, 0, 10)[1] == 3


def test_unknown_job_is_nobodys_tally(store: Store) -> None:
    tally = Tally(store)
    tally.take(99, block(0, 1), 10)
    assert not tally.flush()
    assert tally.end(99) is None
