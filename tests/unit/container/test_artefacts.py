# SPDX-License-Identifier: Apache-2.0
"""One job's share of the cache, and what an earlier run's list of artefacts binds it to."""

from __future__ import annotations

import gzip
import hashlib
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from executor.container.artefacts import Artefacts
from executor.container.cache import Access, Cache
from executor.container.cancel import Cancellation
from executor.container.doorbell import Question
from executor.container.jobdir import Artefact, JobDirectory
from executor.container.store import Store
from executor.errors import Bug, InfrastructureError, JobError
from executor.model.deadline import Deadline
from executor.model.doorbell import Fetch, Fetched, Probed

OLD, NEW = b"old kernel", b"new kernel!"


class Bench:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.image = root / "Image"
        self.image.write_bytes(OLD)
        self.store = Store(root / "cache", keep_free=0)
        self.cache = Cache(self.store)

    @property
    def url(self) -> str:
        return f"file://{self.image}"

    def job(self, name: str, **options: Any) -> Artefacts:
        directory = JobDirectory(self.root / name)
        directory.create(os.geteuid(), os.getegid())
        return Artefacts(self.cache, directory, name, Access((self.root,)), **options)

    def ask(self, job: Artefacts, what: str = "fetch", **args: Any) -> Any:
        fetch = msgspec.to_builtins(Fetch(self.url, label="kernel", **args))
        question = Question(what, fetch, Deadline.after(10), lambda *told: None, Cancellation())
        return job.answer(question)

    def seen(self, job: str, got: Fetched) -> bytes:
        return (self.root / job / got.path.lstrip("/")).read_bytes()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_probe_tells_what_certainly_fails(bench: Bench) -> None:
    job = bench.job("1")
    assert bench.ask(job, "probe") == Probed()
    bench.image.unlink()
    assert bench.ask(job, "probe") == Probed(f"there is no file {bench.image}")
    again = bench.job("2", fixed=[Artefact(bench.url, "0" * 64, "kernel")])
    assert bench.ask(again, "probe") == Probed(), "the first run's bytes may still be in the cache"


def test_job_sees_only_what_it_asked_for(bench: Bench) -> None:
    first = bench.job("1")
    got = bench.ask(first)
    bench.job("2")
    assert bench.seen("1", got) == OLD
    assert list((bench.root / "2" / "cache").iterdir()) == []


def test_evicted_object_stays_with_the_job_that_has_it(bench: Bench) -> None:
    got = bench.ask(bench.job("1"))
    bench.store.drop(got.sha256)
    assert bench.seen("1", got) == OLD


def test_pins_until_the_end_and_longer_after_a_failure(bench: Bench) -> None:
    job = bench.job("1")
    got = bench.ask(job)
    assert got.sha256 in bench.store._pinned()
    job.ended(failed=True)
    assert got.sha256 in bench.store._pinned()
    job.ended(failed=False)
    assert got.sha256 not in bench.store._pinned()


def test_list_is_kept_for_a_rerun(bench: Bench) -> None:
    job = bench.job("1")
    bench.ask(job)
    bench.ask(job)
    kept = JobDirectory(bench.root / "1").artefacts()
    assert [(a.url, a.label, a.sha256) for a in kept] == [
        (bench.url, "kernel", hashlib.sha256(OLD).hexdigest())
    ]


def test_rerun_gets_the_bytes_of_the_first_time(bench: Bench) -> None:
    bench.ask(bench.job("1"))
    fixed = JobDirectory(bench.root / "1").artefacts()
    bench.image.write_bytes(NEW)
    assert bench.seen("2", bench.ask(bench.job("2", fixed=fixed))) == OLD
    assert bench.seen("3", bench.ask(bench.job("3"))) == NEW


def test_rerun_needs_no_source_at_all(bench: Bench) -> None:
    bench.image.write_bytes(gzip.compress(OLD))
    bench.ask(bench.job("1"), compression="gz")
    fixed = JobDirectory(bench.root / "1").artefacts()
    bench.image.unlink()
    assert bench.seen("2", bench.ask(bench.job("2", fixed=fixed), compression="gz")) == OLD
    with pytest.raises(InfrastructureError):
        bench.ask(bench.job("3"), compression="gz")


def test_rerun_whose_bytes_are_gone_says_so(bench: Bench) -> None:
    fixed = [Artefact(bench.url, hashlib.sha256(b"something else").hexdigest(), "kernel")]
    with pytest.raises(JobError, match="kernel is not what it was in the first run"):
        bench.ask(bench.job("1", fixed=fixed))


def test_only_known_questions(bench: Bench) -> None:
    with pytest.raises(Bug, match="does not know"):
        bench.ask(bench.job("1"), what="launch-missiles")
    question = Question("fetch", {"url": 5}, Deadline.after(1), lambda *told: None, Cancellation())
    with pytest.raises(Bug, match="cannot be read"):
        bench.job("1").answer(question)
