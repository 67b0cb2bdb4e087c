# SPDX-License-Identifier: Apache-2.0
"""A launch spec in the engine's own words: the body of its create request, made by a pure function."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from executor.errors import Bug
from executor.model.launch import LaunchSpec, Mount

LOG_BYTES = "4m"  # what the engine keeps of a container's output; the journal is the truth
_MIB = 1 << 20


class Places(msgspec.Struct, frozen=True):
    """Where the symbolic paths of a spec are on this host."""

    job: Path
    secrets: Path | None = None
    cache: Path | None = None
    host: Path = Path("/")

    def resolve(self, source: str) -> Path:
        """`{job}/out` as a path. Raises Bug for a word that has no place here."""
        word, _, rest = source.partition("/")
        base = {"{job}": self.job, "{secrets}": self.secrets, "{cache}": self.cache, "{host}": self.host}.get(
            word
        )
        if base is None:
            raise Bug(f"the launch spec names {source!r}, which has no place on this host")
        return base / rest


def service_directories(spec: LaunchSpec, places: Places) -> list[Path]:
    """Directories of this job alone that lie where the TFTP and NFS services look; the session makes them."""
    sources = [m.source for m in spec.mounts if m.source.startswith(("{host}/srv/tftp/", "{host}/srv/nfs/"))]
    return [places.resolve(source) for source in sources if Path(source).name == spec.job_id]


def create_body(spec: LaunchSpec, places: Places) -> dict[str, Any]:
    """The body of POST /containers/create (API 1.40 and later, Podman reads the same)."""
    podman = spec.facts.engine == "podman"
    host: dict[str, Any] = {
        "AutoRemove": False,
        "CapDrop": ["ALL"],
        "CapAdd": list(spec.capabilities),
        "Privileged": False,
        "ReadonlyRootfs": True,
        "SecurityOpt": ["no-new-privileges"],
        "Init": True,
        "IpcMode": "private",
        "NetworkMode": spec.network,
        "Mounts": [_bind(m, places) for m in spec.mounts if m.kind == "bind"],
        "Tmpfs": {m.target: _tmpfs(m) for m in spec.mounts if m.kind == "tmpfs"},
        "Devices": [
            {"PathOnHost": n.source, "PathInContainer": n.target, "CgroupPermissions": n.access}
            for n in spec.nodes
        ],
        "DeviceCgroupRules": [
            f"{r.kind} {r.major}:{'*' if r.minor < 0 else r.minor} {r.access}" for r in spec.device_rules
        ],
        "GroupAdd": [str(group) for group in spec.groups],
        "Memory": spec.memory_mib * _MIB,
        "MemorySwap": spec.memory_mib * _MIB,  # the same: no swap
        "NanoCpus": int(spec.cpus * 1_000_000_000),
        "PidsLimit": spec.pids,
        "ShmSize": spec.shm_mib * _MIB,
        "OomScoreAdj": 500,  # when the host itself runs out, a job goes before the agent
        "Ulimits": [{"Name": n, "Soft": v, "Hard": v} for n, v in _ulimits(podman).items()],
        "LogConfig": {"Type": "k8s-file" if podman else "json-file", "Config": {"max-size": LOG_BYTES}},
        "RestartPolicy": {"Name": "no"},
    }
    body: dict[str, Any] = {
        "Image": spec.image_digest or spec.image,
        "Entrypoint": [],
        "Cmd": list(spec.command),
        "User": spec.user,
        "WorkingDir": spec.workdir,
        "Env": [f"{name}={value}" for name, value in sorted(spec.environment.items())],
        "Labels": dict(spec.labels),
        "StopTimeout": spec.stop_seconds,
        "Tty": False,
        "OpenStdin": False,
        "HostConfig": host,
    }
    if spec.hostname:
        body["Hostname"] = spec.hostname
    if spec.network == "none":
        body["NetworkDisabled"] = True
    return body


def _ulimits(podman: bool) -> dict[str, int]:
    limits = {"nofile": 8192, "core": 0}
    if (
        podman
    ):  # its own defaults can be above what the host allows; with Docker pids are limited by cgroup alone
        limits["nproc"] = 8192
    return limits


def _bind(mount: Mount, places: Places) -> dict[str, Any]:
    return {
        "Type": "bind",
        "Source": str(places.resolve(mount.source)),
        "Target": mount.target,
        "ReadOnly": mount.read_only,
        "BindOptions": {"Propagation": "rprivate"},
    }


def _tmpfs(mount: Mount) -> str:
    return f"rw,nosuid,nodev,size={mount.size_mib}m,mode={mount.mode:o}"
