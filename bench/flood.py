# SPDX-License-Identifier: Apache-2.0
"""A device that prints as fast as it can: through console, journal, agent and master to a following client.

Every line carries its number, so that a line that is missing, doubled or out of order is seen.
"""

from __future__ import annotations

import contextlib
import re
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.console import reference
from bench.farm import Broken, Events, Farm, Job, children, docker, moment
from bench.figures import Row
from executor.model import journal

WIDTH = 100
LINES, MANY = 200_000, 1_000_000
INTO_JOURNAL, AT_CLIENT, MEMORY = 100_000, 50_000, 80.0  # lines/s, lines/s, MB
_NUMBER = re.compile(rb"(\d{%d})\r?\n" % WIDTH)
_LOOK_EVERY = 0.05

_TYPE = """\
description: a device that prints numbered lines
commands:
  connect: sh -c "seq -f %0{width}.0f 1 {lines}; echo 'done> '; exec cat"
actions:
  deploy: {{methods: {{overlay: }}}}
  boot: {{methods: {{minimal: }}}}
constants: {{}}
parameters: {{}}
"""
_JOB = """\
job_name: {name}
device_type: {name}
visibility: public
priority: medium
timeouts:
  job: {{minutes: 5}}
  action: {{minutes: 4}}
  connection: {{minutes: 4}}
actions:
- boot:
    method: minimal
    reset: false
    prompts: ['done> ']
    parameters: {{kernel-start-message: ''}}
"""


@dataclass
class Flood:
    """What one run gave. Rates in lines per second, memory in MB."""

    into_journal: float
    at_client: float
    memory: float


class RunnerMemory:
    """The peak of the runner's own memory, read from outside until it ends."""

    def __init__(self) -> None:
        self.peak = 0.0  # MB
        self._over = threading.Event()

    @contextlib.contextmanager
    def look(self, events: Events) -> Iterator[None]:
        """Around the life of a job."""
        thread = threading.Thread(target=self._watch, args=(events,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join(5)

    def _watch(self, events: Events) -> None:
        container = events.next_container("start", 60)
        if not container:
            return
        init = int(docker("inspect", "--format", "{{.State.Pid}}", container))
        runner = 0  # the only child of the container's init
        while not self._over.wait(_LOOK_EVERY):
            runner = runner or next(iter(children(init)), 0)
            with contextlib.suppress(OSError):
                status = Path(f"/proc/{runner}/status").read_text()
                found = re.search(r"VmHWM:\s+(\d+) kB", status)
                self.peak = max(self.peak, int(found[1]) * 1024 / 1e6 if found else 0.0)


def run(farm: Farm, name: str, lines: int) -> Flood:
    """One flood, checked. Raises Broken for a line that is not where it should be."""
    with tempfile.TemporaryDirectory() as folder:
        job = Path(folder) / "flood.yaml"
        job.write_text(_JOB.format(name=name))
        memory = RunnerMemory()
        done = farm.submit(job, "--follow", look=memory.look)
    first, last = in_journal(done, lines)
    arrived = at_client(done, lines)
    return Flood(lines / (last - first), lines / (arrived - first), memory.peak)


def in_journal(job: Job, lines: int) -> tuple[float, float]:
    """When the first and the last of the lines were written into the journal."""
    first = last = 0.0
    count = 0
    for seq, record in enumerate(job.records()):
        if record.seq != seq:
            raise Broken(f"record {seq} of the journal has the number {record.seq}")
        if record.lvl != journal.TARGET or not str(record.msg).isdigit():
            continue
        count += 1
        if record.msg != f"{count:0{WIDTH}d}":
            raise Broken(f"line {count} is {record.msg!r} in the journal")
        first = first or moment(record)
        if count == lines:
            last = moment(record)
    if count != lines:
        raise Broken(f"{count} of {lines} lines are in the journal")
    return first, last


def at_client(job: Job, lines: int) -> float:
    """When the last of the lines came out of the client."""
    count, rest = 0, b""
    at = 0.0
    for moment_, data in job.chunks:
        text = rest + data
        end = 0
        for found in _NUMBER.finditer(text):
            count += 1
            if int(found[1]) != count:
                raise Broken(f"line {count} is number {int(found[1])} at the client")
            end, at = found.end(), moment_
        rest = text[max(end, len(text) - 2 * WIDTH) :]
    if count != lines:
        raise Broken(f"{count} of {lines} lines came to the client")
    return at


def measure(quick: bool) -> list[Row]:
    """Row 5 of the table."""
    runs = 1 if quick else 3
    types = {
        f"flood{lines}": _TYPE.format(width=WIDTH, lines=lines)
        for lines in ([LINES] if quick else [LINES, MANY])
    }
    with Farm(types) as farm:
        run(farm, f"flood{LINES}", LINES)
        bare = [LINES / reference(LINES, WIDTH) for _ in range(runs)]
        few = [run(farm, f"flood{LINES}", LINES) for _ in range(runs)]
        many = [] if quick else [run(farm, f"flood{MANY}", MANY)]
    found = [(LINES, few), (MANY, many)]
    rows = []
    for lines, floods in found:
        if not floods:
            continue
        what = f"{lines:,} console lines"
        rows += [
            Row(
                "flood",
                f"{what} into the journal",
                "lines/s",
                [f.into_journal for f in floods],
                f"{INTO_JOURNAL:,} lines/s",
                INTO_JOURNAL,
                at_least=True,
                reference=bare,
                reference_what="pty alone",
            ),
            Row(
                "flood",
                f"{what} at the client",
                "lines/s",
                [f.at_client for f in floods],
                f"{AT_CLIENT:,} lines/s",
                AT_CLIENT,
                at_least=True,
                notes=["none missing, order kept"],
            ),
        ]
        if all(f.memory for f in floods):  # an engine on another machine does not let us look
            memory = [f.memory for f in floods]
            rows.append(Row("flood", f"{what}, peak of the runner", "MB", memory, f"{MEMORY:.0f} MB", MEMORY))
    return rows
