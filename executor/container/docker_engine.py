# SPDX-License-Identifier: Apache-2.0
"""The engine interface over the Docker API, so that nobody else sees an HTTP status or a docker exception.

`DOCKER_HOST` is honoured; Docker's socket and Podman's serve alike. The `docker` package is imported at the
first call: most of the command line never needs it.
"""

from __future__ import annotations

import math
import os
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from executor.container.engine import (
    Container,
    EngineGone,
    EngineInfo,
    EngineRefused,
    EngineSlow,
    NoSuchContainer,
)
from executor.container.request import Places, create_body
from executor.errors import InfrastructureError, LavaExecError
from executor.model.deadline import Deadline
from executor.model.launch import LaunchSpec

if TYPE_CHECKING:
    from docker.api.client import APIClient

API_VERSION = "1.40"  # Docker 19.03, Podman 3: the oldest with all that is asked for
CALL_SECONDS = 60.0  # longest single call unless its deadline is sooner
_WAIT_SECONDS = 3600.0  # a wait is asked again after this
_LOG_BYTES = 64 << 10
_ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64"}  # podman's words
T = TypeVar("T")


class DockerEngine:
    """Safe to use from several threads: each has its own connection."""

    def __init__(self, environment: dict[str, str] | None = None) -> None:
        self._environment = dict(os.environ if environment is None else environment)
        self._local = threading.local()
        self.address = self._environment.get("DOCKER_HOST") or "unix:///var/run/docker.sock"

    def info(self, deadline: Deadline) -> EngineInfo:
        """See Engine."""
        version = self._call(deadline, lambda api: api.version())
        info = self._call(deadline, lambda api: api.info())
        components = [str(c.get("Name", "")).lower() for c in version.get("Components") or []]
        machine = str(info.get("Architecture", ""))
        options = [str(option) for option in info.get("SecurityOptions") or []]
        return EngineInfo(
            kind="podman" if any("podman" in name for name in components) else "docker",
            version=str(version.get("Version", "")),
            cgroup=2 if str(info.get("CgroupVersion", "1")) == "2" else 1,
            cpus=int(info.get("NCPU") or 1),
            memory_mib=int(info.get("MemTotal") or 0) >> 20,
            rootless=any("rootless" in option for option in options),
            architecture=_ARCHITECTURES.get(machine, machine),
        )

    def image_digest(self, reference: str, deadline: Deadline) -> str:
        """See Engine."""
        try:
            seen = self._call(deadline, lambda api: api.inspect_image(reference))  # type: ignore[no-untyped-call]
        except EngineRefused as error:
            if error.status == 404:
                return ""
            raise
        id = str(seen["Id"])
        return id if id.startswith("sha256:") else f"sha256:{id}"

    def create(self, spec: LaunchSpec, places: Places, name: str, deadline: Deadline) -> str:
        """See Engine."""
        body = create_body(spec, places)
        try:
            created = self._call(deadline, lambda api: api.create_container_from_config(body, name))  # type: ignore[no-untyped-call]
        except EngineRefused as error:
            if error.status != 404:
                raise
            raise InfrastructureError(
                f"the image {spec.image} ({spec.image_digest[:19]}) is not on this host",
                "Build it with `make images`, or carry it here with `docker load`.",
            ) from None
        return str(created["Id"])

    def start(self, id: str, deadline: Deadline) -> None:
        """See Engine."""
        self._call(deadline, lambda api: api.start(id), id)

    def wait(self, id: str, deadline: Deadline) -> int | None:
        """See Engine."""
        while not deadline.expired:
            try:
                seen = self._call(
                    deadline, lambda api: api.wait(id, timeout=int(api.timeout)), id, longest=_WAIT_SECONDS
                )
            except EngineSlow:
                continue
            return int(seen["StatusCode"])
        return None

    def kill(self, id: str, signal: str, deadline: Deadline) -> None:
        """See Engine."""
        try:
            self._call(deadline, lambda api: api.kill(id, signal), id)
        except NoSuchContainer:
            pass
        except EngineRefused as error:
            if error.status != 409 and "not running" not in error.message:
                raise

    def inspect(self, id: str, deadline: Deadline) -> Container:
        """See Engine."""
        seen: dict[str, Any] = self._call(deadline, lambda api: dict(api.inspect_container(id)), id)
        state = seen.get("State") or {}
        return Container(
            id=str(seen["Id"]),
            running=bool(state.get("Running")),
            exit_code=int(state.get("ExitCode") or 0),
            oom=bool(state.get("OOMKilled")),
            started=str(state.get("Status")) not in ("created", "configured"),
            labels=_labels((seen.get("Config") or {}).get("Labels")),
            error=str(state.get("Error") or ""),
        )

    def logs(self, id: str, lines: int, deadline: Deadline) -> bytes:
        """See Engine."""
        text = self._call(deadline, lambda api: api.logs(id, stdout=True, stderr=True, tail=lines), id)
        return bytes(text)[-_LOG_BYTES:]

    def remove(self, id: str, deadline: Deadline) -> None:
        """See Engine."""
        try:
            self._call(deadline, lambda api: api.remove_container(id, force=True, v=True), id)
        except NoSuchContainer:
            pass
        except EngineRefused as error:
            if "already in progress" not in error.message:  # somebody else removes it at this moment
                raise

    def containers(self, labels: dict[str, str], deadline: Deadline) -> list[Container]:
        """See Engine."""
        wanted = [f"{name}={value}" if value else name for name, value in labels.items()]
        rows = self._call(deadline, lambda api: api.containers(all=True, filters={"label": wanted}))
        return [
            Container(
                id=str(row["Id"]),
                running=str(row.get("State")) in ("running", "paused", "restarting"),
                started=str(row.get("State")) not in ("created", "configured"),
                labels=_labels(row.get("Labels")),
                created=float(row.get("Created") or 0),
            )
            for row in rows
        ]

    def _call(
        self,
        deadline: Deadline,
        ask: Callable[[APIClient], T],
        id: str = "",
        *,
        longest: float = CALL_SECONDS,
    ) -> T:
        """One request by this thread's client; what the package raises becomes one of our errors."""
        from docker.errors import APIError, DockerException
        from requests.exceptions import ReadTimeout, RequestException

        try:
            client = self._client()
            client.timeout = max(1, math.ceil(min(deadline.remaining, longest)))
            return ask(client)
        except APIError as error:
            status = int(getattr(error.response, "status_code", 0) or 0)
            if status == 404 and id:
                raise NoSuchContainer(f"the engine does not know container {id[:12]}") from None
            text = str(error.explanation or error)[:500]
            raise EngineRefused(f"the container engine refused: {text}", _hint(text), status) from None
        except (RequestException, DockerException, OSError) as error:
            # A body that does not come in time is a ConnectionError to requests.
            if isinstance(error, ReadTimeout) or "timed out" in str(error).lower():
                raise EngineSlow(
                    f"the container engine at {self.address} did not answer in time",
                    "It may be overloaded: see its log.",
                ) from None
            raise self._gone(error) from None

    def _client(self) -> APIClient:
        held: _Held | None = getattr(self._local, "held", None)
        if held is None:
            from docker.api.client import APIClient
            from docker.utils import kwargs_from_env

            self._knock()
            held = _Held(APIClient(version=API_VERSION, **kwargs_from_env(environment=self._environment)))
            self._local.held = held
        return held.client

    def _knock(self) -> None:
        """Raises OSError when nothing listens; the package would leave a socket open then."""
        if self.address.startswith("unix://"):
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
                probe.settimeout(CALL_SECONDS)
                probe.connect(self.address.removeprefix("unix://"))

    def _gone(self, error: Exception) -> LavaExecError:
        text = str(error)
        if "Permission denied" in text:
            return EngineGone(
                f"no permission for the container engine at {self.address}",
                "As root: adduser YOUR-NAME docker; then log in again.",
            )
        if "No such file" in text or "Connection refused" in text:
            return EngineGone(
                f"no container engine answers at {self.address}",
                "Start it: systemctl start docker (or scripts/engine start), or set DOCKER_HOST.",
            )
        return EngineGone(f"the container engine at {self.address} failed: {text[:300]}")


class _Held:
    """A thread's client; its connections are closed when the thread has ended."""

    def __init__(self, client: APIClient) -> None:
        self.client = client

    def __del__(self) -> None:
        self.client.close()


def _labels(given: Any) -> dict[str, str]:
    return {str(name): str(value) for name, value in (given or {}).items()}


_HINTS = (
    ("docker-init", "Install docker-init (Debian: package docker.io or tini)."),
    ("catatonit", "Install catatonit, Podman's init."),
    (
        "bind source path does not exist",
        "An agent in a container needs its state directory and /dev/shm mounted at the same paths.",
    ),
    ("no space left", "Free some space on the engine's disk."),
    ("error gathering device information", "The device node does not exist on this host."),
    ("range of cpus", "Lower the number of CPUs in the bounds of this worker."),
)


def _hint(explanation: str) -> str:
    """The next step for refusals that are met in practice."""
    return next((hint for sign, hint in _HINTS if sign in explanation.lower()), "")
