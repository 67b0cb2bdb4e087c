# SPDX-License-Identifier: Apache-2.0
"""Real guests boot, their tests run, their results arrive: one test for each way to bring a system."""

from __future__ import annotations

import pytest

from tests.e2e.farm import ASSETS, Farm, Running, actions, cases, records
from tests.e2e.leftovers import nothing_left

pytestmark = [pytest.mark.docker, pytest.mark.qemu, pytest.mark.slow, pytest.mark.timeout(420)]

Examples = dict[str, Running]


def ended(examples: Examples, name: str) -> str:
    """The id of an example's job, which must have ended well."""
    done = examples[name].wait(400)
    assert done.code == 0, done
    return done.out.split()[0]


def test_debian_with_kernel_and_root_file_system(farm: Farm, examples: Examples) -> None:
    job = ended(examples, "qemu-debian")
    results = farm.results(job)
    smoke, numbers = cases(results, "0_smoke"), cases(results, "1_numbers")
    passed = [name for name, result in {**smoke, **numbers}.items() if result == "pass"]
    assert len(passed) >= 8
    assert set(smoke.values()) == {"pass"}
    assert numbers == {"uptime": "pass", "memory": "pass", "uptime-limit": "pass", "not-here": "skip"}
    assert results["health"] == "Complete"
    found = {case["name"]: case for suite in results["suites"] for case in suite["cases"]}
    assert found["loopback"]["set"] == "network"
    assert found["memory"]["units"] == "KiB"
    assert 300_000 < found["memory"]["measurement"] < 512 * 1024
    nothing_left(farm, job)


def test_disk_image_in_the_form_of_the_first_jobs(farm: Farm, examples: Examples) -> None:
    job = ended(examples, "qemu-seed")
    results = farm.results(job)
    assert cases(results) == dict.fromkeys(
        ("linux-INLINE-pwd", "linux-INLINE-uname", "linux-INLINE-mounts"), "pass"
    )
    assert results["device"] == "kvm-01"
    assert "/dev/" in farm.cli("logs", job, "--level", "target").out  # what /proc/mounts told
    nothing_left(farm, job)


def test_kernel_and_ramdisk_alone(farm: Farm, examples: Examples) -> None:
    job = ended(examples, "ramdisk-busybox")
    expected = dict.fromkeys(("shell-is-busybox", "proc-mounted", "memory"), "pass")
    assert cases(farm.results(job)) == expected
    nothing_left(farm, job)


def test_guest_of_another_architecture(farm: Farm, examples: Examples) -> None:
    job = ended(examples, "qemu-arm64")
    expected = dict.fromkeys(("shell-is-busybox", "proc-mounted", "memory"), "pass")
    assert cases(farm.results(job)) == expected
    assert "qemu-system-aarch64" in farm.cli("logs", job).out
    nothing_left(farm, job)


def test_log_says_which_accelerator_runs(farm: Farm, examples: Examples) -> None:
    job = ended(examples, "ramdisk-busybox")
    log = farm.cli("logs", job).out.lower()
    assert "tcg" in log or "kvm" in log


def test_what_was_fetched_and_what_was_run_is_kept(farm: Farm, examples: Examples) -> None:
    job = ended(examples, "ramdisk-busybox")
    kernel = next(
        line.split()[0]
        for line in (ASSETS / "SHA256SUMS").read_text().splitlines()
        if line.endswith("amd64/vmlinuz")
    )
    assert kernel in (farm.directory(job) / "artefacts.json").read_text()
    kept = {row["path"] for row in farm.cli.json("files", job)}
    assert {"spec.json", "artefacts.json", "plan.json", "device.yaml", "worker.yaml"} <= kept
    assert any(name.startswith("overlay-") for name in kept)


def test_first_and_last_record_tell_the_job(farm: Farm, examples: Examples) -> None:
    job = ended(examples, "ramdisk-busybox")
    written = records(farm.journal(job))
    header, end = written[0].msg, written[-1].msg
    assert written[0].lvl == "header"
    assert written[-1].lvl == "end"
    assert header["job_id"] == job
    assert header["device"].startswith("qemu-0")
    assert header["image_digest"].startswith("sha256:")
    assert (end["health"], end["exit_code"]) == ("Complete", 0)
    assert end["cases"] == {"pass": 3}


def test_plan_that_ran_is_the_plan_that_validate_prints(farm: Farm, examples: Examples) -> None:
    job = ended(examples, "ramdisk-busybox")
    ran = set(actions(farm.results(job)))
    assert {"deployimages", "boot-image-retry", "execute-qemu", "lava-test-shell", "finalize"} <= ran
    shown = farm.cli("validate", "examples/ramdisk-busybox.yaml", "--device", "qemu-01")
    assert shown.code == 0, shown
    for name in ran - {"validate"}:
        assert name in shown.out
