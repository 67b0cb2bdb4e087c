# SPDX-License-Identifier: Apache-2.0
"""What a job's container may do: as the engine tells it, and as it turns out from inside."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from tests.e2e import jobs
from tests.e2e.farm import Farm
from tests.e2e.leftovers import container_of, inspect

pytestmark = [pytest.mark.docker, pytest.mark.qemu, pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def job(farm: Farm) -> Iterator[str]:
    """A job whose guest is up and stays so."""
    made = farm.submit(jobs.busybox("echo now it runs", "sleep 600"))
    farm.see(made, "now it runs")
    yield made
    farm.cli("cancel", made, "--wait", seconds=120)


@pytest.fixture(scope="module")
def container(farm: Farm, job: str) -> str:
    return container_of(farm, job)


def inside(container: str, script: str, *words: str) -> subprocess.CompletedProcess[str]:
    """A shell beside the runner, with the container's own rights."""
    argv = ["docker", "exec", container, "sh", "-c", script, "sh", *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


def test_engine_was_asked_for_the_least(container: str) -> None:
    seen = inspect(container)
    host = seen["HostConfig"]
    assert host["Privileged"] is False
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert host["ReadonlyRootfs"] is True
    assert "no-new-privileges" in host["SecurityOpt"]
    assert host["NetworkMode"] in ("none", "bridge")
    assert (host["PidMode"], host["UTSMode"], host["UsernsMode"]) == ("", "", "")
    assert host["IpcMode"] == "private"
    assert not host["DeviceCgroupRules"]
    assert {device["PathOnHost"] for device in host["Devices"]} <= {"/dev/kvm"}
    assert int(seen["Config"]["User"].split(":")[0]) > 0
    assert host["Memory"] > 0
    assert host["PidsLimit"] > 0
    assert host["NanoCpus"] > 0
    assert host["Init"] is True


def test_nothing_of_the_host_is_mounted_but_the_job_s_own(farm: Farm, job: str, container: str) -> None:
    own = str(farm.directory(job))
    for mount in inspect(container)["Mounts"]:
        source = mount["Source"]
        assert source.startswith(f"{own}/") or source.startswith(str(farm.secrets)), source
        assert "docker.sock" not in source
        assert not source.startswith("/dev/") or source.startswith("/dev/shm/")  # noqa: S108


def test_no_capability_and_no_way_to_get_one(container: str) -> None:
    status = inside(container, "cat /proc/self/status /proc/1/status").stdout
    sets = [
        line.split()[1]
        for line in status.splitlines()
        if line.startswith(("CapEff", "CapPrm", "CapBnd", "CapAmb"))
    ]
    assert len(sets) == 8
    assert {int(value, 16) for value in sets} == {0}
    assert "NoNewPrivs:\t1" in status
    assert inside(container, "id -u").stdout.strip() not in ("", "0")


@pytest.mark.parametrize("place", ["/", "/etc", "/usr/bin", "/opt/lava-exec", "/job", "/cache", "/var"])
def test_place_cannot_be_written(container: str, place: str) -> None:
    done = inside(container, 'ls "$1" && touch "$1/mine"', place)
    assert done.returncode
    assert "Read-only file system" in done.stderr or "Permission denied" in done.stderr, done


@pytest.mark.parametrize("place", ["/out", "/work", "/tmp"])
def test_place_can_be_written(container: str, place: str) -> None:
    done = inside(container, 'touch "$1/mine" && rm "$1/mine"', place)
    assert done.returncode == 0, done


def test_no_engine_and_no_devices_of_the_host(container: str) -> None:
    assert inside(container, "ls /var/run/docker.sock /run/docker.sock /run/podman").returncode
    nodes = set(inside(container, "find /dev -type b -o -type c").stdout.split())
    usual = {"console", "full", "null", "ptmx", "random", "tty", "urandom", "zero", "kvm"}
    left = {node for node in nodes if not node.startswith("/dev/pts/")} - {f"/dev/{name}" for name in usual}
    assert not left
    assert not inside(container, "find /dev -type b").stdout


def test_other_jobs_cannot_be_seen(farm: Farm, job: str, container: str) -> None:
    journals = inside(
        container, "find / -xdev -name journal.ndjson 2>/dev/null; find /out -name journal.ndjson"
    )
    assert set(journals.stdout.split()) == {"/out/journal.ndjson"}
    own = farm.directory(job).name
    others = {path.name for path in (farm.state / "agent" / "jobs").iterdir()} - {own}
    mounts = inside(container, "cat /proc/self/mountinfo").stdout
    assert f"/{own}/" in mounts
    assert not [other for other in others if f"/{other}/" in mounts]
    processes = inside(container, "cat /proc/[0-9]*/cmdline | tr '\\0' ' '").stdout
    assert processes.count("executor.runner") <= 2  # itself, and below the init


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may act as the jobs' user")
def test_user_of_the_jobs_reads_no_job_directory_of_the_host(farm: Farm, job: str, container: str) -> None:
    user = int(inspect(container)["Config"]["User"].split(":")[0])
    for path in (farm.directory(job) / "out" / "journal.ndjson", farm.state / "master", farm.state / "keys"):
        done = subprocess.run(
            ["ls", str(path)],
            user=user,
            group=user,
            extra_groups=[],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode, path
        assert "Permission denied" in done.stderr


def test_job_without_network_has_none(container: str) -> None:
    if inspect(container)["HostConfig"]["NetworkMode"] == "none":
        assert inside(container, "ls /sys/class/net").stdout.split() == ["lo"]
    else:
        assert "eth0" in inside(container, "ls /sys/class/net").stdout
