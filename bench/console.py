# SPDX-License-Identifier: Apache-2.0
"""How fast a console takes in what a device prints: a program on a pty → Console → lines in a file.

    python bench/console.py [--lines 200000] [--width 100]

The watcher is on and a listener reads along, as while a test runs. Printed beside the reference of the same
run: the same program read from its pty by a loop that does nothing else.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from executor.console.ports import READ_SIZE, ProcessPort
from executor.console.reader import Console
from executor.console.watcher import Mode
from executor.model import journal
from executor.model.deadline import Deadline

LIMIT = 120.0  # seconds


class FileSink:
    """The least that a journal does: number, time, JSON, one write a batch."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self.count = 0

    def lines(self, level: str, texts: Sequence[str], namespace: str = "") -> int:
        now = datetime.now(UTC).isoformat(timespec="microseconds")
        first = self.count
        records = [journal.Record(first + i, now, level, text, namespace) for i, text in enumerate(texts)]
        os.write(self._fd, journal.encode(records))
        self.count += len(records)
        return first

    def record(self, level: str, msg: Any, namespace: str = "") -> int:
        return self.lines(level, [str(msg)], namespace)


class Signals:
    """A listener like the parser of test signals: looks for a word, ends at another."""

    def __init__(self) -> None:
        self.signals = 0
        self._signal = re.compile(r"<LAVA_SIGNAL_(\S+) ([^>]*)>")
        self._rest = ""

    def feed(self, text: str) -> bool:
        text = self._rest + text
        cut = text.rfind("\n") + 1
        self._rest = text[cut:]
        if "<LAVA_" in text:
            self.signals += len(self._signal.findall(text, 0, cut))
            return "<LAVA_TEST_RUNNER EXIT>" in text[:cut]
        return False


def program(lines: int, width: int) -> list[str]:
    """Numbered lines, then the end of a test."""
    numbers = f"seq -f '%0{width}.0f' 1 {lines}"
    return ["sh", "-c", f"{numbers}; echo '<LAVA_TEST_RUNNER EXIT>'; sleep 60"]


def measure(lines: int, width: int, directory: Path) -> tuple[float, float]:
    """(seconds, CPU seconds of this process) for all lines to be in the file. Checks that none is missing."""
    path = directory / "journal.ndjson"
    sink = FileSink(path)
    console = Console(ProcessPort(program(lines, width)), sink, recording=directory / "console.raw")
    console.watch(Mode.TEST)
    began, cpu = time.perf_counter(), time.process_time()
    console.start()
    if not console.listen(Signals(), Deadline.after(LIMIT)):
        raise SystemExit("the lines did not come in time")
    seconds, used = time.perf_counter() - began, time.process_time() - cpu
    console.close(Deadline.after(5))
    with path.open("rb") as file:
        for number in range(1, lines + 1):
            text = journal.decode(file.readline()).msg
            assert text == f"{number:0{width}d}", f"line {number} is {text!r}"
    return seconds, used


def reference(lines: int, width: int) -> float:
    """Seconds to read the same from a pty and throw it away."""
    port = ProcessPort(program(lines, width))
    began, size = time.perf_counter(), 0
    deadline = Deadline.after(LIMIT)
    while size < lines * (width + 2) and not deadline.expired:
        size += len(port.read(READ_SIZE, 1.0) or b"")
    seconds = time.perf_counter() - began
    port.close(Deadline.after(5))
    port.release()
    return seconds


def peak() -> float:
    """Largest resident size of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=200_000)
    parser.add_argument("--width", type=int, default=100)
    parser.add_argument(
        "--directory", type=Path, help="where the journal goes (default: a temporary directory)"
    )
    args = parser.parse_args()
    bare = reference(args.lines, args.width)
    before = peak()
    with tempfile.TemporaryDirectory(dir=args.directory) as directory:
        seconds, used = measure(args.lines, args.width, Path(directory))
        memory = peak()
    print(f"{args.lines} console lines of {args.width} bytes, watcher and listener on")
    print(f"  {'pty alone':24}{args.lines / bare:12,.0f} lines/s")
    print(f"  {'pty to journal':24}{args.lines / seconds:12,.0f} lines/s   (aim: 100,000)")
    print(f"  {'CPU of this process':24}{used / args.lines * 1e6:12.2f} µs/line")
    print(f"  {'peak memory':24}{memory:12.1f} MB        (aim: 80; {before:.1f} before)")


if __name__ == "__main__":
    main()
