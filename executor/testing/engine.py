# SPDX-License-Identifier: Apache-2.0
"""A container engine that lives in memory, for tests of all that starts containers.

What a container does is a function; it gets a `Stage` with the directories that would be mounted, and its
return value is the exit code:

    def program(stage: Stage) -> int:
        stage.write_journal([...])
        stage.wait_for_signal(10)
        return 0

    engine = FakeEngine({"job": program})
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from executor.container.engine import Container, EngineGone, EngineInfo, NoSuchContainer
from executor.container.launch import LABEL
from executor.container.request import Places
from executor.errors import InfrastructureError
from executor.model import journal
from executor.model.deadline import Deadline
from executor.model.journal import Record
from executor.model.launch import LaunchSpec

FAKE_DIGEST = "sha256:" + "f" * 64


class Killed(BaseException):
    """SIGKILL reaches a program's next call of its stage."""


@dataclass
class Stage:
    """What a container's program sees."""

    spec: LaunchSpec
    places: Places
    signals: list[str] = field(default_factory=list)
    output: bytes = b""
    out_of_memory: bool = False
    _changed: threading.Condition = field(default_factory=threading.Condition)

    @property
    def out(self) -> Path:
        """/out on this host."""
        return self.places.job / "out"

    @property
    def job(self) -> Path:
        """/job on this host."""
        return self.places.job / "job"

    @property
    def socket(self) -> Path:
        """The doorbell."""
        return self.places.job / "run" / "agent.sock"

    def write_journal(self, records: list[Record], torn: bytes = b"") -> None:
        """Append to /out/journal.ndjson, and half a line if wanted."""
        self._check()
        with (self.out / "journal.ndjson").open("ab") as file:
            file.write(journal.encode(records) + torn)

    def wait_for_signal(self, seconds: float, count: int = 1) -> bool:
        """Until so many signals have come in all. False when the time is over first."""
        with self._changed:
            done = self._changed.wait_for(
                lambda: len(self.signals) >= count or "SIGKILL" in self.signals, seconds
            )
        self._check()
        return done

    def send(self, signal: str) -> None:
        """What `Engine.kill` does."""
        with self._changed:
            self.signals.append(signal)
            self._changed.notify_all()

    def _check(self) -> None:
        if "SIGKILL" in self.signals:
            raise Killed


Program = Callable[[Stage], int]


@dataclass
class _Row:
    id: str
    name: str
    stage: Stage
    thread: threading.Thread | None = None
    exit_code: int | None = None
    ended: threading.Event = field(default_factory=threading.Event)


class FakeEngine:
    """Engine in memory. `programs` by role of the container (label `lava-exec`); a role without one ends
    with 0.

    `down` makes every call fail as if the engine were gone; `started` and `specs` record what was asked for.
    """

    def __init__(self, programs: dict[str, Program] | None = None) -> None:
        self.programs = programs or {}
        self.images = {"lava-exec/dispatcher:latest": FAKE_DIGEST, "lava-exec/qemu:latest": FAKE_DIGEST}
        self.specs: list[LaunchSpec] = []
        self.down = False
        self.refuse_start = ""
        self._rows: dict[str, _Row] = {}
        self._lock = threading.Lock()

    def info(self, deadline: Deadline) -> EngineInfo:
        """See Engine."""
        self._check()
        return EngineInfo("docker", "fake", 2, 2, 24000, architecture="x86_64")

    def image_digest(self, reference: str, deadline: Deadline) -> str:
        """See Engine."""
        self._check()
        return self.images.get(reference, "")

    def create(self, spec: LaunchSpec, places: Places, name: str, deadline: Deadline) -> str:
        """See Engine."""
        self._check()
        for mount in spec.mounts:
            if mount.kind == "bind" and not places.resolve(mount.source).exists():
                raise InfrastructureError(f"bind source path does not exist: {places.resolve(mount.source)}")
        row = _Row(secrets.token_hex(32), name, Stage(spec, places))
        with self._lock:
            self.specs.append(spec)
            self._rows[row.id] = row
        return row.id

    def start(self, id: str, deadline: Deadline) -> None:
        """See Engine."""
        row = self._row(id)
        if self.refuse_start:
            raise InfrastructureError(f"the container engine refused: {self.refuse_start}")
        row.thread = threading.Thread(target=self._run, args=(row,), name=f"fake-{row.name}", daemon=True)
        row.thread.start()

    def wait(self, id: str, deadline: Deadline) -> int | None:
        """See Engine."""
        row = self._row(id)
        while not row.ended.wait(min(deadline.remaining, 0.02)):
            self._row(id)
            if deadline.expired:
                return None
        self._row(id)
        return row.exit_code

    def kill(self, id: str, signal: str, deadline: Deadline) -> None:
        """See Engine."""
        self._row(id).stage.send(signal)

    def inspect(self, id: str, deadline: Deadline) -> Container:
        """See Engine; takes a name too, as engines do."""
        row = self._row(id)
        return Container(
            row.id,
            running=row.thread is not None and not row.ended.is_set(),
            exit_code=row.exit_code or 0,
            oom=row.stage.out_of_memory,
            started=row.thread is not None,
            labels=row.stage.spec.labels,
        )

    def logs(self, id: str, lines: int, deadline: Deadline) -> bytes:
        """See Engine."""
        return self._row(id).stage.output

    def remove(self, id: str, deadline: Deadline) -> None:
        """See Engine."""
        try:
            row = self._row(id)
        except NoSuchContainer:
            return
        row.stage.send("SIGKILL")
        if row.thread is not None:
            row.thread.join(timeout=10)
        with self._lock:
            self._rows.pop(row.id, None)

    def containers(self, labels: dict[str, str], deadline: Deadline) -> list[Container]:
        """See Engine."""
        self._check()
        with self._lock:
            rows = list(self._rows)
        found = [self.inspect(id, deadline) for id in rows]
        return [
            c for c in found if all(k in c.labels and (not v or c.labels[k] == v) for k, v in labels.items())
        ]

    def forget(self, id: str) -> None:
        """The container vanishes behind everybody's back."""
        row = self._row(id)
        row.stage.send("SIGKILL")
        with self._lock:
            self._rows.pop(row.id, None)

    def _run(self, row: _Row) -> None:
        role = row.stage.spec.labels.get(LABEL, "job")
        program = self.programs.get(role, _probe if role == "probe" else _succeed)
        try:
            row.exit_code = program(row.stage)
        except Killed:
            row.exit_code = 137
        finally:
            row.ended.set()

    def _row(self, id: str) -> _Row:
        self._check()
        with self._lock:
            for row in self._rows.values():
                if row.id.startswith(id) or row.name == id:
                    return row
        raise NoSuchContainer(f"the engine does not know container {id[:12]}")

    def _check(self) -> None:
        if self.down:
            raise EngineGone("no container engine answers at fake://")


def _succeed(stage: Stage) -> int:
    return 0


def _probe(stage: Stage) -> int:
    """Sees the same directories as the host, and has no KVM."""
    nonce = stage.places.job / "nonce"
    if nonce.is_file():
        stage.output = nonce.read_bytes()
        return 0
    return 1
