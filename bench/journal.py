# SPDX-License-Identifier: Apache-2.0
"""How fast the runner's journal takes console lines: records/s of `JournalWriter.lines`, in one file.

    python bench/journal.py [--lines 500000] [--width 100] [--batch 200]

Printed with and without secrets to mask, beside the reference of the same run: the same number of bytes
written without making records of them.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

from executor.model import journal
from executor.runner.journal import JournalWriter


def measure(path: Path, texts: list[str], batch: int, secrets: list[str]) -> float:
    """Seconds for all lines to be in the file. Checks the number of the last one."""
    writer = JournalWriter(path, secrets=secrets)
    began = time.perf_counter()
    for start in range(0, len(texts), batch):
        writer.lines(journal.TARGET, texts[start : start + batch])
    seconds = time.perf_counter() - began
    assert writer.next_seq == len(texts)
    writer.close()
    return seconds


def reference(path: Path, size: int, batch: int, lines: int) -> float:
    """Seconds to write the same number of bytes in as many pieces."""
    piece = b"x" * (size // lines * batch)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    began = time.perf_counter()
    for _ in range(lines // batch):
        os.write(fd, piece)
    seconds = time.perf_counter() - began
    os.close(fd)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=500_000)
    parser.add_argument("--width", type=int, default=100)
    parser.add_argument("--batch", type=int, default=200, help="lines that one read of the console brings")
    args = parser.parse_args()
    texts = [f"{number:0{args.width}d}" for number in range(args.lines)]
    secrets = [f"secret number {n}" for n in range(5)]
    with tempfile.TemporaryDirectory() as directory:
        plain = measure(Path(directory) / "plain", texts, args.batch, [])
        masked = measure(Path(directory) / "masked", texts, args.batch, secrets)
        size = (Path(directory) / "plain").stat().st_size
        bare = reference(Path(directory) / "bare", size, args.batch, args.lines)
    print(
        f"{args.lines} lines of {args.width} bytes into a journal of {size >> 20} MiB, {args.batch} at once"
    )
    for name, seconds in (("bytes alone", bare), ("records", plain), ("with 5 secrets to mask", masked)):
        print(f"  {name:24}{args.lines / seconds:12,.0f} records/s")


if __name__ == "__main__":
    main()
