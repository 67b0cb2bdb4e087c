# SPDX-License-Identifier: Apache-2.0
"""Memory of a master and an agent that have nothing to do, after their start and after they had a job."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

from bench.farm import Broken, Farm
from bench.figures import Row
from bench.job import JOB

AIM = 120.0  # MB


def pss(pid: int) -> float:
    """Proportional memory of a process in MB."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError as error:
        raise Broken(f"memory of process {pid} cannot be read: {error.strerror}") from None
    found = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) * 1024 / 1e6 if found else 0.0


def interpreters() -> float:
    """Two interpreters that have imported nothing."""
    words = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"]
    running = [subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(2)]
    try:
        for process in running:
            assert process.stdout is not None
            process.stdout.readline()
        return sum(pss(process.pid) for process in running)
    finally:
        for process in running:
            process.communicate()


def measure(quick: bool) -> list[Row]:
    """Row 7 of the table."""
    wait = 5 if quick else 60
    rows: list[Row] = []
    with Farm() as farm:
        for state in ("idle since their start", "idle after a job"):
            if state.endswith("job"):
                farm.submit(JOB, "--wait")
            time.sleep(wait)
            found = {name: pss(pid) for name, pid in farm.processes.items()}
            rows.append(
                Row(
                    "idle",
                    f"master and agent {state}, PSS",
                    "MB",
                    [found["master"] + found["agent"]],
                    f"{AIM:.0f} MB",
                    AIM,
                    at_least=False,
                    reference=[] if rows else [interpreters()],
                    reference_what="two bare interpreters",
                    notes=[f"after {wait} s: " + ", ".join(f"{n} {mb:.0f} MB" for n, mb in found.items())],
                )
            )
    return rows
