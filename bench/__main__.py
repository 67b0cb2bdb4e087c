# SPDX-License-Identifier: Apache-2.0
"""`python -m bench`: run the benchmarks, print their table. Exit code 0 unless one of them broke."""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from bench.farm import Broken
from bench.figures import Row, notes, table

# In the order in which they run; each module has `measure(quick) -> list[Row]`. MORE run when they are named.
TOPICS = {
    "job": "a busybox job: to its first action, after its last signal, as a whole",
    "validate": "lava-exec validate",
    "overlay": "the overlay into images and ramdisks",
    "decompress": "an image of 1 GiB decompressed, and the overlay into it",
    "flood": "console lines from a device to a following client",
    "idle": "memory of a master and an agent that have nothing to do",
}
MORE = {"container": "a job's container alone"}
ALL = TOPICS | MORE


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", action="append", choices=ALL, metavar="NAME", help=", ".join(ALL))
    parser.add_argument("--quick", action="store_true", help="fewer runs, less waiting")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures into FILE")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # what was started is ended
    os.environ["PATH"] += ":/usr/sbin:/sbin"  # mke2fs is there, also for users who do not look there
    rows: list[Row] = []
    broken = False
    before = os.getloadavg()
    for name in args.only or TOPICS:
        print(f"bench: {name}: {ALL[name]}", file=sys.stderr, flush=True)
        measure: Callable[[bool], list[Row]] = import_module(f"bench.{name}").measure
        try:
            rows += measure(args.quick)
        except (Broken, OSError, subprocess.SubprocessError) as error:
            print(f"bench: {name} broke: {error}", file=sys.stderr)
            broken = True
    if rows:
        print(table(rows))
        print()
        print(notes(rows))
    cpus = os.cpu_count() or 0
    print(
        f"\n{cpus} CPUs, load {before[0]:.1f} before and {os.getloadavg()[0]:.1f} after, {platform.release()}"
    )
    if args.json is not None:
        data = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "cpus": cpus,
            "load": before,
            "python": platform.python_version(),
            "rows": [row.as_data() for row in rows],
        }
        args.json.write_text(json.dumps(data, indent=1) + "\n")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
