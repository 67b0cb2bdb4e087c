# SPDX-License-Identifier: Apache-2.0
"""What a job's session and the agent ask of a container engine: one small interface, its data and its errors.

`docker_engine.DockerEngine` carries it out, `testing.engine.FakeEngine` plays it for tests.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from executor.container.request import Places
from executor.errors import InfrastructureError
from executor.model.deadline import Deadline
from executor.model.launch import LaunchSpec


class EngineGone(InfrastructureError):
    """Nothing answers at the engine's address; a container that runs may well go on."""


class EngineSlow(EngineGone):
    """The engine is there but did not answer before the deadline."""


class NoSuchContainer(InfrastructureError):
    """The engine does not know this container (any more)."""


class EngineRefused(InfrastructureError):
    """The engine answered, with no; `status` is its HTTP status."""

    def __init__(self, message: str, hint: str = "", status: int = 0) -> None:
        super().__init__(message, hint)
        self.status = status


class EngineInfo(msgspec.Struct, frozen=True):
    """Which engine this is, and the host as it sees it."""

    kind: str  # docker or podman
    version: str
    cgroup: int
    cpus: int
    memory_mib: int
    rootless: bool = False
    architecture: str = ""


class Container(msgspec.Struct, frozen=True):
    """One container as it is now. `exit_code`, `oom` and `error` are known from `inspect` only."""

    id: str
    running: bool
    exit_code: int = 0
    oom: bool = False  # something in it was killed for want of memory
    started: bool = True  # False: created, never started
    labels: dict[str, str] = {}
    error: str = ""
    created: float = 0.0  # seconds since the epoch; known from `containers` only


class Engine(Protocol):
    """All calls raise EngineGone, NoSuchContainer or EngineRefused; the engine's address or permissions being
    wrong is an EngineGone whose hint says what to do.
    """

    def info(self, deadline: Deadline) -> EngineInfo:
        """Kind and version of the engine."""

    def image_digest(self, reference: str, deadline: Deadline) -> str:
        """The config digest (`sha256:…`) of an image, "" when it is not there."""

    def create(self, spec: LaunchSpec, places: Places, name: str, deadline: Deadline) -> str:
        """Make a container; its full id."""

    def start(self, id: str, deadline: Deadline) -> None:
        """Start it."""

    def wait(self, id: str, deadline: Deadline) -> int | None:
        """Block until it has ended: its exit code, or None when the deadline passed first."""

    def kill(self, id: str, signal: str, deadline: Deadline) -> None:
        """Send a signal such as SIGTERM; harmless when it has ended."""

    def inspect(self, id: str, deadline: Deadline) -> Container:
        """How it is."""

    def logs(self, id: str, lines: int, deadline: Deadline) -> bytes:
        """The last lines of its output, both streams, at most 64 KiB."""

    def remove(self, id: str, deadline: Deadline) -> None:
        """Kill and remove it; harmless when it is gone."""

    def containers(self, labels: dict[str, str], deadline: Deadline) -> list[Container]:
        """All containers with these labels, ended ones too; an empty value matches any."""


def connect(environment: dict[str, str] | None = None) -> Engine:
    """The engine that DOCKER_HOST names, or the local Docker. Nothing is sent before the first call."""
    from executor.container.docker_engine import DockerEngine

    return DockerEngine(environment)
