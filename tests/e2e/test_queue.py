# SPDX-License-Identifier: Apache-2.0
"""Who runs when: several devices at once, one job on each of them, priorities, and why a job waits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest

from executor.testing.web import WebServer
from tests.e2e import jobs
from tests.e2e.farm import Farm, until
from tests.e2e.leftovers import nothing_left

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(180)]

ONE = {"qemu-01": "extends: qemu\n"}
TWO = {**ONE, "qemu-02": "extends: qemu\n"}
SLACK = 3  # threads or files; one kept for each job would show
NewFarm = Callable[..., Farm]


@pytest.fixture
def held() -> Iterator[str]:
    """A job that runs until it is canceled, or for half a minute: its download does not end."""
    with WebServer() as web:
        yield jobs.downloading(web.put("/kernel", b"xx", hold=threading.Event()))


def running(farm: Farm, job: str) -> bool:
    return farm.has(job, "start: 1 ")


def test_one_job_on_a_device_at_a_time_and_the_urgent_first(new_farm: NewFarm, held: str) -> None:
    farm = new_farm(devices=ONE)
    first = farm.submit(held)
    until(lambda: running(farm, first), 60, "the first job to run")
    low = farm.submit(jobs.refused(priority="low"))
    usual = farm.submit(jobs.refused(priority="medium"))
    high = farm.submit(jobs.refused(priority="high"))
    later = farm.submit(jobs.refused(priority="low"), "--priority", "90")
    assert f"qemu-01 is busy with job {first}" in farm.show(low)
    assert [farm.row(job)["state"] for job in (low, usual, high, later)] == ["Submitted"] * 4
    farm.cli("cancel", first, "--wait", seconds=120)
    for job in (low, usual, high, later):
        assert farm.wait(job) == 2
    rows = [farm.row(job) for job in (first, low, usual, high, later)]
    rows.sort(key=lambda row: row["started"])
    assert [row["id"] for row in rows] == [first, high, later, usual, low]
    for before, after in pairwise(rows):
        assert before["ended"] <= after["started"]


def test_two_jobs_at_once_on_two_devices(new_farm: NewFarm, held: str) -> None:
    farm = new_farm(devices=TWO)
    pair = [farm.submit(held) for _ in range(2)]
    until(lambda: all(running(farm, job) for job in pair), 60, "both jobs to run")
    assert {farm.row(job)["device"] for job in pair} == {"qemu-01", "qemu-02"}
    third = farm.submit(jobs.refused())
    assert "all 2 devices of type qemu that fit are busy" in farm.show(third)
    assert {row["job"] for row in farm.cli.json("devices")} == set(pair)
    farm.cli("cancel", *pair, "--wait", seconds=120)
    assert farm.wait(third) == 2


def test_job_for_nobody_says_so(farm: Farm) -> None:
    done = farm.cli("submit", "-", stdin=jobs.refused(tags=["no-such-tag"]))
    told = f"{done.out} {done.err}"
    assert "no-such-tag" in told
    for job in done.out.split() if done.code == 0 else ():
        farm.cli("cancel", job, "--wait")
        assert farm.wait(job) == 4


def test_agent_and_master_hold_nothing_of_jobs_that_have_ended(new_farm: NewFarm) -> None:
    farm = new_farm()

    def rounds(count: int) -> None:
        for job in [farm.submit(jobs.refused()) for _ in range(count)]:
            assert farm.wait(job) == 2
            nothing_left(farm, job)

    def settled() -> bool:
        return farm.agent.holds <= agent and farm.master.holds <= master

    rounds(2)
    agent, master = (tuple(n + SLACK for n in service.holds) for service in (farm.agent, farm.master))
    rounds(6)
    until(settled, 30, f"{farm.agent.holds} <= {agent} and {farm.master.holds} <= {master}")
