# SPDX-License-Identifier: Apache-2.0
"""kill -9 of any part in the middle of a job: no journal line is lost or doubled, nothing stays behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e import jobs
from tests.e2e.farm import Farm, cases, records, until
from tests.e2e.leftovers import container_of, nothing_left, processes_in

pytestmark = [pytest.mark.docker, pytest.mark.qemu, pytest.mark.slow, pytest.mark.timeout(300)]

NewFarm = Callable[..., Farm]
RUNNER = re.compile(r"^\d+ python -m executor.runner")
_LINE = re.compile(rb'"msg":"numbered line (\d+) of it"')


def talk(farm: Farm, lines: int) -> str:
    """A job that has just begun to print so many lines."""
    before, after = (f"lava-test-case {name} --result pass" for name in ("before", "after"))
    job = farm.submit(jobs.busybox(before, jobs.lines(lines), after))
    farm.see(job, "numbered line 5 of it")
    return job


def printed(path: Path) -> list[int]:
    """The numbers of the lines in a journal, in their order."""
    return [int(number) for number in _LINE.findall(path.read_bytes())]


def goes_on(farm: Farm, job: str) -> int:
    """Wait until the job has written some lines that nobody could ship; the number of the last one."""
    shipped = printed(farm.journal(job))[-1]
    here = farm.directory(job) / "out" / "journal.ndjson"
    until(lambda: printed(here)[-1] > shipped + 15, 60, "the job to go on by itself")
    assert printed(farm.journal(job))[-1] == shipped
    return printed(here)[-1]


def as_if_nothing_had_happened(farm: Farm, job: str, lines: int) -> None:
    assert farm.wait(job) == 0, farm.tail(job)
    results = farm.results(job)
    assert results["health"] == "Complete"
    assert cases(results) == {"before": "pass", "after": "pass"}
    assert results["log"] == results["log"] | {"missing_records": 0, "unreadable": 0}
    journal = records(farm.journal(job))
    assert [record.seq for record in journal] == list(range(len(journal)))
    assert [record.lvl for record in journal].count("end") == 1
    assert printed(farm.journal(job)) == list(range(lines))
    assert farm.journal(job).read_bytes() == (farm.directory(job) / "out" / "journal.ndjson").read_bytes()
    nothing_left(farm, job)


def test_every_part_killed_in_turn_while_somebody_follows(new_farm: NewFarm) -> None:
    farm, lines = new_farm(), 200
    job = talk(farm, lines)
    follower = farm.cli.begin("logs", "--follow", job, "--format", "json")
    until(lambda: "numbered line 5 of it" in follower.out, 30, "the follower to see the log")

    farm.agent.kill()
    last = goes_on(farm, job)
    farm.agent.start()
    farm.see(job, f"numbered line {last} of it")
    assert "taken up again" in (farm.directory(job) / "session.log").read_text()

    farm.master.kill()
    last = goes_on(farm, job)
    farm.master.start()
    farm.see(job, f"numbered line {last} of it")

    farm.master.kill()
    farm.agent.kill()
    goes_on(farm, job)
    farm.master.start()
    farm.agent.start()

    as_if_nothing_had_happened(farm, job, lines)
    assert follower.wait(60).out.encode() == farm.journal(job).read_bytes()


def test_agent_killed_and_back_after_the_job_has_ended(new_farm: NewFarm) -> None:
    farm = new_farm()
    job = talk(farm, 60)
    container = container_of(farm, job)
    farm.agent.kill()
    until(lambda: not processes_in(container), 90, "the end of the container")
    assert farm.row(job)["state"] == "Running"
    farm.agent.start()
    as_if_nothing_had_happened(farm, job, 60)


def test_runner_killed_and_container_removed(new_farm: NewFarm) -> None:
    farm = new_farm()
    killed, removed = (
        farm.submit(jobs.busybox("lava-test-case before --result pass", "sleep 600")) for _ in "ab"
    )
    for job in (killed, removed):
        until(lambda job=job: farm.row(job).get("cases") == {"pass": 1}, 120, f"a result of job {job}")  # type: ignore[misc]
    runner = next(line for line in processes_in(container_of(farm, killed)) if RUNNER.search(line))
    os.kill(int(runner.split()[0]), signal.SIGKILL)
    subprocess.run(["docker", "rm", "--force", container_of(farm, removed)], check=True, capture_output=True)
    for job in (killed, removed):
        assert farm.wait(job) == 3
        results = farm.results(job)
        assert (results["health"], results["cause"]["error_type"]) == ("Incomplete", "Infrastructure")
        assert cases(results) == {"before": "pass"}  # what was known stays known
        nothing_left(farm, job)
    assert "SIGKILL" in farm.results(killed)["cause"]["message"]
