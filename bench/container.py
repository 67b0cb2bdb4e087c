# SPDX-License-Identifier: Apache-2.0
"""A job's container alone: from its plan to its first instruction, from its last to nothing left."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from bench.farm import Broken, empty_container
from bench.figures import Row
from executor.container.cache import Cache
from executor.container.engine import connect
from executor.container.facts import collect
from executor.container.jobdir import JobDirectory
from executor.container.launch import plan_container
from executor.container.session import Launch, Session
from executor.container.store import Store
from executor.errors import LavaExecError
from executor.model.launch import Needs
from executor.model.worker import Worker

START, END = 0.3, 0.3  # seconds
_NEEDS = Needs(image="qemu", mounts=frozenset({"cache"}))
# The moments are taken by date, which starts at once; an interpreter would add its own time.
_COMMAND = ["sh", "-c", "date +%s.%N >/out/first; exec date +%s.%N >/out/last"]


def measure(quick: bool) -> list[Row]:
    """Start and end of a session, beside `docker run` of the same image."""
    starts, ends, references, prepared = [], [], [], []
    try:
        engine = connect()
        with tempfile.TemporaryDirectory(prefix="lava-exec-bench-") as root:
            state = Path(root)
            facts = collect(engine, state)
            cache = Cache(Store(state / "cache"))
            for number in range(3 if quick else 9):
                references.append(empty_container())
                directory = JobDirectory(state / "run" / str(number))
                session = Session(engine, cache, directory, state)
                begin = time.time()
                spec = plan_container(str(number), _NEEDS, {}, facts, state=root, command=_COMMAND)
                session.start(Launch("job_name: bench\n", {}, Worker(str(number))), spec)
                prepared.append(time.time() - begin)
                session.finish()
                over = time.time()
                starts.append(float((directory.out / "first").read_text()) - begin)
                ends.append(over - float((directory.out / "last").read_text()))
    except LavaExecError as error:
        raise Broken(f"{error.message} {error.hint}") from None
    return [
        Row(
            "container",
            "plan, create, start → first instruction",
            "s",
            starts,
            f"reference + {START}",
            statistics.median(references) + START,
            reference=references,
            reference_what="docker run … true",
            notes=[f"of it until the engine said that it runs: {statistics.median(prepared):.3f} s"],
        ),
        Row("container", "last instruction → container and scratch gone", "s", ends, f"{END}", END),
    ]
