# SPDX-License-Identifier: Apache-2.0
"""`run`, `reproduce`, `bundle` and `doctor` with a real engine and the real images, without a guest."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.docker

CONFIGS = Path(__file__).parents[2] / "device-configs"
JOB = """\
job_name: wrong checksum
device_type: qemu
context: {{arch: amd64}}
timeouts: {{job: {{minutes: 2}}, action: {{minutes: 1}}}}
actions:
- deploy:
    to: tmpfs
    images:
      good: {{url: 'file:{directory}/good', image_arg: '-kernel {{good}}'}}
      kernel: {{url: 'file:{directory}/good', image_arg: '-initrd {{kernel}}', sha256sum: '{wrong}'}}
- boot: {{method: qemu, prompts: ['# ']}}
"""

Done = subprocess.CompletedProcess[str]
Cli = Callable[..., Done]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def cli(tmp_path: Path, state: Path) -> Iterator[Cli]:
    def run(*args: str | Path, input: str = "", state: Path = state) -> Done:
        env = {
            **os.environ,
            "HOME": str(tmp_path),
            "LAVA_EXEC_STATE": str(state),
            "LAVA_EXEC_DEVICE_CONFIGS": str(CONFIGS),
            "LAVA_EXEC_LOCKS": str(tmp_path / "locks"),
        }
        return subprocess.run(
            [sys.executable, "-m", "executor.cli", *map(str, args)],
            input=input,
            capture_output=True,
            text=True,
            env=env,
            timeout=110,
            check=False,
        )

    yield run
    from docker.api.client import APIClient

    left = APIClient().containers(all=True, filters={"label": f"lava-exec.state={state}"})
    assert left == []


@pytest.fixture
def failed(cli: Cli, tmp_path: Path) -> Path:
    """The directory of a job that failed in its container."""
    (tmp_path / "good").write_bytes(b"not much of a kernel")
    job = tmp_path / "job.yaml"
    job.write_text(JOB.format(directory=tmp_path, wrong="0" * 64))
    done = cli("run", job)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "checksum" in done.stdout
    return Path(done.stderr.split("files: ")[1].splitlines()[0])


def test_the_same_failure_again(cli: Cli, failed: Path) -> None:
    done = cli("reproduce", failed.name, "--expect-same", "--format", "json")
    assert done.returncode == 0, done.stdout + done.stderr
    data = json.loads(done.stdout)
    assert data["exit_code"] == 2
    assert data["comparison"]["same"] is True
    assert data["image_digest"] == json.loads((failed / "spec.json").read_text())["image_digest"]


def test_a_shell_in_the_same_container(cli: Cli, failed: Path, state: Path) -> None:
    script = "id -u; grep -c CapEff:.*0000000000000000 /proc/self/status; cat /cache/*; touch /x; exit 3\n"
    done = cli("reproduce", failed, "--shell", input=script)
    assert done.returncode == 3, done.stdout + done.stderr
    uid, capabilities, content = done.stdout.splitlines()
    assert uid != "0"
    assert capabilities == "1"
    assert content == "not much of a kernel"
    assert "Read-only file system" in done.stderr
    assert "/cache/" in done.stderr
    assert [path.name for path in (state / "run").iterdir()] == [failed.name]


def test_a_bundle_carries_the_image(cli: Cli, failed: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "job.tar.zst"
    made = cli("bundle", failed, "-o", bundle, "--format", "json")
    assert made.returncode == 0, made.stderr
    files = {file["path"]: file["size"] for file in json.loads(made.stdout)["manifest"]["files"]}
    assert files["image.tar"] > 50 << 20
    done = cli("reproduce", bundle, "--expect-same", "-q", state=tmp_path / "elsewhere")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_doctor_finds_nothing_in_the_way(cli: Cli) -> None:
    done = cli("doctor", "--format", "json")
    checks = json.loads(done.stdout)
    failed = [
        check for check in checks if check["status"] == "fail" and check["name"] not in ("port", "state")
    ]
    assert failed == []
    assert {"image", "isolation", "kvm"} <= {check["name"] for check in checks}
