# SPDX-License-Identifier: Apache-2.0
"""Device locks, the ladder of a cancel, the KVM guest, facts, the docker adapter's errors."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from executor.container import facts as facts_module
from executor.container import kvm
from executor.container.devicelock import Holder, lock_directory, lock_name, take_device
from executor.container.docker_engine import DockerEngine
from executor.container.ending import Ending, explain
from executor.container.engine import EngineGone, EngineRefused, EngineSlow, NoSuchContainer
from executor.container.facts import collect, proxies
from executor.container.ladder import NEVER, CancelSteps, Ladder
from executor.container.power import power_off_commands
from executor.errors import ConfigurationError, InfrastructureError
from executor.model.deadline import Deadline
from executor.testing.engine import FakeEngine, Stage

# -- locks


def holder(job: str) -> Holder:
    return Holder(job, f"/jobs/{job}", os.getpid())


def test_device_has_one_job(tmp_path: Path) -> None:
    first = take_device(tmp_path, "bone-07", holder("1"))
    with pytest.raises(InfrastructureError, match=r"bone-07 is in use on this host by job 1"):
        take_device(tmp_path, "bone-07", holder("2"))
    take_device(tmp_path, "bone-08", holder("2")).release()
    first.release()
    take_device(tmp_path, "bone-07", holder("2")).release()


def test_job_without_a_process_keeps_its_device_while_its_container_runs(tmp_path: Path) -> None:
    take_device(tmp_path, "bone", holder("1")).keep()
    with pytest.raises(InfrastructureError, match="by job 1"):
        take_device(tmp_path, "bone", holder("2"), alive=lambda found: found.job == "1")
    take_device(tmp_path, "bone", holder("1"), alive=lambda found: True).keep()
    take_device(tmp_path, "bone", holder("2"), alive=lambda found: False).release()


@pytest.mark.parametrize("name", ["../etc/passwd", "a/b", "", "x" * 300, ".hidden"])
def test_any_name_locks_a_file_of_the_directory(tmp_path: Path, name: str) -> None:
    lock = (
        take_device(tmp_path / "locks", name, holder("1")) if (tmp_path / "locks").mkdir() is None else None
    )
    assert [path.parent for path in (tmp_path / "locks").iterdir()] == [tmp_path / "locks"]
    assert lock is not None
    lock.release()


def test_only_real_devices_are_locked() -> None:
    assert lock_name({"hostname": "q", "actions": {}}) == ""
    assert lock_name({"hostname": "b", "commands": {"power_on": "x"}}) == "b"
    assert lock_name({"hostname": "b", "device_info": [{"board_id": "1"}]}) == "b"


def test_lock_directory_may_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAVA_EXEC_LOCKS", str(tmp_path / "here"))
    assert lock_directory(tmp_path / "state") == tmp_path / "here"


# -- ladder


def test_each_rung_once_and_in_time() -> None:
    ladder = Ladder(CancelSteps(insist=60, kill=120))
    assert ladder.due(1e9) is None
    assert ladder.next == NEVER
    ladder.begin(10)
    ladder.begin(50)
    taken = [(now, rung.signal) for now in range(10, 200, 10) if (rung := ladder.due(now))]
    assert taken == [(10, "SIGTERM"), (70, "SIGTERM"), (130, "SIGKILL")]
    assert ladder.killed
    assert ladder.next == NEVER


def test_kill_without_asking() -> None:
    ladder = Ladder(CancelSteps())
    ladder.kill(5)
    rung = ladder.due(5)
    assert rung is not None
    assert rung.signal == "SIGKILL"
    ladder.kill(6)
    assert ladder.due(99) is None


# -- endings and power


@pytest.mark.parametrize(
    ("ending", "kind", "code", "words"),
    [
        (Ending(exit_code=1), "Infrastructure", 3, "exit code 1"),
        (Ending(exit_code=137), "Infrastructure", 3, "SIGKILL"),
        (Ending(exit_code=250), "Infrastructure", 3, "exit code 250"),
        (Ending(exit_code=127, error="no such program"), "Infrastructure", 3, "no such program"),
        (Ending(exit_code=137, out_of_memory=True), "Infrastructure", 3, "had 512 MiB"),
        (Ending(vanished=True), "Infrastructure", 3, "removed while it ran"),
        (Ending(engine_lost="gone"), "Infrastructure", 3, "engine was lost"),
        (Ending(canceled="enough"), "Canceled", 4, "enough"),
        (Ending(canceled="enough", killed=True), "Canceled", 4, "had to be killed"),
        (Ending(disk=9 << 20, killed=True, canceled="x"), "Job", 2, "9 MiB, 7 MiB are allowed"),
        (Ending(overdue=True, killed=True), "Infrastructure", 3, "did not end at the job's timeout"),
    ],
)
def test_every_ending_has_a_cause(ending: Ending, kind: str, code: int, words: str) -> None:
    end = explain(ending, memory_mib=512, disk_mib=7)
    assert (end.error_type, end.exit_code) == (kind, code)
    assert words in end.error_msg
    assert end.health == ("Canceled" if kind == "Canceled" else "Incomplete")
    assert end.who


@pytest.mark.parametrize(
    ("device", "lines"),
    [
        ({}, []),
        ({"commands": None}, []),
        ({"commands": {"power_off": "pdu off 7"}}, ["pdu off 7"]),
        ({"commands": {"power_off": ["a", "", "b"]}}, ["a", "b"]),
    ],
)
def test_power_off_commands(device: dict[str, Any], lines: list[str]) -> None:
    assert power_off_commands(device) == lines


# -- facts


def test_proxies_in_both_spellings() -> None:
    found = proxies({"HTTPS_PROXY": "http://p", "no_proxy": "lab", "PATH": "/bin"})
    assert found == {
        "https_proxy": "http://p",
        "HTTPS_PROXY": "http://p",
        "no_proxy": "lab",
        "NO_PROXY": "lab",
    }


def test_kvm_is_believed_only_when_the_guest_said_so(tmp_path: Path) -> None:
    engine = FakeEngine()
    answers = iter([1, kvm.PASSED_X86])

    def probe(stage: Stage) -> int:
        if stage.spec.command[0] == "cat":
            stage.output = (stage.places.job / "nonce").read_bytes()
            return 0
        if stage.spec.command[0] == "stat":
            stage.output = b"104 660"
            return 0
        assert (stage.places.job / "rom").stat().st_size == 64 << 10
        stage.output = b"Could not access KVM\nmore"
        return next(answers)

    engine.programs["probe"] = probe
    first = collect(engine, tmp_path, worker="w")
    assert (first.kvm, first.kvm_reason) == (False, "Could not access KVM")
    kept = collect(engine, tmp_path, worker="w")
    assert kept.kvm_reason == first.kvm_reason, "not asked again"
    (tmp_path / "facts.json").unlink()
    assert collect(engine, tmp_path, worker="w").kvm
    assert not engine.containers({}, Deadline.after(5))
    assert {path.name for path in tmp_path.iterdir()} == {"facts.json"}


def test_agent_in_a_container_with_another_view_of_the_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facts_module, "in_container", lambda: True)
    engine = FakeEngine({"probe": lambda stage: 1})
    with pytest.raises(ConfigurationError, match="does not see"):
        collect(engine, tmp_path, probe_kvm=False)


def test_firmware_begins_at_the_reset_vector() -> None:
    image = kvm.rom("x86_64")
    assert len(image) == 64 << 10
    displacement = int.from_bytes(image[0xFFF1:0xFFF3], "little", signed=True)
    assert image[0xFFF0] == 0xE9
    assert (0xFFF3 + displacement) & 0xFFFF == 0
    assert image[0] == 0xFA, "cli"


# -- the docker adapter


class Stub:
    """A socket that answers every request with one canned response."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.response: tuple[int, Any] = (200, {})
        self.silent = threading.Event()
        self.paths: list[str] = []
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        self._server.listen(8)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                channel, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(channel,), daemon=True).start()

    def _answer(self, channel: socket.socket) -> None:
        with channel:
            data = b""
            while b"\r\n\r\n" not in data:
                more = channel.recv(65536)
                if not more:
                    return
                data += more
            self.paths.append(data.split(b" ")[1].decode())
            if self.silent.is_set():
                channel.recv(1)  # until the client gives up
                return
            status, body = self.response
            text = json.dumps(body).encode()
            head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n"
            channel.sendall((head + "Connection: close\r\n\r\n").encode() + text)

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()


