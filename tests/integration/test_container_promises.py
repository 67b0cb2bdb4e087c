# SPDX-License-Identifier: Apache-2.0
"""What a launch spec promises, looked at from outside with inspect and tried from inside the container."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from executor.container.cache import Cache
from executor.container.engine import Engine, connect
from executor.container.facts import collect, job_images
from executor.container.jobdir import JobDirectory
from executor.container.launch import LABEL_STATE, plan_container
from executor.container.session import CancelSteps, Launch, Outcome, Session
from executor.container.store import Store
from executor.model.deadline import Deadline
from executor.model.launch import HostFacts, LaunchSpec, Needs
from executor.model.worker import Worker

QEMU_IMAGE = job_images()[1]

pytestmark = pytest.mark.docker

# Runs in the container: tries what must not work and writes what it saw to /out.
LOOK = """
import ctypes, json, os, resource, socket, stat
def mount():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"none", b"/work", b"tmpfs", 0, b""):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
def tried(what):
    try:
        what()
        return "worked"
    except OSError as error:
        return error.strerror
def write(path):
    with open(path, "w") as file:
        file.write("x")
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
mounts = [line.split() for line in open("/proc/self/mounts")]
seen = {
    "uid": os.getuid(), "gid": os.getgid(), "groups": os.getgroups(),
    "capabilities": {n: status[n].strip() for n in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")},
    "no_new_privs": status["NoNewPrivs"].strip(), "seccomp": status["Seccomp"].strip(),
    "init": open("/proc/1/comm").read().strip(),
    "mounts": {m[1]: m[3].split(",")[0] for m in mounts},
    "dev": sorted(os.listdir("/dev")),
    "sockets": [p for p in ("/var/run/docker.sock", "/run/docker.sock", "/run/podman/podman.sock")
                if os.path.exists(p)],
    "environment": sorted(os.environ),
    "interfaces": sorted(os.listdir("/sys/class/net")),
    "writes": {p: tried(lambda: write(p)) for p in
               ("/x", "/etc/x", "/job/x", "/job/job.yaml", "/cache/x", "/usr/bin/x", "/out/x", "/work/x",
                "/tmp/x", "/proc/sys/kernel/hostname", "/sys/x")},
    "mknod": tried(lambda: os.mknod("/work/null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))),
    "disk": tried(lambda: os.mknod("/tmp/disk", 0o666 | stat.S_IFBLK, os.makedev(254, 0))),
    "chown": tried(lambda: os.chown("/out/x", 0, 0)),
    "setuid": tried(lambda: os.setuid(0)),
    "chroot": tried(lambda: os.chroot("/work")),
    "raw": tried(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)),
    "mount": tried(mount),
    "limits": {n: resource.getrlimit(getattr(resource, n)) for n in ("RLIMIT_NOFILE", "RLIMIT_CORE")},
    "secrets": open("/job/secrets").read() if os.path.exists("/job/secrets") else "",
    "processes": sorted(p for p in os.listdir("/proc") if p.isdigit()).__len__(),
}
json.dump(seen, open("/out/seen.json", "w"))
"""


@pytest.fixture(scope="module")
def engine() -> Engine:
    return connect()


@pytest.fixture(scope="module")
def facts(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> HostFacts:
    found = collect(engine, tmp_path_factory.mktemp("facts"))
    if QEMU_IMAGE not in found.images:
        pytest.fail(f"the image {QEMU_IMAGE} is not here: make images")
    return found


class Bench:
    def __init__(self, engine: Engine, facts: HostFacts, root: Path) -> None:
        self.engine, self.facts, self.root = engine, facts, root

    def spec(self, needs: Needs, code: str, **options: Any) -> LaunchSpec:
        return plan_container(
            "7", needs, {}, self.facts, state=str(self.root), command=["python", "-c", code], **options
        )

    def session(self, **options: Any) -> Session:
        cache = Cache(Store(self.root / "cache"))
        return Session(self.engine, cache, JobDirectory(self.root / "job"), self.root, **options)

    def run(
        self, needs: Needs, code: str = LOOK, text: str = "job_name: x\n", **options: Any
    ) -> dict[str, Any]:
        session = self.session()
        session.start(Launch(text, {}, Worker("7")), self.spec(needs, code, **options))
        self.outcome: Outcome = session.finish()
        path = self.root / "job" / "out" / "seen.json"
        assert path.exists(), (self.root / "job/out/journal.ndjson").read_text()
        return dict(json.loads(path.read_bytes()))

    @property
    def containers(self) -> list[Any]:
        return list(self.engine.containers({LABEL_STATE: str(self.root)}, Deadline.after(10)))


@pytest.fixture
def bench(engine: Engine, facts: HostFacts, tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(engine, facts, tmp_path)
    yield bench
    left = bench.containers
    for container in left:
        engine.remove(container.id, Deadline.after(30))
    assert not left


QEMU = Needs(image="qemu", mounts=frozenset({"cache"}), devices=frozenset({"kvm"}), memory=256)


def test_promises_of_a_qemu_job_seen_from_inside(bench: Bench) -> None:
    text = "job_name: x\nsecrets: {TOKEN: s3cret}\n"
    seen = bench.run(QEMU, text=text, secrets=True)
    assert (seen["uid"], seen["gid"]) == (bench.facts.uid, bench.facts.gid)
    assert seen["uid"] != 0
    assert 0 not in seen["groups"]
    assert set(seen["capabilities"].values()) == {"0000000000000000"}
    assert seen["no_new_privs"] == "1"
    assert seen["seccomp"] == "2", "filtered"
    assert seen["mounts"]["/"] == "ro"
    assert {
        path: mode
        for path, mode in seen["mounts"].items()
        if path.startswith(("/job", "/cache", "/out", "/work"))
    } == {
        "/job": "ro",
        "/job/secrets": "ro",
        "/cache": "ro",
        "/out": "rw",
        "/work": "rw",
    }
    worked = {path for path, result in seen["writes"].items() if result == "worked"}
    assert worked == {"/out/x", "/work/x", "/tmp/x"}
    for forbidden in ("mknod", "disk", "chown", "setuid", "chroot", "raw", "mount"):
        assert seen[forbidden] == "Operation not permitted", forbidden
    assert seen["sockets"] == []
    assert set(seen["dev"]) <= {
        "core", "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout",
        "tty", "urandom", "zero", "console", "kvm",
    }  # fmt: skip
    assert ("kvm" in seen["dev"]) == bench.facts.kvm
    assert seen["interfaces"] == ["lo"], "no network"
    assert seen["limits"] == {"RLIMIT_NOFILE": [8192, 8192], "RLIMIT_CORE": [0, 0]}
    assert json.loads(seen["secrets"]) == {"TOKEN": "s3cret"}
    assert not [name for name in seen["environment"] if "TOKEN" in name]
    assert seen["processes"] <= 3, "its own process table, with an init"
    assert bench.outcome.exit_code == 0


def test_promises_of_a_running_job_seen_with_inspect(bench: Bench) -> None:
    from docker.api.client import APIClient

    session = bench.session(steps=CancelSteps(insist=0.1, kill=0.2))
    spec = bench.spec(QEMU, "import time; time.sleep(60)")
    session.start(Launch("job_name: x\n", {}, Worker("7")), spec)
    try:
        client = APIClient(version="1.40")
        seen = client.inspect_container(session.container)
        client.close()
    finally:
        session.cancel("seen")
        session.finish()
    host, config = seen["HostConfig"], seen["Config"]
    assert host["Privileged"] is False
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert host["ReadonlyRootfs"] is True
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert host["Init"] is True
    assert host["NetworkMode"] == "none"
    assert host["PidMode"] == ""
    assert host["IpcMode"] == "private"
    assert host["Memory"] == host["MemorySwap"] == spec.memory_mib << 20
    assert host["PidsLimit"] == spec.pids
    assert host["NanoCpus"] == int(spec.cpus * 1e9)
    assert host["ShmSize"] == 64 << 20
    assert config["User"] == f"{bench.facts.uid}:{bench.facts.gid}"
    sources = [mount["Source"] for mount in seen["Mounts"]]
    assert all(source.startswith(str(bench.root / "job")) for source in sources), sources
    assert seen["Image"] == bench.facts.images[QEMU_IMAGE]
    assert config["Labels"]["lava-exec"] == "job"
    assert config["Labels"]["lava-exec.job"] == "7"


def test_memory_limit_holds_and_is_named(bench: Bench) -> None:
    session = bench.session()
    spec = bench.spec(Needs(), "x = bytearray(1 << 30)\nfor i in range(0, 1 << 30, 4096): x[i] = 1")
    session.start(Launch("job_name: x\n", {}, Worker("7")), msgspec.structs.replace(spec, memory_mib=64))
    outcome = session.finish()
    assert outcome.out_of_memory
    assert "out of memory: its container had 64 MiB" in outcome.end.error_msg


def test_number_of_processes_is_limited(bench: Bench) -> None:
    code = """
import json, os
made = 0
try:
    while made < 2000:
        if os.fork() == 0:
            import time; time.sleep(20); os._exit(0)
        made += 1
except OSError as error:
    json.dump({"made": made, "why": error.strerror}, open("/out/seen.json", "w"))
os._exit(0)
"""
    session = bench.session()
    spec = msgspec.structs.replace(bench.spec(Needs(), code), pids=40)
    session.start(Launch("job_name: x\n", {}, Worker("7")), spec)
    session.finish()
    seen = json.loads((bench.root / "job/out/seen.json").read_bytes())
    assert 20 < seen["made"] < 40


def test_network_only_when_it_is_needed(bench: Bench) -> None:
    seen = bench.run(Needs(network="bridge"))
    assert "eth0" in seen["interfaces"]
    assert seen["raw"] != "worked", "no raw sockets"


def test_runner_gets_the_signal_of_a_cancel(bench: Bench) -> None:
    code = """
import json, signal, sys, time
def on(number, frame):
    json.dump({"signal": number}, open("/out/seen.json", "w"))
    sys.exit(4)
signal.signal(signal.SIGTERM, on)
open("/out/ready", "w").close()
time.sleep(60)
"""
    session = bench.session()
    session.start(Launch("job_name: x\n", {}, Worker("7")), bench.spec(Needs(), code))
    deadline = Deadline.after(20)
    while not (bench.root / "job/out/ready").exists():
        assert not deadline.expired
        os.sched_yield()
    session.cancel("enough")
    assert session.finish().exit_code == 4
    assert json.loads((bench.root / "job/out/seen.json").read_bytes()) == {"signal": 15}


def test_only_the_devices_rules_name_can_be_used(bench: Bench, tmp_path: Path) -> None:
    """A node that appears in the job's directory after the start works when its major is allowed."""
    if os.geteuid() != 0 or not bench.facts.device_rules:
        pytest.skip("needs root and an engine that keeps device rules")
    code = """
import json, os, time
deadline = time.monotonic() + 20
while not os.path.exists("/dev/lava/zero") and time.monotonic() < deadline:
    pass
def tried(path):
    try:
        return len(os.read(os.open(path, os.O_RDONLY | os.O_NONBLOCK), 1))
    except OSError as error:
        return error.strerror
json.dump({n: tried("/dev/lava/" + n) for n in ("usb", "disk", "zero")}, open("/out/seen.json", "w"))
"""
    session = bench.session()
    spec = bench.spec(Needs(devices=frozenset({"usb"})), code)
    session.start(Launch("job_name: x\n", {}, Worker("7")), spec)
    nodes = bench.root / "job" / "dev"
    for name, kind, major, minor in (
        ("usb", 0o020666, 189, 0),
        ("disk", 0o060666, 254, 0),
        ("new", 0o020666, 1, 5),
    ):
        os.mknod(nodes / name, kind, os.makedev(major, minor))
        (nodes / name).chmod(0o666)
    (nodes / "new").rename(nodes / "zero")  # the last one: all are there
    session.finish()
    seen = json.loads((bench.root / "job/out/seen.json").read_bytes())
    assert seen["zero"] == 1
    assert seen["disk"] == "Operation not permitted"
    assert seen["usb"] != "Operation not permitted", "allowed; the host has no such device"
