# SPDX-License-Identifier: Apache-2.0
"""master.yaml: everything an admin may set about the master, every value with a default that works."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec

from executor.errors import ConfigurationError
from executor.model.problem import Problem
from executor.model.worker import Limits
from executor.schema.check import check
from executor.schema.loader import load_yaml
from executor.schema.words import nearest
from executor.wire.messages import DEFAULT_ADDRESS

_Positive = Annotated[float, msgspec.Meta(gt=0)]
_NotNegative = Annotated[float, msgspec.Meta(ge=0)]
_Count = Annotated[int, msgspec.Meta(ge=0)]


class Retention(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """How long job directories are kept. 0 days or gigabytes: no limit of that kind."""

    days: _NotNegative = 90.0
    gigabytes: _NotNegative = 50.0
    failed_days: _NotNegative = 7.0  # failed jobs stay at least this long while others can go


class UserLimits(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What one user may have at a time."""

    queued_jobs: _Count = 500  # not yet finished
    priority: Annotated[int, msgspec.Meta(ge=0, le=100)] = 100  # the highest that may be asked for


class WorkerSettings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Settings of one worker, sent with each of its jobs (spec: fleet §2)."""

    job_limit: _Count = 0
    dispatcher: dict[str, Any] = {}  # spec: device-config §7
    environment: dict[str, str] = {}  # exported to the shell of devices


class Settings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The whole file. Times in seconds unless the name says otherwise."""

    listen: str = DEFAULT_ADDRESS
    file_urls: list[str] = []  # directories that file:// URLs of jobs may lie in
    heartbeat: _Positive = 5.0
    worker_offline: _Positive = 20.0  # silent for longer: no new jobs for it
    worker_lost: _Positive = 900.0  # silent for longer: its jobs end as Incomplete
    queue_hours: _NotNegative = 0.0  # a job waits no longer than this; 0: for ever
    retention: Retention = Retention()
    limits: Limits = msgspec.field(default_factory=Limits)  # of one job
    users: dict[str, UserLimits] = {}  # by name of the key; "default" for all others
    workers: dict[str, WorkerSettings] = {}
    environment: dict[str, str] = {}  # as workers' environment, for all of them
    dispatcher: dict[str, Any] = {}
    strict: bool = False  # refuse jobs whose timeouts are longer than the job's own

    def user(self, name: str) -> UserLimits:
        """The limits of a user."""
        return self.users.get(name) or self.users.get("default") or UserLimits()

    def worker(self, name: str) -> WorkerSettings:
        """The settings of a worker, the general ones below its own."""
        own = self.workers.get(name) or WorkerSettings()
        return msgspec.structs.replace(
            own,
            dispatcher={**self.dispatcher, **own.dispatcher},
            environment={**self.environment, **own.environment},
        )


def _unknown_limits(data: Any) -> list[Problem]:
    """`limits` is a struct that other parts share and that takes unknown names; a slip of the pen is told
    here.
    """
    given = data.get("limits") if isinstance(data, dict) else None
    known = Limits.__struct_fields__
    return [
        Problem(f"unknown key {name!r}", "Configuration", ("limits", name), near=nearest(name, known))
        for name in (given if isinstance(given, dict) else ())
        if name not in known
    ]


def load_settings(path: Path | None) -> Settings:
    """Read master.yaml; a missing file means all defaults. Raises ConfigurationError naming the place."""
    if path is None or not path.exists():
        return Settings()
    document = load_yaml(path.read_text(encoding="utf-8"), str(path))
    for problem in document.problems:
        if problem.severity == "error":
            raise ConfigurationError(f"{problem.where}: {problem.message}", problem.hint)
    faults = [*check(Settings, document.data or {}), *_unknown_limits(document.data)]
    for problem in map(document.locate, faults):
        near = f", did you mean {problem.near!r}?" if problem.near else ""
        raise ConfigurationError(f"{problem.where}: {problem.message}{near}", problem.hint)
    settings = msgspec.convert(document.data or {}, Settings)
    for directory in settings.file_urls:
        if not directory.startswith("/"):
            raise ConfigurationError(f"{path}: file_urls: {directory!r} is not an absolute path")
    return settings
