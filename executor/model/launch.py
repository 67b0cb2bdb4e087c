# SPDX-License-Identifier: Apache-2.0
"""What a job's container is made of, as plain data that is stored with the job (design §3, §9).

Actions declare `Needs`; the union over the plan, the device and the `HostFacts` give one `LaunchSpec`. Host
paths in a spec are symbolic (`{job}/out`, `{cache}`), so that `reproduce` can place them elsewhere.
"""

from __future__ import annotations

import msgspec

UID = 10777  # the fixed non-root user of job containers


class Needs(msgspec.Struct, frozen=True):
    """What an action must have in its container; a plan's needs are the union of its actions'.

    `mounts`: names out of cache, work, tftp, nfs, tools. `devices`: kinds out of kvm, tun, fuse, serial, usb,
    block (a fixed table maps a kind to majors). `network`: none, bridge or host. `tools`: program names that
    must be in the image. `memory`: MiB beyond the runner's own.
    """

    image: str = "dispatcher"  # dispatcher or qemu
    mounts: frozenset[str] = frozenset()
    devices: frozenset[str] = frozenset()
    capabilities: frozenset[str] = frozenset()
    network: str = "none"
    tools: frozenset[str] = frozenset()
    memory: int = 0

    def __or__(self, other: Needs) -> Needs:
        order = ("none", "bridge", "host")
        return Needs(
            image="qemu" if "qemu" in (self.image, other.image) else self.image,
            mounts=self.mounts | other.mounts,
            devices=self.devices | other.devices,
            capabilities=self.capabilities | other.capabilities,
            network=max(self.network, other.network, key=order.index),
            tools=self.tools | other.tools,
            memory=max(self.memory, other.memory),
        )


class HostFacts(msgspec.Struct, omit_defaults=True):
    """What the host can do, seen by the agent at start; stored with the spec."""

    worker: str = ""
    engine: str = "docker"  # docker or podman
    engine_version: str = ""
    cgroup: int = 2
    uid: int = UID
    gid: int = UID
    kvm: bool = False  # a guest was really started with it
    kvm_reason: str = ""
    kvm_gid: int = -1
    cpus: int = 1
    memory_mib: int = 0
    device_rules: bool = True  # the engine honours device cgroup rules (podman does not)
    dispatcher_ip: str = ""
    http_proxy: dict[str, str] = {}  # environment names and values that reach the jobs
    ca_bundle: str = ""  # host path of a CA bundle that reaches the jobs, or ""
    images: dict[str, str] = {}  # image reference -> config digest
    image_tag: str = "latest"  # which version of the job images is used


class Mount(msgspec.Struct, frozen=True, omit_defaults=True):
    """A bind mount or tmpfs. `source` is symbolic, starting with {job}, {cache}, {secrets} or {host}."""

    target: str
    source: str = ""
    read_only: bool = False
    kind: str = "bind"  # bind or tmpfs
    size_mib: int = 0  # tmpfs only
    mode: int = 0o755  # tmpfs only


class DeviceRule(msgspec.Struct, frozen=True, omit_defaults=True):
    """Cgroup permission for device nodes. `minor` -1 means any minor of that major."""

    kind: str  # c or b
    major: int
    minor: int = -1
    access: str = "rw"


class DeviceNode(msgspec.Struct, frozen=True, omit_defaults=True):
    """A host device node given at creation, such as /dev/kvm."""

    source: str
    target: str
    access: str = "rw"


class LaunchSpec(msgspec.Struct, omit_defaults=True):
    """Everything the engine is told, and nothing else. Sizes in MiB, times in seconds."""

    job_id: str
    image: str
    image_digest: str
    command: list[str]
    format: int = 1
    user: str = ""
    groups: list[int] = []
    workdir: str = "/work"
    environment: dict[str, str] = {}
    mounts: list[Mount] = []
    nodes: list[DeviceNode] = []
    device_rules: list[DeviceRule] = []
    capabilities: list[str] = []  # added after cap_drop ALL
    network: str = "none"
    memory_mib: int = 0
    cpus: float = 0.0
    pids: int = 512
    disk_mib: int = 0  # limit of /work and /out together, watched by the agent
    shm_mib: int = 64
    stop_seconds: int = 30
    labels: dict[str, str] = {}
    hostname: str = ""
    needs: Needs = Needs()
    facts: HostFacts = msgspec.field(default_factory=HostFacts)
