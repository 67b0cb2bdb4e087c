# SPDX-License-Identifier: Apache-2.0
"""What processes that died left on this host: containers without a job, and runs that nobody serves.

Only things with the labels of this very state directory are touched, never a job that a living process owns.
"""

from __future__ import annotations

import logging
import time

from executor.agent.host import Host
from executor.container.deadruns import end_dead_runs
from executor.container.engine import Container
from executor.container.jobdir import JobDirectory
from executor.container.launch import LABEL, LABEL_JOB, LABEL_STATE
from executor.model.deadline import Deadline

log = logging.getLogger(__name__)
PROBE_SECONDS = 120.0  # a probe that is older belongs to nobody
_SECONDS = 60.0


def sweep(host: Host) -> None:
    """Remove them. Raises InfrastructureError when the engine does not answer."""
    containers = host.engine.containers({LABEL: "", LABEL_STATE: str(host.state)}, Deadline.after(_SECONDS))
    end_dead_runs(host.engine, host.cache, host.state, host.locks, host.steps)
    alive = _jobs_alive(host)
    for container in containers:
        probe = container.labels.get(LABEL) == "probe" and time.time() - container.created > PROBE_SECONDS
        if probe or container.labels.get(LABEL_JOB, "") not in {"", *alive}:
            _remove(host, container)


def _remove(host: Host, container: Container) -> None:
    log.warning(
        "container %s of job %s belongs to nobody: removed",
        container.id[:12],
        container.labels.get(LABEL_JOB),
    )
    host.engine.remove(container.id, Deadline.after(_SECONDS))


def _jobs_alive(host: Host) -> set[str]:
    """Ids of jobs that have a session, served or not."""
    found = set()
    for root in (host.jobs, host.state / "run"):
        for path in root.iterdir() if root.is_dir() else ():
            record = JobDirectory(path).session()
            if record is not None:
                found.add(record.job_id)
    return found
