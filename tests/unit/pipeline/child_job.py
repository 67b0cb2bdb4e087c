# SPDX-License-Identifier: Apache-2.0
"""A process that runs a tiny plan and tells on stdout what it does; the test sends it signals.

    python child_job.py DIRECTORY BEHAVIOUR...

BEHAVIOUR: `run=wait` waits for ever in the first action, `run=fail` fails in it, `run=swallow` swallows the
cancel; `cleanup=wait` and `finalize=wait` wait there; `cleanup=ask` goes on when a line comes on stdin;
`throw` has a thread throw an error into the waiting action; `attempts=2` is how often the whole is tried.
"""

import sys
import threading
from pathlib import Path

from executor.errors import InfrastructureError, JobCanceled, JobError
from executor.model.deadline import Deadline
from executor.model.device import Device
from executor.model.doorbell import Fetch, Fetched
from executor.model.job import Job
from executor.model.worker import Worker
from executor.pipeline.action import Action
from executor.pipeline.context import JobContext
from executor.pipeline.engine import Engine
from executor.pipeline.interrupt import Interrupts
from executor.pipeline.planner import Plan
from executor.pipeline.run import Run
from executor.runner.journal import JournalBroken, JournalWriter

BEHAVIOUR = dict(word.split("=") for word in sys.argv[2:] if "=" in word)


def tell(text: str) -> None:
    print(text, flush=True)


def wait() -> None:
    threading.Event().wait(60)
    tell("waited in vain")


class First(Action):
    name = "first"

    def run(self, run: Run) -> None:
        tell(f"run {run.attempt}")
        if BEHAVIOUR["run"] == "fail":
            raise JobError("no kernel")
        if "throw" in sys.argv:
            error = JournalBroken("disk full")
            threading.Thread(target=run.context.interrupts.throw, args=[error]).start()
        try:
            wait()
        except JobCanceled:
            if BEHAVIOUR["run"] != "swallow":
                raise

    def cleanup(self, run: Run) -> None:
        tell("cleanup first")
        if BEHAVIOUR.get("cleanup") == "wait":
            wait()
        elif BEHAVIOUR.get("cleanup") == "ask":
            sys.stdin.readline()
            tell("cleaned")


class Second(Action):
    name = "second"

    def run(self, run: Run) -> None:
        tell("run second")

    def cleanup(self, run: Run) -> None:
        tell("cleanup second")


class Top(Action):
    name = "top"


class Finalize(Action):
    name = "finalize"

    def run(self, run: Run) -> None:
        tell("finalize")
        if BEHAVIOUR.get("finalize") == "wait":
            wait()


class NoAgent:
    def fetch(self, what: Fetch, deadline: Deadline, progress: object) -> Fetched:
        raise InfrastructureError("no agent")


def main() -> None:
    directory = Path(sys.argv[1])
    interrupts = Interrupts()
    writer = JournalWriter(directory / "journal.ndjson", hold=interrupts.hold)
    top, first, second, end = Top(), First(), Second(), Finalize()
    top.children = (first, second)
    for action, level in ((top, "1"), (first, "1.1"), (second, "1.2"), (end, "2")):
        action.level, action.section, action.limit = level, "boot", 60
    end.section = "finalize"
    top.max_attempts, top.retry_interval = int(BEHAVIOUR.get("attempts", 2)), 0
    context = JobContext(
        Job(job_name="t"),
        Device(),
        Worker("1"),
        writer,
        NoAgent(),
        interrupts,
        Deadline.after(60),
        directory,
        directory,
    )
    interrupts.install()
    outcome = Engine(Plan(context.job, context.device, [top, end]), context).run()
    interrupts.restore()
    writer.close()
    tell(f"outcome {type(outcome.error).__name__}: {outcome.error}")


main()
