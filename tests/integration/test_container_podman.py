# SPDX-License-Identifier: Apache-2.0
"""Podman's socket in place of Docker's: what works is tried from inside, what does not is refused."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from executor.container.cache import Cache
from executor.container.docker_engine import DockerEngine
from executor.container.engine import EngineGone
from executor.container.facts import collect
from executor.container.jobdir import JobDirectory
from executor.container.launch import LABEL_STATE, plan_container
from executor.container.session import CancelSteps, Launch, Outcome, Session
from executor.container.store import Store
from executor.errors import ConfigurationError
from executor.model.deadline import Deadline
from executor.model.launch import HostFacts, LaunchSpec, Needs
from executor.model.worker import Worker

pytestmark = [
    pytest.mark.docker,
    pytest.mark.xdist_group("farm"),  # two services of podman at once get in each other's way
    pytest.mark.slow,
    pytest.mark.skipif(
        not (shutil.which("podman") and shutil.which("busybox") and os.geteuid() == 0),
        reason="needs podman, busybox and root",
    ),
]
IMAGE = "localhost/lava-exec-test:latest"


@pytest.fixture(scope="module")
def podman() -> Iterator[DockerEngine]:
    """A service with storage of its own, and an image that holds only busybox."""
    root = Path(tempfile.mkdtemp(prefix="podman-"))  # podman refuses a longer path
    socket = root / "s"
    base = [
        "podman",
        "--root",
        str(root / "root"),
        "--runroot",
        str(root / "run"),
        "--cgroup-manager",
        "cgroupfs",
    ]
    base += ["--runtime", "runc"] if shutil.which("runc") else []
    base += ["--events-backend", "file"]
    subprocess.run(
        [*base, "import", "-", IMAGE], input=busybox(), check=True, capture_output=True, timeout=60
    )
    with (root / "log").open("wb") as log:
        service = subprocess.Popen(
            [*base, "system", "service", "--time", "0", f"unix://{socket}"],
            stdout=log,
            stderr=log,
            env={**os.environ, **init_program(root)},
        )
    engine = DockerEngine({"DOCKER_HOST": f"unix://{socket}"})
    deadline = Deadline.after(30)
    while True:
        try:
            engine.info(Deadline.after(5))
            break
        except EngineGone:
            if deadline.expired or service.poll() is not None:
                pytest.skip(f"podman's service does not start here: {(root / 'log').read_text()[-500:]}")
            time.sleep(0.1)
    yield engine
    service.terminate()
    service.wait(20)
    subprocess.run([*base, "system", "reset", "--force"], capture_output=True, timeout=60, check=False)
    shutil.rmtree(root, ignore_errors=True)


def init_program(root: Path) -> dict[str, str]:
    """Podman's own init is a package of its own; another one will do for a test."""
    other = shutil.which("docker-init") or shutil.which("tini-static") or shutil.which("tini")
    if shutil.which("catatonit") or Path("/usr/libexec/podman/catatonit").exists() or not other:
        return {}
    (root / "containers.conf").write_text(f'[engine]\ninit_path = "{other}"\n')
    return {"CONTAINERS_CONF": str(root / "containers.conf")}


def libraries(program: Path) -> list[Path]:
    """What a program is linked to; nothing for a static one."""
    told = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=False).stdout
    return [Path(found) for found in re.findall(r"(/\S+) \(0x", told)]


