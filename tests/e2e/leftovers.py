# SPDX-License-Identifier: Apache-2.0
"""What a job must not leave behind: containers, processes, scratch, sockets, locks, secrets."""

from __future__ import annotations

import contextlib
import json
import subprocess
from pathlib import Path

from executor.container.jobdir import JobDirectory
from executor.container.launch import LABEL_JOB, LABEL_STATE
from tests.e2e.farm import Farm, until

SETTLE_SECONDS = 20.0
_KEPT = {"spec.json", "job", "out", "artefacts.json", "session.log", "agent.json", "job.html"}


def nothing_left(farm: Farm, job: str) -> None:
    """Fails when something of a job that has ended is still there a little later."""
    found: list[str] = []

    def clean() -> bool:
        found[:] = of_job(farm, job)
        return not found

    with contextlib.suppress(AssertionError):
        until(clean, SETTLE_SECONDS, "nothing left")
    assert not found, f"job {job} left: {found}"


def nothing_left_at_all(farm: Farm) -> None:
    """The same for the whole farm, when no job runs."""
    found: list[str] = []

    def clean() -> bool:
        found[:] = of_farm(farm)
        return not found

    with contextlib.suppress(AssertionError):
        until(clean, SETTLE_SECONDS, "nothing left")
    assert not found, f"the farm holds: {found}"


def of_job(farm: Farm, job: str) -> list[str]:
    directory = farm.directory(job)
    found = [f"container {name}" for name in containers(farm.state, job)]
    found += in_directory(directory)
    container = JobDirectory(directory).header().container
    if container:
        found += [f"process {line}" for line in processes_in(container)]
    return found


def of_farm(farm: Farm) -> list[str]:
    found = [f"container {name}" for name in containers(farm.state)]
    for root in (farm.state / "agent" / "jobs", farm.state / "run"):
        for directory in root.iterdir() if root.is_dir() else ():
            found += in_directory(directory)
    for lock in farm.locks.glob("*") if farm.locks.is_dir() else ():
        if lock.stat().st_size:
            found.append(f"lock {lock.name}: {lock.read_text(errors='replace')[:80]}")
    if farm.secrets.is_dir():
        found += [f"in memory: {path.name}" for path in farm.secrets.iterdir()]
    found += [f"download {path}" for path in (farm.state / "cache" / "incoming").glob("*")]
    return found


def in_directory(directory: Path) -> list[str]:
    """What does not belong into the directory of a job that has ended."""
    found = [f"{directory.name}/{path.name}" for path in directory.iterdir() if path.name not in _KEPT]
    if (directory / "job" / "secrets").exists():
        found.append(f"{directory.name}/job/secrets")
    return found + [str(path) for path in directory.rglob("*") if path.is_socket()]


def containers(state: Path, job: str = "") -> list[str]:
    """Names of all containers of a state directory, ended ones too."""
    argv = ["docker", "ps", "--all", "--no-trunc", "--filter", f"label={LABEL_STATE}={state}"]
    argv += ["--filter", f"label={LABEL_JOB}={job}"] if job else []
    done = subprocess.run(
        [*argv, "--format", "{{.Names}} {{.Status}}"], capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


def container_of(farm: Farm, job: str) -> str:
    """The id of the container of a running job."""
    session = until(lambda: JobDirectory(farm.directory(job)).session(), 30, f"a session of job {job}")
    return str(session.container)


def processes_in(container: str) -> list[str]:
    """`pid command` of each process of this host that runs in a container."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if container in (path / "cgroup").read_text():
                words = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                found.append(f"{path.name} {words[:120].strip()}")
    return found


def inspect(container: str) -> dict:  # type: ignore[type-arg]
    """What `docker inspect` says."""
    done = subprocess.run(["docker", "inspect", container], capture_output=True, check=True)
    return dict(json.loads(done.stdout)[0])