@pytest.fixture
def stub(tmp_path: Path) -> Iterator[Stub]:
    stub = Stub(tmp_path / "s")
    yield stub
    stub.close()


def adapter(path: Path) -> DockerEngine:
    return DockerEngine({"DOCKER_HOST": f"unix://{path}"})


def soon() -> Deadline:
    return Deadline.after(5)


def test_no_engine_names_the_address_and_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(EngineGone, match="no container engine answers at unix://") as caught:
        adapter(tmp_path / "nothing").info(soon())
    assert "systemctl start docker" in caught.value.hint


def test_unknown_container(stub: Stub) -> None:
    stub.response = (404, {"message": "No such container: abc"})
    engine = adapter(stub.path)
    with pytest.raises(NoSuchContainer):
        engine.inspect("abc", soon())
    with pytest.raises(NoSuchContainer):
        engine.wait("abc", soon())
    engine.remove("abc", soon())
    engine.kill("abc", "SIGTERM", soon())


def test_unknown_image(stub: Stub) -> None:
    stub.response = (404, {"message": "No such image"})
    assert adapter(stub.path).image_digest("x", soon()) == ""


def test_refusal_in_the_engines_own_words_with_a_hint(stub: Stub) -> None:
    stub.response = (500, {"message": 'exec: "docker-init": executable file not found in $PATH'})
    with pytest.raises(EngineRefused, match="docker-init") as caught:
        adapter(stub.path).start("abc", soon())
    assert caught.value.hint.startswith("Install docker-init")
    assert caught.value.status == 500


