# SPDX-License-Identifier: Apache-2.0
"""Who runs when: several devices at once, one job on each of them, priorities, and why a job waits."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest

from tests.e2e import jobs
from tests.e2e.farm import Farm

pytestmark = [pytest.mark.docker, pytest.mark.qemu, pytest.mark.slow, pytest.mark.timeout(300)]

ONE = {"qemu-01": "extends: qemu\n"}
TWO = {**ONE, "qemu-02": "extends: qemu\n"}
NewFarm = Callable[..., Farm]


def test_one_job_on_a_device_at_a_time_and_the_urgent_first(new_farm: NewFarm) -> None:
    farm = new_farm(devices=ONE)
    first = farm.submit(jobs.busybox("echo now it runs", "sleep 600"))
    farm.see(first, "now it runs")
    low = farm.submit(jobs.refused(priority="low"))
    usual = farm.submit(jobs.refused(priority="medium"))
    high = farm.submit(jobs.refused(priority="high"))
    later = farm.submit(jobs.refused(priority="low"), "--priority", "90")
    assert f"qemu-01 is busy with job {first}" in farm.show(low)
    assert [farm.row(job)["state"] for job in (low, usual, high, later)] == ["Submitted"] * 4
    farm.cli("cancel", first, "--wait", seconds=120)
    for job in (low, usual, high, later):
        assert farm.wait(job) == 2
    rows = sorted((farm.row(job) for job in (first, low, usual, high, later)), key=lambda row: row["started"])
    assert [row["id"] for row in rows] == [first, high, later, usual, low]
    for before, after in pairwise(rows):
        assert before["ended"] <= after["started"]


def test_two_jobs_at_once_on_two_devices(new_farm: NewFarm) -> None:
    farm = new_farm(devices=TWO)
    steps = ("echo now it runs", "sleep 600")
    pair = [farm.submit(jobs.busybox(*steps)) for _ in range(2)]
    for job in pair:
        farm.see(job, "now it runs")
    assert {farm.row(job)["device"] for job in pair} == {"qemu-01", "qemu-02"}
    third = farm.submit(jobs.refused())
    assert "all 2 devices of type qemu that fit are busy" in farm.show(third)
    rows = {row["name"]: row for row in farm.cli.json("devices")["devices"]}
    assert {row["job"] for row in rows.values()} == set(pair)
    farm.cli("cancel", *pair, "--wait", seconds=120)
    assert farm.wait(third) == 2


def test_job_for_nobody_says_so(farm: Farm) -> None:
    done = farm.cli("submit", "-", stdin=jobs.refused(tags=["no-such-tag"]))
    told = f"{done.out} {done.err}"
    assert "no-such-tag" in told
    for job in done.out.split() if done.code == 0 else ():
        farm.cli("cancel", job, "--wait")
        assert farm.wait(job) == 4
