# SPDX-License-Identifier: Apache-2.0
"""Which job directories go when they are too old or too many: a pure decision, and the removal itself."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from executor.master.settings import Retention

DAY = 86_400.0


@dataclass(frozen=True)
class KeptJob:
    """A finished job whose directory still exists. Times in seconds since the epoch, `size` in bytes."""

    id: int
    ended: float
    size: int
    failed: bool


def choose(jobs: Sequence[KeptJob], policy: Retention, now: float) -> list[int]:
    """The jobs whose directories are to go, oldest first.

    Older than `days` goes. While the rest is larger than `gigabytes`, the oldest goes, but a failed job
    younger than `failed_days` only when there is nothing else left to take.
    """
    ordered = sorted(jobs, key=lambda job: (job.ended, job.id))
    gone = [job for job in ordered if policy.days and now - job.ended > policy.days * DAY]
    rest = ordered[len(gone) :]
    limit = int(policy.gigabytes * 1e9)
    total = sum(job.size for job in rest)
    if limit and total > limit:
        pinned = {job.id for job in rest if job.failed and now - job.ended <= policy.failed_days * DAY}
        for job in sorted(rest, key=lambda job: (job.id in pinned, job.ended, job.id)):
            if total <= limit:
                break
            gone.append(job)
            total -= job.size
    return [job.id for job in gone]


def remove(directory: Path) -> bool:
    """Remove a job's directory; False when something of it could not be removed."""
    shutil.rmtree(directory, ignore_errors=True)
    return not directory.exists()
