# SPDX-License-Identifier: Apache-2.0
"""How a job ended, as scripts see it: one exit code for each kind of end, and nothing left behind."""

from __future__ import annotations

from datetime import datetime

import pytest

from tests.e2e import jobs
from tests.e2e.farm import Farm, Running, cases, records
from tests.e2e.leftovers import containers, nothing_left

pytestmark = [pytest.mark.docker, pytest.mark.qemu, pytest.mark.slow, pytest.mark.timeout(420)]

Examples = dict[str, Running]
AT_ONCE = 30.0  # seconds; the action's own timeout is 180


def ended(examples: Examples, name: str, code: int) -> str:
    done = examples[name].wait(400)
    assert done.code == code, done
    return done.out.split()[0]


def test_failing_test_case(farm: Farm, examples: Examples) -> None:
    job = ended(examples, "failing-test", 1)
    results = farm.results(job)
    assert cases(results) == {"passes": "pass", "fails": "fail", "passes-again": "pass"}
    assert results["health"] == "Complete"
    assert farm.wait(job) == 1
    nothing_left(farm, job)


def test_wrong_checksum(farm: Farm, examples: Examples) -> None:
    job = ended(examples, "bad-checksum", 2)
    cause = farm.results(job)["cause"]
    assert cause["error_type"] == "Job"
    assert "sha256" in cause["message"].lower()
    nothing_left(farm, job)


def test_kernel_panic_in_a_test(farm: Farm, examples: Examples) -> None:
    job = ended(examples, "panic", 2)
    results = farm.results(job)
    assert results["health"] == "Incomplete"
    assert "panic" in results["cause"]["message"].lower()
    assert results["cause"]["error_type"] == "Job"
    assert cases(results)["before"] == "pass"
    assert cases(results).get("never") is None
    written = records(farm.journal(job))
    seen = next(r for r in written if r.lvl == "target" and "Kernel panic" in r.msg)
    took = datetime.fromisoformat(written[-1].dt) - datetime.fromisoformat(seen.dt)
    assert took.total_seconds() < AT_ONCE
    assert "end Kernel panic" in farm.cli("logs", job, "--level", "target").out  # the trace is whole
    nothing_left(farm, job)


def test_timeout_of_a_test(farm: Farm, examples: Examples) -> None:
    job = ended(examples, "timeout", 5)
    results = farm.results(job)
    assert results["health"] == "Incomplete"
    assert results["cause"]["action"] == "lava-test-shell"
    assert cases(results)["before"] == "pass"
    nothing_left(farm, job)


def test_cancel(farm: Farm) -> None:
    job = farm.submit(jobs.busybox("echo now it runs", "sleep 600"))
    farm.see(job, "now it runs")
    done = farm.cli("cancel", job, "--reason", "enough seen", "--wait", seconds=120)
    assert done.code == 0, done
    assert farm.wait(job) == 4
    row = farm.row(job)
    assert (row["health"], row["exit_code"]) == ("Canceled", 4)
    assert "enough seen" in farm.show(job)
    nothing_left(farm, job)


def test_unknown_key_starts_nothing(farm: Farm) -> None:
    job = jobs.example("ramdisk-busybox").read_text().replace("  connection: {", "  conection: {")
    job = job.replace("    prompts:", "    promps:").replace("job_name: ", "job_name: never seen, ")
    done = farm.cli("submit", "-", "--wait", stdin=job)
    assert done.code == 2
    assert "conection" in done.err
    assert "connection" in done.err.replace("conection", "")  # the near miss
    assert "promps" in done.err  # every error at once
    every = farm.cli.json("jobs", "--limit", "1000")["jobs"]  # others are being submitted beside this one
    assert [row["id"] for row in every if row["name"].startswith("never seen")] == []


def test_unknown_key_starts_nothing_without_a_master_either(farm: Farm) -> None:
    before = set((farm.state / "run").glob("*"))
    job = jobs.busybox("true").replace("job_name:", "job_nam:")
    done = farm.cli("run", "-", stdin=job)
    assert done.code == 2, done
    assert "job_nam" in done.err
    assert set((farm.state / "run").glob("*")) == before
    assert not [name for name in containers(farm.state) if name.startswith("lava-exec-r")]
