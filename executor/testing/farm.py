# SPDX-License-Identifier: Apache-2.0
"""A master in a thread and an agent without containers, over real sockets: for tests of anything that talks
to them.

>>> with LocalMaster(state) as master, StandInAgent(master) as agent:            # doctest: +SKIP
...     with master.client() as channel:
...         channel.call(messages.Submit(text=JOB), messages.Submitted, Deadline.after(5))
...     job = agent.next_job()
...     agent.run(job, journal_bytes)
"""

from __future__ import annotations

import threading
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from executor.errors import InfrastructureError
from executor.master.service import Master
from executor.master.settings import Settings
from executor.master.submission import Answer, Check, Question, Summary
from executor.model.deadline import Deadline
from executor.model.journal import End
from executor.model.problem import Problem
from executor.schema.loader import load_yaml
from executor.wire import messages
from executor.wire.channel import Channel
from executor.wire.keys import Credentials, credentials
from executor.wire.link import Link, LinkEvent
from executor.wire.messages import AgentJob, StartJob

SECONDS = 20.0  # safety net of every wait
QEMU_TYPE = """\
variables: {arch: amd64}
actions: {deploy: {methods: {image: }}, boot: {methods: {qemu: {parameters: {command: 'qemu-${arch}'}}}}}
"""


def summary_check(question: Question) -> Answer:
    """A Check that only reads the head of a job; `refuse: TEXT` in it makes it a bad job."""
    document = load_yaml(question.text, question.filename)
    data: Any = document.data
    if not isinstance(data, dict):
        return Answer(document.problems or [Problem("no map", file=question.filename)])
    if "refuse" in data:
        problem = document.locate(Problem(str(data["refuse"]), path=("refuse",)))
        return Answer([problem], Summary(device_type=str(data.get("device_type", ""))))
    known = {key: value for key, value in data.items() if key in Summary.__struct_fields__}
    known["name"] = data.get("job_name", "")
    return Answer([], msgspec.convert(known, Summary))


def write_configs(directory: Path, *devices: str, **files: str) -> Path:
    """device-configs with the type `qemu` and the named devices of it; `files` replaces a device's text."""
    for folder in ("types", "devices"):
        (directory / folder).mkdir(parents=True, exist_ok=True)
    (directory / "types" / "qemu.yaml").write_text(QEMU_TYPE)
    for name in devices:
        (directory / "devices" / f"{name}.yaml").write_text("extends: qemu\n")
    for name, text in files.items():
        (directory / "devices" / f"{name}.yaml").write_text(text)
    return directory


class LocalMaster:
    """A master in a thread of this process. `restart` ends it as a kill would, as far as files can tell."""

    def __init__(
        self,
        state: Path,
        *,
        settings: Settings | None = None,
        configs: Path | None = None,
        check: Check = summary_check,
    ) -> None:
        self.state = state
        self.settings = settings or Settings(heartbeat=0.2)
        self.configs = configs or write_configs(state / "device-configs", "qemu-01", "qemu-02")
        self._check = check
        self._bind = "tcp://127.0.0.1:*"
        self._thread: threading.Thread | None = None
        self.master: Master | None = None

    @property
    def address(self) -> str:
        """Where it listens; stays the same over a restart."""
        if self.master is None:
            raise InfrastructureError("the master has not been started")
        return self.master.address

    def start(self) -> None:
        self.master = Master(self.state, self.settings, self.configs, self._check, self._bind)
        self._bind = self.master.address
        self._thread = threading.Thread(target=self.master.run, name="master", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        if self.master is not None and self._thread is not None:
            self.master.stop()
            self._thread.join(SECONDS)
            self._thread = None

    def restart(self) -> None:
        self.stop()
        self.start()

    def credentials(self, role: str = "client") -> Credentials:
        return credentials(self.state / "keys", role)

    def client(self, who: Credentials | None = None) -> Channel:
        """A connection of the local admin, or of somebody else."""
        return Channel(self.address, who or self.credentials())

    def __enter__(self) -> LocalMaster:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class StandInAgent:
    """Speaks as an agent does and holds jobs, but runs nothing. `restart` keeps the jobs that it holds."""

    def __init__(self, master: LocalMaster, who: Credentials | None = None) -> None:
        self._master = master
        self._who = who or master.credentials("agent")
        self.jobs: dict[str, AgentJob] = {}
        self.instance = ""
        self.link = self._new_link()

    def _new_link(self) -> Link:
        return Link(
            self._master.address,
            self._who,
            hello=lambda: messages.Hello(jobs=list(self.jobs.values()), instance=self.instance),
            heartbeat=lambda: messages.Heartbeat(jobs=list(self.jobs.values())),
            backoff=(0.05, 0.2),
        )

    def start(self) -> None:
        self.link.start()

    def restart(self) -> None:
        """As after kill -9: no goodbye, a new connection, the same jobs."""
        self.link.close(goodbye=False)
        self.link = self._new_link()
        self.link.start()

    def next(self, kind: type[Any], seconds: float = SECONDS) -> Any:
        """The next event of a kind; others are passed over. Raises queue.Empty."""
        deadline = Deadline.after(seconds)
        while True:
            event: LinkEvent = self.link.events.get(timeout=deadline.remaining)
            if isinstance(event, kind):
                return event

    def next_job(self) -> StartJob:
        """Wait for a job that this agent does not hold, and accept it."""
        deadline = Deadline.after(SECONDS)
        while True:
            event = self.link.events.get(timeout=deadline.remaining)
            starts = [event.job] if isinstance(event, messages.Start) else []
            starts += event.start if isinstance(event, messages.Orders) else []
            for job in starts:
                if job.id not in self.jobs:
                    self.say(job.id, "accepted", job.unique)
                    return job

    def say(self, job: str, state: str, unique: str = "") -> None:
        """Change a job's state and tell the master."""
        held = self.jobs.get(job)
        self.jobs[job] = AgentJob(job, unique or (held.unique if held else ""), state)
        self.call(messages.JobUpdate(self.jobs[job]), messages.Done)

    def ship(self, job: str, data: bytes, offset: int = 0) -> int:
        """One block of journal; returns the acknowledged offset."""
        return int(self.call(messages.JournalBlock(job, offset, data), messages.JournalAck).next)

    def finish(self, job: str, size: int, end: End | None = None) -> None:
        """The job is over."""
        self.call(messages.Finished(job, size, end or End("Complete", 0)), messages.Done)
        self.jobs.pop(job, None)

    def run(self, job: StartJob, data: bytes, end: End | None = None) -> None:
        """The whole life of an accepted job whose journal is `data`."""
        self.say(job.id, "running")
        self.ship(job.id, data)
        self.finish(job.id, len(data), end)

    def call(self, body: messages.Body, expect: type[Any]) -> Any:
        return self.link.call(body, expect, Deadline.after(SECONDS))

    def __enter__(self) -> StandInAgent:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.link.close(goodbye=error is None)
