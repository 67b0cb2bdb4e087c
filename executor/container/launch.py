# SPDX-License-Identifier: Apache-2.0
"""What a job's container may have, decided from what its plan needs: a pure function giving plain data.

Least privilege is the rule here (design §3): a mount, node, device rule, capability or network stands in the
spec only because an action or the device file asked for it, and what the engine could not enforce is refused
instead of left out.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

import msgspec

from executor.errors import ConfigurationError, InfrastructureError
from executor.model.launch import DeviceNode, DeviceRule, HostFacts, LaunchSpec, Mount, Needs
from executor.model.worker import Limits

RUNNER = ["python", "-m", "executor.runner"]
CA_BUNDLE = "/job/ca.crt"  # in the container: a copy that lies in the job directory

LABEL = "lava-exec"  # value: the role of the container, `job`, `finalizer` or `probe`
LABEL_JOB = "lava-exec.job"
LABEL_AGENT = "lava-exec.agent"
LABEL_STATE = "lava-exec.state"

# Kinds of devices that may be plugged in later, by the majors of their nodes (admin-guide/devices.txt).
MAJORS: dict[str, tuple[tuple[str, int], ...]] = {
    "serial": (("c", 4), ("c", 166), ("c", 188), ("c", 204)),  # ttyS, ttyACM, ttyUSB, ttyAMA
    "usb": (("c", 189),),
    "block": (
        ("b", 7),
        ("b", 8),
        ("b", 65),
        ("b", 179),
        ("b", 259),
    ),  # loop, sd, sd, mmcblk, nvme and partitions
}
NODES = {"kvm": "/dev/kvm", "tun": "/dev/net/tun", "fuse": "/dev/fuse"}

RUNNER_MIB = 512  # the runner, its tools (xz, mke2fs, git) and the tmpfs mounts
EMULATOR_MIB = 1280  # QEMU beside the guest's memory: up to 1 GiB of translated code, and its own
FINALIZER_MIB = 256
TMP_MIB = 128
PATH = "/opt/lava-exec/bin:/opt/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_NEVER_TOOLS = ("/dev", "/proc", "/run", "/sys", "/var/run", "/var/lib/docker")  # nor anything below


class Bounds(msgspec.Struct, frozen=True):
    """What an admin may set for the containers of a worker. 0 CPUs: as many as the host has."""

    cpus: float = 0.0
    pids: int = 1024
    shm_mib: int = 64
    max_memory_mib: int = 0  # 0: what the host has


def plan_container(
    job_id: str,
    needs: Needs,
    device: dict[str, Any],
    facts: HostFacts,
    *,
    limits: Limits | None = None,
    bounds: Bounds | None = None,
    agent: str = "",
    state: str = "",
    secrets: bool = False,
    image: str = "",
    command: list[str] | None = None,
) -> LaunchSpec:
    """The launch spec of one job.

    `device` is the rendered device file; its key `container` may ask for `network` (bridge or host), `tools`
    (directories of the host with an admin's programs) and `devices` (kinds). `image` overrides the reference
    of the image. Raises ConfigurationError where the engine cannot hold what the spec promises or the device
    file is wrong, InfrastructureError where the host lacks the image or the memory.
    """
    bounds = bounds or Bounds()
    limits = limits or Limits()
    asked = _asked_by_device(device)
    needs = needs | asked.needs
    reference = image or f"lava-exec/{needs.image}:{facts.image_tag}"
    digest = facts.images.get(reference, "")
    if not digest:
        raise InfrastructureError(
            f"the image {reference} is not on this host",
            "Build it with `make images`, or carry it here with `docker load`.",
        )
    rules, nodes, groups = _devices(needs, facts)
    memory = RUNNER_MIB + needs.memory + (EMULATOR_MIB if needs.image == "qemu" else 0)
    most = bounds.max_memory_mib or facts.memory_mib
    if needs.memory and most and RUNNER_MIB + needs.memory > most:
        raise InfrastructureError(
            f"the job asks for {needs.memory} MiB of memory, this worker has {most} MiB",
            "Lower the guest's memory, or run the job on a larger worker.",
        )
    return LaunchSpec(
        job_id=job_id,
        image=reference,
        image_digest=digest,
        command=list(command or RUNNER),
        user=f"{facts.uid}:{facts.gid}",
        groups=groups,
        environment=_environment(facts, asked.tools),
        mounts=_mounts(job_id, needs, asked.tools, secrets=secrets),
        nodes=nodes,
        device_rules=rules,
        capabilities=sorted(needs.capabilities),
        network=needs.network,
        memory_mib=min(memory, most) if most else memory,
        cpus=bounds.cpus or float(facts.cpus),
        pids=bounds.pids,
        disk_mib=limits.work_bytes >> 20,
        shm_mib=bounds.shm_mib,
        stop_seconds=limits.cleanup_seconds,
        labels=labels(job_id, agent, state),
        hostname="" if needs.network == "host" else f"job-{job_id}"[:63],
        needs=needs,
        facts=facts,
    )


def labels(job_id: str, agent: str, state: str, role: str = "job") -> dict[str, str]:
    """Those by which an agent finds its containers again, and `make demo-down` everything of ours."""
    return {LABEL: role, LABEL_JOB: job_id, LABEL_AGENT: agent, LABEL_STATE: state}


def relabel(spec: LaunchSpec, job_id: str, agent: str, state: str) -> LaunchSpec:
    """The same container for another job: what `reproduce` starts."""
    moved = [
        msgspec.structs.replace(
            m, source=_renamed(m.source, spec.job_id, job_id), target=_renamed(m.target, spec.job_id, job_id)
        )
        for m in spec.mounts
    ]
    return msgspec.structs.replace(
        spec,
        job_id=job_id,
        mounts=moved,
        labels=labels(job_id, agent, state),
        hostname=f"job-{job_id}"[:63] if spec.hostname else "",
    )


def finalizer_spec(spec: LaunchSpec, command: list[str]) -> LaunchSpec:
    """A small container in which one power command of the device runs (design §9, Power): same image, network
    and device nodes, but none of the job's files.
    """
    kept = [
        m
        for m in spec.mounts
        if m.kind == "tmpfs" or m.target == "/dev/lava" or m.source.startswith("{host}/")
    ]
    kept = [m for m in kept if not m.target.startswith(("/srv/tftp/", "/srv/nfs/"))]
    if spec.environment.get("SSL_CERT_FILE") == CA_BUNDLE:
        kept.append(Mount(CA_BUNDLE, "{job}/job/ca.crt", read_only=True))
    return msgspec.structs.replace(
        spec,
        command=command,
        workdir="/tmp",  # noqa: S108
        environment={**spec.environment, "HOME": "/tmp"},  # noqa: S108
        mounts=kept,
        nodes=[],
        memory_mib=FINALIZER_MIB,
        pids=128,
        disk_mib=0,
        labels={**spec.labels, LABEL: "finalizer"},
    )


class _Asked(msgspec.Struct, frozen=True):
    needs: Needs
    tools: tuple[str, ...]


def _asked_by_device(device: dict[str, Any]) -> _Asked:
    section = device.get("container") or {}
    if not isinstance(section, dict):
        raise ConfigurationError("`container` in the device file is not a map")
    network = str(section.get("network") or "none")
    if network not in ("none", "bridge", "host"):
        raise ConfigurationError(
            f"the device file asks for network {network!r}", "container.network is none, bridge or host."
        )
    given = section.get("tools") or []
    tools = tuple(_tools_directory(path) for path in ([given] if isinstance(given, str) else list(given)))
    devices = frozenset(str(kind) for kind in section.get("devices") or [])
    return _Asked(Needs(network=network, devices=devices), tools)


def _tools_directory(path: object) -> str:
    text = str(path)
    plain = str(PurePosixPath(text))
    parts = PurePosixPath(plain).parts
    below = any(PurePosixPath(plain).is_relative_to(never) for never in _NEVER_TOOLS)
    if parts[:1] != ("/",) or ".." in parts or len(parts) < 3 or below:
        raise ConfigurationError(
            f"container.tools {text!r} cannot be given to a job",
            "Name a directory of its own with the tools in it, such as /opt/lab-tools.",
        )
    return plain


def _devices(needs: Needs, facts: HostFacts) -> tuple[list[DeviceRule], list[DeviceNode], list[int]]:
    rules: list[DeviceRule] = []
    nodes: list[DeviceNode] = []
    groups: list[int] = []
    for kind in sorted(needs.devices):
        if kind in MAJORS:
            if not facts.device_rules:
                raise ConfigurationError(
                    f"{facts.engine} {facts.engine_version} does not keep a container from other "
                    f"{kind} devices of this host",
                    "Use a Docker engine on this worker for devices that need nodes.",
                )
            rules += [DeviceRule(letter, major) for letter, major in MAJORS[kind]]
        elif kind == "kvm":
            if facts.kvm:
                nodes.append(DeviceNode(NODES[kind], NODES[kind]))
                groups += [facts.kvm_gid] if facts.kvm_gid >= 0 else []
        elif kind in NODES:
            nodes.append(DeviceNode(NODES[kind], NODES[kind]))
        else:
            known = ", ".join(sorted({*MAJORS, *NODES}))
            raise ConfigurationError(f"unknown kind of device {kind!r}", f"Known kinds are {known}.")
    return rules, nodes, groups


def _mounts(job_id: str, needs: Needs, tools: tuple[str, ...], *, secrets: bool) -> list[Mount]:
    mounts = [
        Mount("/tmp", kind="tmpfs", size_mib=TMP_MIB, mode=0o1777),  # noqa: S108
        Mount("/run", kind="tmpfs", size_mib=16, mode=0o755),
        Mount("/job", "{job}/job", read_only=True),
        Mount("/out", "{job}/out"),
        Mount("/work", "{job}/work"),
        Mount("/run/lava-exec", "{job}/run"),
    ]
    if secrets:
        mounts.append(Mount("/job/secrets", "{secrets}", read_only=True))
    if "cache" in needs.mounts:
        # Links to what this job fetched, not the whole cache: other jobs' artefacts are none of its business.
        mounts.append(Mount("/cache", "{job}/cache", read_only=True))
    if needs.devices & MAJORS.keys():
        mounts.append(Mount("/dev/lava", "{job}/dev"))
    for service in ("tftp", "nfs"):
        if service in needs.mounts:
            path = f"/srv/{service}/{job_id}"
            mounts.append(Mount(path, "{host}" + path))
    mounts += [Mount(path, "{host}" + path, read_only=True) for path in tools]
    return mounts


def _environment(facts: HostFacts, tools: tuple[str, ...]) -> dict[str, str]:
    environment = {"HOME": "/work", "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}
    environment |= facts.http_proxy
    if facts.ca_bundle:
        names = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "GIT_SSL_CAINFO", "CURL_CA_BUNDLE")
        environment |= dict.fromkeys(names, CA_BUNDLE)
    if tools:
        environment["PATH"] = ":".join([PATH, *tools])
    return environment


def _renamed(path: str, old: str, new: str) -> str:
    for service in ("/srv/tftp/", "/srv/nfs/"):
        if path.endswith(service + old):
            return path[: -len(old)] + new
    return path