def test_kill_of_a_container_that_has_ended(stub: Stub) -> None:
    stub.response = (409, {"message": "Container abc is not running"})
    adapter(stub.path).kill("abc", "SIGTERM", soon())


def test_wait_gives_up_at_its_deadline_other_calls_complain(stub: Stub) -> None:
    stub.silent.set()
    engine = adapter(stub.path)
    assert engine.wait("abc", Deadline.after(0.2)) is None
    with pytest.raises(EngineSlow):
        engine.inspect("abc", Deadline.after(0.2))


def test_podman_is_told_from_docker(stub: Stub) -> None:
    stub.response = (
        200,
        {
            "Version": "4.3.1", "Components": [{"Name": "Podman Engine"}], "Architecture": "amd64", "NCPU": 2,
            "MemTotal": 4 << 30, "SecurityOptions": ["name=rootless"],
        },
    )  # fmt: skip
    info = adapter(stub.path).info(soon())
    assert (info.kind, info.architecture, info.memory_mib, info.rootless) == ("podman", "x86_64", 4096, True)


def test_containers_by_label(stub: Stub) -> None:
    stub.response = (
        200,
        [{"Id": "a" * 64, "State": "running", "Labels": {"lava-exec": "job"}, "Created": 5}],
    )
    found = adapter(stub.path).containers({"lava-exec": "", "lava-exec.job": "7"}, soon())
    assert [(c.running, c.labels, c.created) for c in found] == [(True, {"lava-exec": "job"}, 5.0)]
    assert "lava-exec.job%3D7" in stub.paths[0]
