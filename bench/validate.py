# SPDX-License-Identifier: Apache-2.0
"""`lava-exec validate` as a process, beside an interpreter that imports what a typical tool imports."""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

import yaml

from bench.farm import PROGRAM, ROOT, took
from bench.figures import Row
from executor.master.configs import load_configs
from executor.master.render import render

JOB = ROOT / "examples" / "qemu-debian.yaml"
TIMES = 2.0


def measure(quick: bool) -> list[Row]:
    """Row 4 of the table."""
    runs = 5 if quick else 15
    device = load_configs(ROOT / "device-configs").devices["qemu-01"]
    ours: list[float] = []
    reference: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "device.yaml"
        file.write_text(yaml.safe_dump(render(device, {"arch": "amd64"})))
        words = [str(PROGRAM), "validate", str(JOB), "--device", str(file), "--offline"]
        for turn in range(runs + 1):
            seconds = took([sys.executable, "-c", "import requests"]), took(words)
            if turn:  # the first one reads from the disk
                reference.append(seconds[0])
                ours.append(seconds[1])
    return [
        Row(
            "validate",
            "lava-exec validate --offline",
            "s",
            ours,
            "2 × reference",
            TIMES * statistics.median(reference),
            reference=reference,
            reference_what="import requests",
        )
    ]
