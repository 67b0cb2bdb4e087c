# SPDX-License-Identifier: Apache-2.0
"""What tests of actions and methods need around them: a job's context, an agent with files in its hands, an
action in its place.

    scene = Scene(tmp_path)
    scene.agent.files["http://host/Image"] = b"kernel"
    run = scene.run(HttpDownload("kernel", Resource(url="http://host/Image"), "http://host/Image"))
    scene.namespace.artifacts["kernel"].path.read_bytes()
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import yaml

from executor.errors import InfrastructureError, JobError, LavaExecError
from executor.model.deadline import Clock, Deadline
from executor.model.device import Device
from executor.model.doorbell import Fetch, Fetched
from executor.model.job import Block, Job
from executor.model.worker import Worker
from executor.pipeline.action import Action
from executor.pipeline.context import Artifact, JobContext, Namespace
from executor.pipeline.interrupt import Interrupts
from executor.pipeline.planner import Plan, plan
from executor.pipeline.run import Run
from executor.schema.device import parse_device
from executor.schema.job import parse_job
from executor.testing.clock import FakeClock
from executor.testing.journal import MemoryJournal

JOB_SECONDS = 3600.0


class FilesAgent:
    """Answers `fetch` from `files` (URL → content as it is after decompression); `asked` is all it was asked.

    What stands in `failures` is raised first, one error a request.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.files: dict[str, bytes] = {}
        self.failures: list[LavaExecError] = []
        self.asked: list[Fetch] = []

    def fetch(self, what: Fetch, deadline: Deadline, progress: Callable[[str, int, int], None]) -> Fetched:
        self.asked.append(what)
        if self.failures:
            raise self.failures.pop(0)
        if what.url not in self.files:
            raise InfrastructureError(f"{what.url} answers with status 404")
        content = self.files[what.url]
        digest = hashlib.sha256(content).hexdigest()
        if what.sha256sum and what.sha256sum != digest:
            raise JobError(f"the sha256 checksum of {what.url} is {digest}")
        self._directory.mkdir(parents=True, exist_ok=True)
        path = self._directory / digest
        path.write_bytes(content)
        progress("download", len(content), len(content))
        return Fetched(str(path), len(content), digest, len(content), len(content))


class Scene:
    """A job's surroundings below `directory`; time stands still unless `clock` is advanced.

    `fields` are those of the Worker, `job_id` is 42.
    """

    def __init__(
        self,
        directory: Path,
        *,
        job: Job | None = None,
        device: Device | None = None,
        clock: Clock | None = None,
        secrets: dict[str, str] | None = None,
        **fields: object,
    ) -> None:
        self.journal = MemoryJournal()
        self.clock = clock or FakeClock()
        self.agent = FilesAgent(directory / "cache")
        out, work = directory / "out", directory / "work"
        for made in (out, work):
            made.mkdir(parents=True, exist_ok=True)
        self.context = JobContext(
            job=job or Job(job_name="test"),
            device=device or Device(),
            worker=Worker("42", **fields),  # type: ignore[arg-type]
            journal=self.journal,
            agent=self.agent,
            interrupts=Interrupts(),
            deadline=Deadline.after(JOB_SECONDS, self.clock),
            out=out,
            work=work,
            tftp=directory / "tftp",
            nfs=directory / "nfs",
            secrets=secrets or {},
        )

    @property
    def namespace(self) -> Namespace:
        """The one that blocks without a namespace have."""
        return self.context.namespace("common")

    def artifact(self, label: str, content: bytes = b"", **fields: object) -> Artifact:
        """An artefact that a deploy has brought: a shared file with this content."""
        path = self.context.work.parent / "cache" / f"{label}.img"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        made = Artifact(label, path, **fields)  # type: ignore[arg-type]
        self.namespace.artifacts[label] = made
        return made

    def run(self, action: Action, *, attempt: int = 1) -> Run:
        """Let `action` do its own work, without its children; the attempt, for its results."""
        made = self.attempt(action, attempt=attempt)
        action.run(made)
        return made

    def attempt(self, action: Action, *, attempt: int = 1) -> Run:
        """An attempt of `action` that has not begun."""
        limit = Deadline.after(action.limit or 60, self.clock)
        return Run(placed(action), self.context, limit, attempt)


def placed(action: Action, *, level: str = "1", section: str = "", **given: object) -> Action:
    """`action` as if a planner had put it there; `given` are keys of its block."""
    action.level = action.level or level
    action.section = action.section or section or "deploy"
    action.limit = action.limit or 60
    action.connection_limit = action.connection_limit or 30
    if given or action.block is None:
        path = ("actions", 0, action.section)
        action.block = Block(section=action.section, index=0, parameters=dict(given), path=path)
    return action


def planned(job: str, device: str | dict[str, object]) -> Plan:
    """The plan of a job for a device, both as YAML. Raises AssertionError when one of them cannot be read."""
    text = device if isinstance(device, str) else yaml.safe_dump(device)
    found, known = parse_job(job), parse_device(text)
    assert found.job is not None, found.problems  # noqa: S101
    assert known.device is not None, known.problems  # noqa: S101
    return plan(found.job, known.device)
