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

LINES = 160
NewFarm = Callable[..., Farm]
_LINE = re.compile(r"^numbered line (\d+) of it$")


@pytest.fixture
def talking(new_farm: NewFarm) -> tuple[Farm, str]:
    """A job that has just begun to print LINES lines, and the farm it runs in."""
    farm = new_farm()
    job = farm.submit(
        jobs.busybox(
            "lava-test-case before --result pass", jobs.lines(LINES), "lava-test-case after --result pass"
        )
    )
    farm.see(job, "numbered line 10 of it")
    return farm, job


def written(path: Path, line: int) -> bool:
    return f"numbered line {line} of it".encode() in path.read_bytes()


def as_if_nothing_had_happened(farm: Farm, job: str) -> None:
    assert farm.wait(job) == 0, farm.tail(job)
    results = farm.results(job)
    assert results["health"] == "Complete"
    assert cases(results) == {"before": "pass", "after": "pass"}
    assert results["log"] == results["log"] | {"missing_records": 0, "unreadable": 0}
    journal = records(farm.journal(job))
    assert [record.seq for record in journal] == list(range(len(journal)))
    assert [record.lvl for record in journal].count("end") == 1
    said = [_LINE.match(record.msg.strip()) for record in journal if record.lvl == "target"]
    assert [int(found[1]) for found in said if found] == list(range(LINES))
    assert farm.journal(job).read_bytes() == (farm.directory(job) / "out" / "journal.ndjson").read_bytes()
    nothing_left(farm, job)


def test_agent_killed_and_back_before_the_job_ends(talking: tuple[Farm, str]) -> None:
    farm, job = talking
    farm.agent.kill()
    here = farm.directory(job) / "out" / "journal.ndjson"
    until(lambda: written(here, 60), 60, "the job to go on without its agent")
    assert not farm.has(job, "numbered line 60 of it")
    farm.agent.start()
    as_if_nothing_had_happened(farm, job)
    assert "taken up again" in (farm.directory(job) / "session.log").read_text()


def test_agent_killed_and_back_after_the_job_has_ended(talking: tuple[Farm, str]) -> None:
    farm, job = talking
    container = container_of(farm, job)
    farm.agent.kill()
    until(lambda: not processes_in(container), 90, "the end of the container")
    assert farm.row(job)["state"] == "Running"
    farm.agent.start()
    as_if_nothing_had_happened(farm, job)


def test_master_killed_while_somebody_follows(talking: tuple[Farm, str]) -> None:
    farm, job = talking
    follower = farm.cli.begin("logs", "--follow", job, "--format", "json")
    until(lambda: "numbered line 15 of it" in follower.out, 30, "the follower to see the log")
    farm.master.kill()
    here = farm.directory(job) / "out" / "journal.ndjson"
    until(lambda: written(here, 60), 60, "the job to go on without the master")
    farm.master.start()
    as_if_nothing_had_happened(farm, job)
    assert follower.wait(60).out.encode() == farm.journal(job).read_bytes()


def test_both_killed_at_once(talking: tuple[Farm, str]) -> None:
    farm, job = talking
    farm.master.kill()
    farm.agent.kill()
    farm.master.start()
    farm.agent.start()
    as_if_nothing_had_happened(farm, job)


def test_runner_killed(talking: tuple[Farm, str]) -> None:
    farm, job = talking
    container = container_of(farm, job)
    runner = next(
        line for line in processes_in(container) if "executor.runner" in line and "init" not in line
    )
    os.kill(int(runner.split()[0]), signal.SIGKILL)
    assert farm.wait(job) == 3
    results = farm.results(job)
    assert (results["health"], results["cause"]["error_type"]) == ("Incomplete", "Infrastructure")
    assert "SIGKILL" in results["cause"]["message"]
    assert cases(results)["before"] == "pass"  # what was known stays known
    nothing_left(farm, job)


def test_container_removed_by_somebody(talking: tuple[Farm, str]) -> None:
    farm, job = talking
    subprocess.run(["docker", "rm", "--force", container_of(farm, job)], check=True, capture_output=True)
    assert farm.wait(job) == 3
    assert farm.results(job)["cause"]["error_type"] == "Infrastructure"
    nothing_left(farm, job)