def busybox() -> bytes:
    """A root file system as a tar archive."""
    found = io.BytesIO()
    program = Path(shutil.which("busybox") or "")
    with tarfile.open(fileobj=found, mode="w") as tar:
        for name, file in [("bin/busybox", program), *((str(lib)[1:], lib) for lib in libraries(program))]:
            content = file.read_bytes()
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755
            tar.addfile(entry, io.BytesIO(content))
        for name in ("sh", "cat", "grep", "mknod", "sleep", "id", "ls", "kill", "tail", "touch"):
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
        for name in ("job", "out", "work", "run", "tmp", "proc", "sys", "dev", "etc"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
            tar.addfile(folder)
    return found.getvalue()


@pytest.fixture(scope="module")
def facts(podman: DockerEngine, tmp_path_factory: pytest.TempPathFactory) -> HostFacts:
    return collect(podman, tmp_path_factory.mktemp("facts"), images=(IMAGE,), probe_kvm=False)


class Bench:
    def __init__(self, engine: DockerEngine, facts: HostFacts, root: Path) -> None:
        self.engine, self.facts, self.root = engine, facts, root

    def spec(self, script: str, needs: Needs | None = None) -> LaunchSpec:
        return plan_container(
            "7",
            needs or Needs(),
            {},
            self.facts,
            state=str(self.root),
            image=IMAGE,
            command=["/bin/sh", "-c", script],
        )

    def session(self, **options: CancelSteps) -> Session:
        cache = Cache(Store(self.root / "cache"))
        return Session(self.engine, cache, JobDirectory(self.root / "job"), self.root, **options)  # type: ignore[arg-type]

    def run(self, script: str, **changes: int) -> Outcome:
        session = self.session()
        session.start(
            Launch("job_name: x\n", {}, Worker("7")), msgspec.structs.replace(self.spec(script), **changes)
        )
        return session.finish()

    def seen(self, name: str) -> str:
        return (self.root / "job" / "out" / name).read_text()


@pytest.fixture
def bench(podman: DockerEngine, facts: HostFacts, tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(podman, facts, tmp_path)
    yield bench
    left = podman.containers({LABEL_STATE: str(tmp_path)}, Deadline.after(20))
    for container in left:
        podman.remove(container.id, Deadline.after(30))
    assert not left


def test_it_is_known_for_what_it_is(facts: HostFacts) -> None:
    assert facts.engine == "podman"
    assert not facts.device_rules
    assert facts.images[IMAGE].startswith("sha256:")


def test_promises_seen_from_inside(bench: Bench) -> None:
    outcome = bench.run(
        """
        cat /proc/self/status >/out/status; cat /proc/self/mounts >/out/mounts; ls /sys/class/net >/out/net
        cat /proc/1/comm >/out/init; cat /proc/self/limits >/out/limits
        for path in /x /etc/x /job/x /out/x /work/x /tmp/x; do
            touch $path 2>/dev/null && echo $path
        done >/out/wrote
        mknod /work/null c 1 3 2>/out/mknod; kill -9 1 2>/dev/null; exit 5
        """
    )
    status = dict(line.split(":", 1) for line in bench.seen("status").splitlines())
    assert outcome.exit_code == 5
    assert status["Uid"].split() == [str(bench.facts.uid)] * 4
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[name], 16) == 0, name
    assert status["NoNewPrivs"].strip() == "1"
    assert status["Seccomp"].strip() == "2"
    mounts = {line.split()[1]: line.split()[3].split(",")[0] for line in bench.seen("mounts").splitlines()}
    assert (mounts["/"], mounts["/job"], mounts["/out"]) == ("ro", "ro", "rw")
    assert bench.seen("wrote").split() == ["/out/x", "/work/x", "/tmp/x"]
    assert "not permitted" in bench.seen("mknod")
    assert bench.seen("net").split() == ["lo"]
    assert "Max core file size        0" in bench.seen("limits")


def test_number_of_processes_is_limited(bench: Bench) -> None:
    bench.run("i=0; while [ $i -lt 60 ]; do sleep 5 & i=$((i+1)); echo $i >/out/made; done", pids=20)
    assert int(bench.seen("made")) < 25


def test_runner_that_dies_is_explained_and_removed(bench: Bench) -> None:
    outcome = bench.run("echo last words >&2; exit 3")
    assert "exit code 3" in outcome.end.error_msg
    assert "last words" in bench.seen("journal.ndjson")


def test_cancel_kills_in_the_end(bench: Bench) -> None:
    session = bench.session(steps=CancelSteps(insist=0.2, kill=0.5))
    session.start(
        Launch("job_name: x\n", {}, Worker("7")), bench.spec("trap '' TERM; while :; do sleep 1; done")
    )
    session.cancel("enough")
    outcome = session.finish()
    assert (outcome.end.health, outcome.exit_code) == ("Canceled", 137)


def test_device_rules_are_refused_not_left_out(bench: Bench) -> None:
    with pytest.raises(ConfigurationError, match="does not keep a container from other usb devices"):
        bench.spec("true", Needs(devices=frozenset({"usb"})))
