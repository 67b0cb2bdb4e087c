# SPDX-License-Identifier: Apache-2.0
"""The plans of our own jobs, whole: names, order, limits, attempts, needs and warnings.

A change of these is a change that users see. `GOLDEN=write` in the environment writes the files anew.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from executor.master.configs import load_configs
from executor.master.render import render
from executor.pipeline.check import Checked, check_job
from executor.pipeline.describe import as_text

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
JOBS = [*sorted((ROOT / "examples").glob("*.yaml")), *sorted((HERE / "jobs").glob("*.yaml"))]
DEVICES = {
    device.device_type: device
    for folder in (ROOT / "device-configs", HERE / "device-configs")
    for device in load_configs(folder).devices.values()
}


@pytest.fixture(autouse=True)
def _same_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")


def shown(done: Checked) -> str:
    assert done.errors == []
    assert done.planned is not None
    needs = done.planned.needs
    lines = [as_text(done.planned), ""]
    for name in ("mounts", "devices", "capabilities", "tools"):
        lines.append(f"{name}: {' '.join(sorted(getattr(needs, name))) or '-'}")
    lines += [f"image: {needs.image}", f"network: {needs.network}", f"memory: {needs.memory}"]
    lines += [f"rewritten: {rewrite}" for rewrite in done.rewrites]
    lines += [f"warning: {p.line}: {p.message}" for p in done.warnings]
    return "\n".join(lines) + "\n"


def check(path: Path) -> Checked:
    text = path.read_text(encoding="utf-8").replace("file:../", "file:///srv/")
    kind = next(line.split()[1] for line in text.splitlines() if line.startswith("device_type:"))
    context = check_job(text, None).parsed.job
    assert context is not None
    return check_job(text, render(DEVICES[kind], context.context))


@pytest.mark.parametrize("path", JOBS, ids=lambda path: path.stem)
def test_the_plan_is_the_one_that_is_written_down(path: Path) -> None:
    golden = HERE / "plans" / f"{path.stem}.txt"
    found = shown(check(path))
    if os.environ.get("GOLDEN") == "write":
        golden.write_text(found, encoding="utf-8")
    assert found == golden.read_text(encoding="utf-8")


def test_every_plan_has_its_job() -> None:
    assert {path.stem for path in (HERE / "plans").glob("*.txt")} == {path.stem for path in JOBS}
