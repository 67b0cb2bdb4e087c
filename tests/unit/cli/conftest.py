# SPDX-License-Identifier: Apache-2.0
"""Runs commands as the installed program would, in an environment that nobody's settings reach."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from executor.cli.app import App
from executor.cli.main import root

Cli = Callable[..., Result]
CONFIGS = Path(__file__).parents[3] / "device-configs"
JOB = """\
job_name: one
device_type: qemu
context: {arch: amd64}
timeouts:
  job: {minutes: 5}
  action: {minutes: 2}
actions:
- deploy:
    to: tmpfs
    images:
      kernel:
        url: http://files.example/vmlinuz
        image_arg: -kernel {kernel} -append "console=ttyS0"
    os: oe
- boot:
    method: qemu
    prompts: ['# ']
- test:
    definitions:
    - from: inline
      name: smoke
      path: inline/smoke.yaml
      repository:
        metadata: {format: Lava-Test Test Definition 1.0, name: smoke, description: one}
        run: {steps: [lava-test-case a --shell true]}
"""


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """The environment of a fresh user with device-configs."""
    return {
        "HOME": str(tmp_path / "home"),
        "PATH": "/usr/bin:/bin",
        "LAVA_EXEC_STATE": str(tmp_path / "state"),
        "LAVA_EXEC_DEVICE_CONFIGS": str(CONFIGS),
    }


@pytest.fixture
def cli(env: dict[str, str]) -> Cli:
    """`cli("jobs", "--local", input=…)` -> result with exit_code, stdout, stderr."""

    def run(*args: str | Path, **more: object) -> Result:
        app = App(env=env)
        return CliRunner().invoke(root, [str(a) for a in args], obj=app, env=env, **more)  # type: ignore[arg-type]

    return run


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """A job that is valid on a qemu device."""
    path = tmp_path / "job.yaml"
    path.write_text(JOB)
    return path
