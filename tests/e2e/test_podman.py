# SPDX-License-Identifier: Apache-2.0
"""Podman's socket in place of Docker's: jobs that need no device rules run, the others are refused."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from executor.container.facts import job_images
from tests.e2e import jobs
from tests.e2e.farm import ASSETS, ROOT, Cli, until

pytestmark = [pytest.mark.docker, pytest.mark.qemu, pytest.mark.slow, pytest.mark.timeout(300)]

STORAGE = ROOT / ".lava-exec" / "podman"  # images that were carried over once
IMAGES = job_images()


class Podman:
    """Podman with a storage of its own, so that nothing of this machine's is touched."""

    def __init__(self, run: Path) -> None:
        self.socket = run / "api.sock"
        STORAGE.mkdir(parents=True, exist_ok=True)
        # crun refuses hosts that mount both versions of control groups.
        runtime = "runc" if shutil.which("runc") else "crun"
        (run / "containers.conf").write_text(
            f'[engine]\nruntime="{runtime}"\ncgroup_manager="cgroupfs"\nevents_logger="file"\n'
            '[containers]\ndefault_ulimits=["nofile=8192:8192","nproc=8192:8192"]\n'
        )
        (run / "storage.conf").write_text(
            f'[storage]\ndriver="overlay"\ngraphroot="{STORAGE}/root"\nrunroot="{run}/run"\n'
        )
        self.env = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        self.env |= {
            "CONTAINERS_CONF": str(run / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(run / "storage.conf"),
        }

    def __call__(self, *words: str, seconds: float = 60.0) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["podman", *words], env=self.env, capture_output=True, text=True, timeout=seconds, check=False
        )

    def carry(self, image: str) -> None:
        """From Docker's storage to Podman's, unless it is there already."""
        asked = ["docker", "image", "inspect", "--format", "{{.Id}}", image]
        id = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
        have = self("image", "inspect", "--format", "sha256:{{.Id}}", f"localhost/{image}").stdout.strip()
        if have == id:
            return
        with subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE) as save:
            load = subprocess.run(
                ["podman", "load"],
                stdin=save.stdout,
                env=self.env,
                capture_output=True,
                text=True,
                check=False,
            )
        assert load.returncode == 0, load.stderr
        self("image", "prune", "--force")


@pytest.fixture(scope="module")
def podman(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    """Its service at a socket; skips with its own words where it cannot run a container at all."""
    if shutil.which("podman") is None:
        pytest.skip("podman is not installed")
    if os.geteuid() != 0:
        pytest.skip("podman is tried as root only: other users need a range of ids")
    made = Podman(tmp_path_factory.mktemp("podman"))
    told = made("info")
    if told.returncode:
        pytest.skip(f"podman does not work here: {told.stderr.strip()[-300:]}")
    for image in IMAGES:
        made.carry(image)
    tried = made("run", "--rm", "--init", "--network=none", f"localhost/{IMAGES[0]}", "true")
    if tried.returncode:
        pytest.skip(f"podman runs no container here: {tried.stderr.strip()[-300:]}")
    argv = ["podman", "system", "service", "--time=0", f"unix://{made.socket}"]
    service = subprocess.Popen(argv, env=made.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(made.socket.exists, 30, "podman's socket")
        yield made
    finally:
        service.terminate()
        service.wait(30)


@pytest.fixture
def podman_cli(podman: Podman, lone_cli: Cli) -> Cli:
    """The command line of somebody who has Podman only."""
    lone_cli.env["DOCKER_HOST"] = f"unix://{podman.socket}"
    return lone_cli


def test_job_runs_with_the_rights_of_its_launch_spec(podman: Podman, podman_cli: Cli, tmp_path: Path) -> None:
    job = tmp_path / "job.yaml"
    job.write_text(jobs.busybox("echo now it runs", jobs.lines(80), "lava-test-case seen --result pass"))
    running = podman_cli.begin("run", job, "--device", "qemu-01", "--files", ASSETS)
    shown = re.compile(r"^\S+ now it runs$", re.MULTILINE)
    until(lambda: shown.search(running.out) or running.process.poll(), 120, "the guest")
    container = podman("ps", "--quiet").stdout.strip()
    script = "grep -E '^(Cap|NoNewPrivs)' /proc/self/status; id -u; touch /mine /job/mine"
    inside = podman("exec", container, "sh", "-c", script)
    done = running.wait(120)
    assert done.code == 0, done
    assert "0_busybox/seen" in done.out
    assert "Complete: 1 passed" in done.out
    words = inside.stdout.split()
    assert {int(words[words.index(f"Cap{kind}:") + 1], 16) for kind in ("Eff", "Prm", "Bnd", "Amb")} == {0}
    assert words[words.index("NoNewPrivs:") + 1] == "1"
    assert words[-1] != "0"
    assert inside.stderr.count("Read-only file system") == 2
    assert podman("ps", "--all", "--quiet").stdout == ""


def test_job_that_needs_device_rules_is_refused(podman: Podman, podman_cli: Cli, tmp_path: Path) -> None:
    configs = tmp_path / "configs"
    shutil.copytree(ROOT / "device-configs", configs)
    (configs / "devices" / "board.yaml").write_text("extends: qemu\ncontainer: {devices: [serial]}\n")
    podman_cli.env["LAVA_EXEC_DEVICE_CONFIGS"] = str(configs)
    done = podman_cli("run", jobs.example("ramdisk-busybox"), "--device", "board", "--files", ASSETS)
    assert done.code == 3, done
    assert "podman" in done.err
    assert "serial" in done.err
    assert podman("ps", "--all", "--quiet").stdout == ""
