# SPDX-License-Identifier: Apache-2.0
"""A busybox ramdisk job from `lava-exec submit` to nothing left; QEMU and Docker alone for comparison.

References and jobs take turns, so that a loaded machine slows both.
"""

from __future__ import annotations

import shlex
import statistics
from dataclasses import dataclass
from pathlib import Path

from bench.farm import ASSETS, IMAGE, LABEL, ROOT, Broken, Farm, Job, docker, empty_container, moment
from bench.figures import Row, spread
from executor.model import journal

JOB = ROOT / "examples" / "ramdisk-busybox.yaml"
PROMPT = "/ # "  # what the job waits for
GUEST = {"-kernel": "vmlinuz", "-initrd": "initramfs.cpio.gz"}
START, END, WHOLE = 0.5, 0.5, 1.5  # seconds beyond the reference


@dataclass
class Times:
    """Moments of one job, seconds since the epoch."""

    job: Job
    first_record: float
    first_action: float
    qemu: float  # it was started
    first_signal: float
    last_signal: float
    end: float
    command: list[str]

    @property
    def phases(self) -> dict[str, float]:
        """Where the time goes, in seconds and in order."""
        job = self.job
        marks = [
            ("the client starts, the master checks the job", job.started),
            ("the job is planned again and its container made", job.answered),
            ("the engine starts it", job.engine["create"]),
            ("the runner starts", job.engine["start"]),
            ("the runner plans and validates", self.first_record),
            ("before QEMU", self.first_action),
            ("the guest boots, the tests are started", self.qemu),
            ("the tests", self.first_signal),
            ("back to the prompt, finalize", self.last_signal),
            ("the runner ends", self.end),
            ("the engine removes the container", job.engine["die"]),
            ("the client hears of it and shows the results", job.engine["destroy"]),
            ("", job.returned),
        ]
        return {name: after - before for (name, before), (_, after) in zip(marks, marks[1:], strict=False)}


def times(job: Job) -> Times:
    """Read the journal of a job."""
    first = action = qemu = end = 0.0
    signals: list[float] = []
    command: list[str] = []
    for record in job.records():
        at = end = moment(record)
        first = first or at
        if record.lvl == journal.ACTION:
            action = action or at
        elif record.lvl == journal.TARGET and "<LAVA_SIGNAL_" in str(record.msg):
            signals.append(at)
        elif record.lvl == journal.INFO and str(record.msg).startswith("command: qemu"):
            qemu, command = at, shlex.split(str(record.msg).removeprefix("command: "))
    if not signals or not command:
        raise Broken(f"job {job.id} did not run a test in QEMU")
    return Times(job, first, action, qemu, signals[0], signals[-1], end, command)


def qemu_alone(command: list[str]) -> float:
    """Seconds to the prompt of QEMU alone, in a container of the same image, with the job's own arguments."""
    words = list(command)
    for option, name in GUEST.items():
        words[words.index(option) + 1] = f"/assets/{name}"
    program = Path(__file__).with_name("qemu_alone.py")
    binds = ["--volume", f"{ASSETS / 'amd64'}:/assets:ro", "--volume", f"{program}:/qemu_alone.py:ro"]
    run = ["run", "--rm", "--init", "--label", LABEL, *binds, IMAGE]
    return float(docker(*run, "python", "/qemu_alone.py", PROMPT, *words))


def measure(quick: bool) -> list[Row]:
    """Rows 1 to 3 of the table."""
    runs = 3 if quick else 7
    with Farm() as farm:
        cold = times(farm.submit(JOB, "--wait"))
        done, starts, alone = [], [], []
        for _ in range(runs):
            starts.append(empty_container())
            alone.append(qemu_alone(cold.command))
            done.append(times(farm.submit(JOB, "--wait")))
    from_process = [t.first_action - t.job.started for t in done]
    from_answer = [t.first_action - t.job.answered for t in done]
    run, bare = "docker run … true", "QEMU alone + the tests"
    start = statistics.median(starts) + START
    tests = [t.last_signal - t.first_signal for t in done]
    floor = [q + t for q, t in zip(alone, tests, strict=True)]
    whole = [t.job.returned - t.job.started for t in done]
    return [
        Row(
            "job",
            "submit → first action in the container",
            "s",
            from_process,
            f"reference + {START}",
            start,
            reference=starts,
            reference_what=run,
            notes=[
                f"the same from the master's answer: {spread(from_answer, 's')}",
                f"the first job after a start: {cold.first_action - cold.job.started:.3f} s",
            ],
        ),
        Row(
            "job",
            "last signal → finished at the client",
            "s",
            [t.job.returned - t.last_signal for t in done],
            f"{END} s",
            END,
        ),
        Row(
            "job",
            "last signal → container gone",
            "s",
            [t.job.engine["destroy"] - t.last_signal for t in done],
            f"{END} s",
            END,
        ),
        Row(
            "job",
            "busybox job as a whole",
            "s",
            whole,
            f"reference + {WHOLE}",
            statistics.median(floor) + WHOLE,
            reference=floor,
            reference_what=bare,
            notes=[f"{spread([t.phases[name] for t in done], 's'):>24}  {name}" for name in done[0].phases],
        ),
    ]
