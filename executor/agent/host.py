# SPDX-License-Identifier: Apache-2.0
"""What all jobs of an agent share: engine, cache, link, facts of the host, and how long things stay."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from executor.agent.planning import Planner, plan_job
from executor.agent.record import DONE, known_jobs
from executor.agent.shipping import Caller
from executor.container import facts as host_facts
from executor.container.beneath import disk_usage
from executor.container.cache import Cache
from executor.container.engine import Engine
from executor.container.ladder import CancelSteps
from executor.container.launch import Bounds
from executor.model.launch import HostFacts

KEEP_DAYS = 14.0  # directories of jobs that the master has everything of
KEEP_BYTES = 20 << 30


@dataclass
class Host:
    """`changed` is called when the state of a job changes, so that the master hears of it."""

    engine: Engine
    cache: Cache
    link: Caller
    state: Path
    locks: Path
    facts: HostFacts
    plan: Planner = plan_job
    bounds: Bounds = field(default_factory=Bounds)
    steps: CancelSteps = field(default_factory=CancelSteps)
    runner: list[str] | None = None  # another program in the container than the runner, for tests
    changed: Callable[[], None] = lambda: None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def jobs(self) -> Path:
        """Where the directories of this agent's jobs are."""
        return self.state / "agent" / "jobs"

    def facts_now(self) -> HostFacts:
        """The facts, with the images as they are at this moment."""
        images = host_facts.image_digests(self.engine, host_facts.job_images(self.facts.image_tag))
        with self._lock:
            self.facts = msgspec.structs.replace(self.facts, images=images)
            return self.facts

    def disk_free(self) -> int:
        """Bytes where jobs are kept."""
        seen = os.statvfs(self.state)
        return seen.f_bavail * seen.f_frsize

    def prune(self, days: float = KEEP_DAYS, most: int = KEEP_BYTES) -> None:
        """Remove directories of finished jobs: the old ones, and the oldest when all take too much."""
        now, total = time.time(), 0
        for directory, record in reversed(known_jobs(self.jobs)):
            if record.state != DONE:
                continue
            total += disk_usage(directory.path)
            try:
                age = now - (directory.path / "agent.json").stat().st_mtime
            except OSError:
                continue
            if age > days * 86400 or total > most:
                shutil.rmtree(directory.path, ignore_errors=True)
