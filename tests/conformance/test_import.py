# SPDX-License-Identifier: Apache-2.0
"""Device files of the field, taken over into device-configs: each is the same device when it is rendered.

The data lies outside of the project (`../shared/conformance/cases`, or where CONFORMANCE_CASES says) and is
not part of it; without it these tests are skipped.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from executor.master.configs import load_configs
from executor.master.lab.files import write_files
from executor.master.lab.importer import Options, plan_import
from executor.master.render import render
from executor.schema.loader import load_yaml

ROOT = Path(__file__).resolve().parents[2]
CASES = Path(os.environ.get("CONFORMANCE_CASES") or ROOT.parent / "shared" / "conformance" / "cases")
DEVICES = {path.read_bytes(): path for path in sorted(CASES.rglob("device.yaml"), reverse=True)}

pytestmark = pytest.mark.skipif(not DEVICES, reason=f"no conformance cases in {CASES}")


@pytest.mark.parametrize("path", DEVICES.values(), ids=lambda path: path.parent.name)
def test_taken_over_and_rendered_the_same(path: Path, tmp_path: Path) -> None:
    found = plan_import([path], [], tmp_path, Options("a-type"))
    assert [f"{p.where}: {p.message}" for p in found.errors] == []
    write_files(found.files, tmp_path)
    configs = load_configs(tmp_path)
    assert configs.problems == []
    (device,) = configs.devices.values()
    data = load_yaml(path.read_text(encoding="utf-8"), str(path)).data
    names = ("hostname", "device_type", "devicetype")
    made = render(device, {})
    assert {k: v for k, v in made.items() if k not in names} == {
        k: v for k, v in data.items() if k not in names
    }
    assert made["device_type"] == (data["devicetype"] or "a-type")
