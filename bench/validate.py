# SPDX-License-Identifier: Apache-2.0
"""`lava-exec validate` as a process: an example beside an interpreter that imports what a typical tool
imports, and a job that is longer than those of the field.
"""

from __future__ import annotations

import copy
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from bench.farm import PROGRAM, ROOT, took
from bench.figures import Row
from executor.master.configs import load_configs
from executor.master.render import render

JOB = ROOT / "examples" / "qemu-debian.yaml"
TIMES = 2.0
BLOCKS = 8  # pairs of boot and test in the long job, each with DEFINITIONS
DEFINITIONS = 3
LONG_LIMIT = 0.5  # seconds


def measure(quick: bool) -> list[Row]:
    """Rows 4 of the table, for the example and for the long job."""
    runs = 5 if quick else 15
    device = load_configs(ROOT / "device-configs").devices["qemu-01"]
    ours: list[float] = []
    reference: list[float] = []
    longest: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "device.yaml"
        file.write_text(yaml.safe_dump(render(device, {"arch": "amd64"})))
        words = [str(PROGRAM), "validate", str(JOB), "--device", str(file), "--offline"]
        long = Path(folder) / "long.yaml"
        long.write_text(yaml.safe_dump(long_job(), sort_keys=False))
        lines = len(long.read_text().splitlines())
        for turn in range(runs + 1):
            seconds = took([sys.executable, "-c", "import requests"]), took(words)
            longer = took([*words[:2], str(long), *words[3:]])
            if turn:  # the first one reads from the disk
                reference.append(seconds[0])
                ours.append(seconds[1])
                longest.append(longer)
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
        ),
        Row("validate", f"lava-exec validate, {lines} lines", "s", longest, f"{LONG_LIMIT} s", LONG_LIMIT),
    ]


def long_job() -> dict[str, Any]:
    """The example with its boot and test again and again, and more definitions in each test."""
    job: dict[str, Any] = yaml.load(JOB.read_text(), yaml.CSafeLoader)  # noqa: S506  # a safe loader
    deploy, boot, test = job["actions"]
    again = []
    for number in range(BLOCKS):
        definitions = [
            {**test["test"]["definitions"][0], "name": f"smoke-{number}-{n}"} for n in range(DEFINITIONS)
        ]
        again += [copy.deepcopy(boot), copy.deepcopy({"test": {**test["test"], "definitions": definitions}})]
    return {**job, "actions": [deploy, *again]}
