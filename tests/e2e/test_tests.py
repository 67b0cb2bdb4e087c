# SPDX-License-Identifier: Apache-2.0
"""What else a test block can be, on real guests: one example and one test each."""

from __future__ import annotations

import hashlib
from urllib.request import urlopen

import pytest

from tests.e2e.conftest import unavailable
from tests.e2e.farm import Farm, Running, cases, records
from tests.e2e.leftovers import nothing_left

pytestmark = [pytest.mark.docker, pytest.mark.qemu, pytest.mark.slow, pytest.mark.timeout(420)]

Examples = dict[str, Running]
ARCHIVE = "http://deb.debian.org/debian/dists/bookworm/Release"


def ended(farm: Farm, examples: Examples, name: str) -> str:
    """The id of an example's job, which must have ended well."""
    done = examples[name].wait(400)
    assert done.code == 0, f"{done}\n{farm.tail(done.out.split()[0])}"
    return done.out.split()[0]


def test_monitors_read_what_the_kernel_prints(farm: Farm, examples: Examples) -> None:
    job = ended(farm, examples, "monitors")
    results = farm.results(job)
    started = [
        case for suite in results["suites"] if suite["name"] == "driver-start" for case in suite["cases"]
    ]
    assert len(started) > 10
    assert {case["result"] for case in started} == {"pass"}
    assert {case["units"] for case in started} == {"usecs"}
    assert all(case["measurement"] >= 0 for case in started)
    assert len(cases(results, "devices")) > 1
    nothing_left(farm, job)


def test_interactive_script_types_and_judges(farm: Farm, examples: Examples) -> None:
    job = ended(farm, examples, "interactive")
    results = farm.results(job)
    assert cases(results, "0_shell") == {
        "prompt": "pass",
        "version": "pass",
        "same-version": "pass",
        "job-number": "pass",
        "not-here": "pass",
    }
    assert cases(results, "lava")["0_shell"] == "pass"
    assert f"job {job}" in farm.cli("logs", job, "--level", "target").out
    nothing_left(farm, job)


def test_copies_of_a_repeat_block_stay_apart(farm: Farm, examples: Examples) -> None:
    job = ended(farm, examples, "repeat-block")
    results = farm.results(job)
    suites = [suite["name"] for suite in results["suites"] if suite["name"] != "lava"]
    assert suites == ["0_boots", "1_boots"]
    for suite in suites:
        assert cases(results, suite) == {"up": "pass", "idle": "pass"}
    started = [r for r in records(farm.journal(job)) if r.lvl == "action" and r.msg["name"] == "execute-qemu"]
    assert [r.msg["level"] for r in started if r.msg["what"] == "start"] == ["2.1.1", "4.1.1"]
    nothing_left(farm, job)


def test_what_a_command_did_is_undone(farm: Farm, examples: Examples) -> None:
    job = ended(farm, examples, "user-command")
    assert cases(farm.results(job), "0_disk") == {"there": "pass", "size": "pass", "writes": "pass"}
    told = [r.msg for r in records(farm.journal(job)) if r.lvl == "info" and "scratch_disk" in str(r.msg)]
    assert told[0].endswith("truncate --size 64M /work/scratch.img")
    assert told[-1] == "scratch_disk, undo: rm /work/scratch.img"
    nothing_left(farm, job)


def test_attached_files_arrive_whole(farm: Farm, examples: Examples) -> None:
    job = ended(farm, examples, "attachments")
    kept = farm.directory(job) / "out" / "attachments" / "0_files"
    assert "MemTotal" in (kept / "memory" / "memory.txt").read_text()
    data = (kept / "random" / "random.bin").read_bytes()
    assert len(data) == 5000
    assert hashlib.sha256(data).hexdigest() in farm.cli("logs", job, "--level", "target").out
    assert (kept / "ticker" / "ticks.txt").read_text().count("\n") >= 1
    assert (kept / "version").read_text().startswith("Linux version")
    listed = {row["path"] for row in farm.cli.json("files", job)}
    assert "attachments/0_files/random/random.bin" in listed
    nothing_left(farm, job)


def test_signals_through_the_kernels_log(farm: Farm, examples: Examples) -> None:
    job = ended(farm, examples, "kmsg")
    results = farm.results(job)
    assert cases(results, "0_kmsg") == {"first": "pass", "second": "pass", "third": "skip"}
    sets = {case["name"]: case.get("set") for suite in results["suites"] for case in suite["cases"]}
    assert (sets["first"], sets["second"], sets["third"]) == (None, "noisy", None)
    log = farm.cli("logs", job, "--level", "target").out
    assert any(line.split("] ", 1)[-1].startswith("<LAVA_SIGNAL_TESTCASE") for line in log.splitlines())
    nothing_left(farm, job)


def test_two_guests_of_one_job_are_told_apart(farm: Farm, examples: Examples) -> None:
    job = ended(farm, examples, "two-guests")
    results = farm.results(job)
    assert cases(results) == {"begins": "pass", "listens": "pass", "across": "pass"}
    assert {suite["name"] for suite in results["suites"]} == {"lava", "0_talk", "0_listen", "1_across"}
    other = [r for r in records(farm.journal(job)) if r.lvl == "feedback" and "left is up" in str(r.msg)]
    assert {(r.ns, r.act) for r in other} >= {("left", "lava-test-shell")}
    nothing_left(farm, job)


def test_packages_come_from_debians_archive(farm: Farm, examples: Examples) -> None:
    try:
        urlopen(ARCHIVE, timeout=10).close()
    except OSError as error:
        unavailable(f"{ARCHIVE} cannot be reached from here: {error}")
    job = ended(farm, examples, "install-deps")
    assert cases(farm.results(job), "0_packages") == {"runs": "pass", "of-debian": "pass", "listed": "pass"}
    nothing_left(farm, job)
