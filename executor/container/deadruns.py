# SPDX-License-Identifier: Apache-2.0
"""`lava-exec run` and `reproduce` whose process was killed: their jobs are ended in order, device off."""

from __future__ import annotations

import logging
from pathlib import Path

from executor.container.cache import Cache
from executor.container.engine import Engine
from executor.container.jobdir import JobDirectory
from executor.container.ladder import CancelSteps
from executor.container.session import Session
from executor.errors import InfrastructureError

log = logging.getLogger(__name__)


def end_dead_runs(
    engine: Engine, cache: Cache, state: Path, locks: Path, steps: CancelSteps | None = None
) -> int:
    """End the runs below `<state>/run` that nobody serves, and return their number.

    Blocks until they have ended. A run with a living process is left alone; what cannot be ended now stays
    for the next time.
    """
    root, ended = state / "run", 0
    for path in root.iterdir() if root.is_dir() else ():
        directory = JobDirectory(path)
        if directory.session() is None or not directory.own():
            continue
        session = Session(engine, cache, directory, locks, steps=steps)
        try:
            if session.adopt():
                log.warning("the run in %s has lost its process and is ended", path)
                session.cancel("the process that ran it has died")
                session.finish()
                ended += 1
        except InfrastructureError as error:
            log.warning("the run in %s cannot be ended: %s", path, error.message)
            directory.disown()
    return ended
