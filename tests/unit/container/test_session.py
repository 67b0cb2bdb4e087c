# SPDX-License-Identifier: Apache-2.0
"""Every ending of a job: what stands in the journal then, and that nothing is left."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from executor.container.cache import Cache
from executor.container.engine import EngineGone
from executor.container.jobdir import JobDirectory
from executor.container.journalfile import read_tail
from executor.container.launch import plan_container
from executor.container.secretplace import memory_directory
from executor.container.session import CancelSteps, Detached, Launch, Outcome, Session
from executor.container.store import Store
from executor.errors import InfrastructureError, JobCanceled
from executor.model import doorbell, journal
from executor.model.journal import End, Record
from executor.model.launch import HostFacts, LaunchSpec, Needs
from executor.model.worker import Limits, Worker
from executor.testing.engine import FAKE_DIGEST, FakeEngine, Stage

NOW = "2030-01-01T00:00:00.000000+00:00"
FACTS = HostFacts(images={"lava-exec/qemu:latest": FAKE_DIGEST}, cpus=2, memory_mib=8000)
SWITCHED: dict[str, Any] = {"hostname": "board", "commands": {"power_off": ["pdu off 7", "sleep 1"]}}


def line(seq: int, msg: str = "hello") -> Record:
    return Record(seq, NOW, journal.TARGET, msg)


def end(seq: int, **fields: Any) -> Record:
    defaults: dict[str, Any] = {"health": "Complete", "exit_code": 0, "powered_off": True}
    return Record(seq, NOW, journal.END, msgspec.to_builtins(End(**{**defaults, **fields})))


class Bench:
    """One job on a fake engine."""

    def __init__(
        self, root: Path, program: Callable[[Stage], int], device: dict[str, Any] | None = None
    ) -> None:
        self.root = root
        self.engine = FakeEngine({"job": program})
        self.device = device or {"hostname": "board"}
        self.cache = Cache(Store(root / "cache", keep_free=0))
        self.sizes: list[int] = []

    def spec(self, job: str = "7", **changes: Any) -> LaunchSpec:
        needs = Needs(image="qemu", mounts=frozenset({"cache"}))
        spec = plan_container(job, needs, self.device, FACTS, agent="w1", state=str(self.root), secrets=True)
        return msgspec.structs.replace(spec, **changes)

    def session(self, job: str = "7", **options: Any) -> Session:
        return Session(
            self.engine,
            self.cache,
            JobDirectory(self.root / "jobs" / job),
            self.root,
            on_journal=self.sizes.append,
            **options,
        )

    def launch(self, text: str = "job_name: x\nsecrets: {TOKEN: s3cret}\n", **options: Any) -> Launch:
        return Launch(text, self.device, Worker("7"), device_name="board", **options)

    def run(self, session: Session | None = None) -> Outcome:
        session = session or self.session()
        session.start(self.launch(), self.spec())
        return session.finish()

    def records(self, job: str = "7") -> list[Record]:
        return journal.decode_lines((self.root / "jobs" / job / "out" / "journal.ndjson").read_bytes())

    def nothing_left(self, job: str = "7") -> bool:
        kept = {p.name for p in (self.root / "jobs" / job).iterdir()}
        free = not (self.root / "board.lock").exists() or not (self.root / "board.lock").read_bytes()
        secrets = [p for p in memory_directory().glob("secrets-*") if b"s3cret" in p.read_bytes()]
        return (
            not self.engine.containers({}, deadline())
            and kept <= {"spec.json", "job", "out", "artefacts.json", "session.log"}
            and free
            and not secrets
            and not (self.root / "jobs" / job / "job" / "secrets").exists()
        )


def deadline() -> Any:
    from executor.model.deadline import Deadline

    return Deadline.after(5)


@pytest.fixture
def bench(tmp_path: Path) -> Callable[..., Bench]:
    return lambda program, device=None: Bench(tmp_path, program, device)


def good(stage: Stage) -> int:
    stage.write_journal([line(0), end(1)])
    return 0


def test_normal_end(bench: Callable[..., Bench]) -> None:
    b = bench(good)
    outcome = b.run()
    assert (outcome.end.health, outcome.end.exit_code, outcome.written_by_runner) == ("Complete", 0, True)
    assert outcome.journal == (b.root / "jobs/7/out/journal.ndjson").stat().st_size == b.sizes[-1]
    assert [r.seq for r in b.records()] == [0, 1]
    assert b.nothing_left()


def test_what_the_runner_finds_in_its_container(bench: Callable[..., Bench]) -> None:
    seen: dict[str, Any] = {}

    def look(stage: Stage) -> int:
        seen["job"] = (stage.job / "job.yaml").read_text()
        seen["worker"] = (stage.job / "worker.yaml").read_text()
        seen["device"] = (stage.job / "device.yaml").read_text()
        assert stage.places.secrets is not None
        seen["secrets"] = json.loads(stage.places.secrets.read_bytes())
        seen["on disk"] = b"".join(p.read_bytes() for p in stage.places.job.rglob("*") if p.is_file())
        return good(stage)

    b = bench(look)
    session = b.session()
    session.start(b.launch(secrets={"OTHER": "0ther"}), b.spec())
    session.finish()
    assert seen["secrets"] == {"TOKEN": "s3cret", "OTHER": "0ther"}
    assert b"s3cret" not in seen["on disk"]
    assert "TOKEN" in seen["job"]
    assert session.container[:12] in seen["worker"]
    assert FAKE_DIGEST in seen["worker"]
    assert "board" in seen["device"]


def test_runner_that_died_gets_an_end_and_its_last_output(bench: Callable[..., Bench]) -> None:
    def die(stage: Stage) -> int:
        stage.output = b"Traceback: boom with s3cret\n"
        stage.write_journal(
            [line(0), Record(1, NOW, journal.RESULTS, {"definition": "0_t", "case": "a", "result": "pass"})],
            torn=b'{"seq":2,"dt":',
        )
        return 70

    b = bench(die)
    outcome = b.run()
    records = b.records()
    assert [r.seq for r in records] == list(range(len(records)))
    assert "died while it wrote this line (14 bytes)" in str(records[2].msg)
    assert records[3].msg == "container: Traceback: boom with [MASKED]"
    assert records[-2].msg["error_type"] == "Infrastructure"
    final = read_tail(b.root / "jobs/7/out/journal.ndjson").end
    assert final == outcome.end
    assert (outcome.end.exit_code, outcome.end.health, outcome.end.cases) == (3, "Incomplete", {"pass": 1})
    assert "exit code 70" in outcome.end.error_msg
    assert records[outcome.end.seq].lvl == journal.EXCEPTION
    assert not outcome.written_by_runner
    assert b.nothing_left()


def test_out_of_memory_is_named(bench: Callable[..., Bench]) -> None:
    def die(stage: Stage) -> int:
        stage.out_of_memory = True
        return 137

    outcome = bench(die).run()
    assert "out of memory" in outcome.end.error_msg
    assert outcome.out_of_memory


def test_killed_runner_names_the_signal(bench: Callable[..., Bench]) -> None:
    assert "SIGSEGV" in bench(lambda stage: 139).run().end.error_msg


def test_cancel_asks_first(bench: Callable[..., Bench]) -> None:
    def obey(stage: Stage) -> int:
        stage.write_journal([line(0)])
        assert stage.wait_for_signal(10)
        stage.write_journal([end(1, health="Canceled", exit_code=4)])
        return 4

    b = bench(obey)
    session = b.session()
    session.start(b.launch(), b.spec())
    session.cancel("enough")
    outcome = session.finish()
    assert (outcome.end.health, outcome.written_by_runner) == ("Canceled", True)
    assert b.engine.specs
    assert "ask: SIGTERM (enough)" in (b.root / "jobs/7/session.log").read_text()


def test_cancel_insists_then_kills(bench: Callable[..., Bench]) -> None:
    seen: list[str] = []

    def deaf(stage: Stage) -> int:
        seen.extend(stage.signals)
        try:
            stage.wait_for_signal(20, count=99)
        finally:
            seen.extend(stage.signals)
        return 0

    b = bench(deaf, SWITCHED)
    session = b.session(steps=CancelSteps(insist=0.05, kill=0.1))
    session.start(b.launch(), b.spec())
    session.cancel("enough")
    outcome = session.finish()
    assert seen == ["SIGTERM", "SIGTERM", "SIGKILL"]
    assert (outcome.end.health, outcome.end.exit_code) == ("Canceled", 4)
    assert "had to be killed" in outcome.end.error_msg
    assert outcome.power == "repeated"
    assert b.nothing_left()


def test_cancel_from_another_thread_while_it_runs(bench: Callable[..., Bench]) -> None:
    running = threading.Event()

    def obey(stage: Stage) -> int:
        running.set()
        stage.wait_for_signal(10)
        stage.write_journal([end(0, health="Canceled", exit_code=4)])
        return 4

    b = bench(obey)
    session = b.session()
    session.start(b.launch(), b.spec())
    canceler = threading.Thread(target=lambda: running.wait(10) and session.cancel("late"))
    canceler.start()
    assert session.finish().end.health == "Canceled"
    canceler.join(5)


def test_cancel_before_start(bench: Callable[..., Bench]) -> None:
    b = bench(good)
    session = b.session()
    session.cancel("never mind")
    with pytest.raises(JobCanceled, match="never mind"):
        session.start(b.launch(), b.spec())
    assert b.nothing_left()


@pytest.mark.parametrize("fault", ["refused", "mount", "engine"])
def test_start_that_fails_leaves_nothing(bench: Callable[..., Bench], fault: str) -> None:
    b = bench(good)
    spec = b.spec()
    if fault == "refused":
        b.engine.refuse_start = "no runtime"
    elif fault == "mount":
        spec.mounts.append(msgspec.structs.replace(spec.mounts[2], source="{host}/does/not/exist"))
    else:
        b.engine.down = True
    session = b.session()
    with pytest.raises(InfrastructureError):
        session.start(b.launch(), spec)
    b.engine.down = False
    assert b.nothing_left()


def test_vanished_container(bench: Callable[..., Bench]) -> None:
    running = threading.Event()

    def run(stage: Stage) -> int:
        stage.write_journal([line(0)])
        running.set()
        stage.wait_for_signal(20)
        return 0

    b = bench(run)
    session = b.session()
    session.start(b.launch(), b.spec())
    assert running.wait(10)
    b.engine.forget(session.container)
    outcome = session.finish()
    assert "was removed while it ran" in outcome.end.error_msg
    assert [r.seq for r in b.records()] == list(range(len(b.records())))
    assert b.nothing_left()


def test_engine_that_comes_back_costs_nothing(bench: Callable[..., Bench]) -> None:
    b: Bench

    def run(stage: Stage) -> int:
        b.engine.down = True
        stage.write_journal([line(0), end(1)])
        threading.Timer(0.3, lambda: setattr(b.engine, "down", False)).start()
        return 0

    b = bench(run)
    outcome = b.run(b.session(engine_patience=20))
    assert outcome.written_by_runner
    assert b.nothing_left()


def test_engine_that_stays_away(bench: Callable[..., Bench]) -> None:
    b: Bench

    def run(stage: Stage) -> int:
        stage.write_journal([line(0)])
        b.engine.down = True
        stage.wait_for_signal(20)
        return 0

    b = bench(run)
    session = b.session(engine_patience=0.3)
    session.start(b.launch(), b.spec())
    back = threading.Timer(1.0, lambda: setattr(b.engine, "down", False))
    back.start()
    outcome = session.finish()
    assert "engine was lost" in outcome.end.error_msg
    assert not outcome.leftover
    assert b.nothing_left()


def test_disk_limit(bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("executor.container.watch.LIMIT_SECONDS", 0.05)
    monkeypatch.setattr("executor.container.watch.DISK_SLACK", 0)

    def fill(stage: Stage) -> int:
        (stage.places.job / "work" / "big").write_bytes(b"x" * (3 << 20))
        stage.wait_for_signal(20)
        return 0

    b = bench(fill)
    session = b.session()
    session.start(b.launch(), b.spec(disk_mib=2))
    outcome = session.finish()
    assert (outcome.end.error_type, outcome.end.exit_code) == ("Job", 2)
    assert "2 MiB are allowed" in outcome.end.error_msg
    assert b.nothing_left()


def test_runner_that_overstays_is_killed(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("executor.container.watch.LIMIT_SECONDS", 0.05)
    b = bench(lambda stage: 0 if stage.wait_for_signal(20) else 1)
    session = b.session()
    session.start(b.launch(max_seconds=0.01), b.spec())
    outcome = session.finish()
    assert outcome.end.exit_code == 3
    assert "did not end at the job's timeout" in outcome.end.error_msg


# -- power


def off_words(b: Bench) -> list[list[str]]:
    return [s.command for s in b.engine.specs if s.labels["lava-exec"] == "finalizer"]


def test_proven_power_off_is_not_repeated(bench: Callable[..., Bench]) -> None:
    b = bench(good, SWITCHED)
    assert b.run().power == "off"
    assert off_words(b) == []


def test_power_off_is_repeated_when_the_runner_says_nothing(bench: Callable[..., Bench]) -> None:
    b = bench(lambda stage: 1, SWITCHED)
    outcome = b.run()
    assert outcome.power == "repeated"
    assert outcome.end.powered_off
    assert off_words(b) == [["pdu", "off", "7"], ["sleep", "1"]]
    finalizer = b.engine.specs[1]
    assert not any(m.source.startswith("{job}/out") or "secrets" in m.source for m in finalizer.mounts)
    assert b.nothing_left()


def test_power_off_is_repeated_when_the_runner_says_that_it_failed(bench: Callable[..., Bench]) -> None:
    def run(stage: Stage) -> int:
        stage.write_journal([end(0, health="Incomplete", exit_code=3, powered_off=False)])
        return 3

    assert bench(run, SWITCHED).run().power == "repeated"


def test_power_off_that_fails_is_told(bench: Callable[..., Bench]) -> None:
    b = bench(lambda stage: 1, SWITCHED)
    b.engine.programs["finalizer"] = lambda stage: 5
    outcome = b.run()
    assert outcome.power == "failed"
    assert not outcome.end.powered_off
    assert any("may still be on" in str(r.msg) for r in b.records())
    assert len(off_words(b)) == 3, "three attempts"
    assert b.nothing_left()


# -- two processes


def test_detach_and_adopt(bench: Callable[..., Bench]) -> None:
    def run(stage: Stage) -> int:
        stage.write_journal([line(0)])
        stage.wait_for_signal(20)
        stage.write_journal([end(1, health="Canceled", exit_code=4)])
        return 4

    b = bench(run)
    first = b.session()
    first.start(b.launch(), b.spec())
    first.detach()
    with pytest.raises(Detached):
        first.finish()
    assert not b.nothing_left()
    second = b.session()
    assert second.adopt()
    second.cancel("from the second process")
    assert second.finish().end.health == "Canceled"
    assert b.nothing_left()


def test_adopted_cancel_goes_on(bench: Callable[..., Bench]) -> None:
    def deaf(stage: Stage) -> int:
        stage.wait_for_signal(20, count=99)
        return 0

    b = bench(deaf)
    first = b.session(steps=CancelSteps(insist=50, kill=60))
    first.start(b.launch(), b.spec())
    first.cancel("enough")
    first.detach()
    with pytest.raises(Detached):
        first.finish()
    second = b.session(steps=CancelSteps(insist=0.02, kill=0.05))
    assert second.adopt()
    assert second.canceled == "enough"
    assert second.finish().end.health == "Canceled"


def test_adopt_after_the_end(bench: Callable[..., Bench]) -> None:
    b = bench(good)
    first = b.session()
    first.start(b.launch(), b.spec())
    first.detach()
    with pytest.raises(Detached):
        first.finish()
    second = b.session()
    assert second.adopt()
    assert second.finish().end.health == "Complete"
    assert not b.session().adopt(), "nothing to go on with"


def test_job_that_never_began_is_swept(bench: Callable[..., Bench]) -> None:
    b = bench(good)
    first = b.session()
    original = b.engine.start

    def dead(id: str, deadline: Any) -> None:
        raise SystemExit

    b.engine.start = dead  # type: ignore[method-assign]
    real_undo = Session._undo
    Session._undo = lambda self: None  # type: ignore[method-assign]  # the process was killed here
    try:
        with pytest.raises(SystemExit):
            first.start(b.launch(), b.spec())
    finally:
        Session._undo = real_undo  # type: ignore[method-assign]
    b.engine.start = original  # type: ignore[method-assign]
    first.directory.disown()
    assert first._doorbell is not None
    first._doorbell.close()
    assert first._lock is not None
    first._lock.keep()
    assert not b.session().adopt()
    assert b.nothing_left()


def test_job_with_an_owner_is_not_adopted(bench: Callable[..., Bench]) -> None:
    b = bench(lambda stage: 0 if stage.wait_for_signal(20) else 1)
    first = b.session()
    first.start(b.launch(), b.spec())
    assert not b.session().adopt()
    first.cancel()
    first.finish()


def test_adoption_waits_for_the_engine(bench: Callable[..., Bench]) -> None:
    b = bench(good)
    first = b.session()
    first.start(b.launch(), b.spec())
    first.detach()
    with pytest.raises(Detached):
        first.finish()
    b.engine.down = True
    second = b.session()
    with pytest.raises(EngineGone):
        second.adopt()
    b.engine.down = False
    assert second.adopt()
    second.finish()
    assert b.nothing_left()


def test_device_is_locked_against_another_job(bench: Callable[..., Bench]) -> None:
    b = bench(lambda stage: 0 if stage.wait_for_signal(20) else 1)
    first = b.session()
    first.start(b.launch(), b.spec())
    with pytest.raises(InfrastructureError, match=r"board is in use on this host by job 7"):
        b.session("8").start(b.launch(), b.spec("8"))
    first.detach()
    with pytest.raises(Detached):
        first.finish()
    with pytest.raises(InfrastructureError, match="by job 7"):
        b.session("8").start(b.launch(), b.spec("8"))
    again = b.session()
    assert again.adopt()
    again.cancel()
    again.finish()
    b.engine.programs["job"] = good
    third = b.session("8")
    third.start(b.launch(), b.spec("8"))
    third.finish()


# -- the doorbell


def test_fetch_over_the_doorbell(bench: Callable[..., Bench], tmp_path: Path) -> None:
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "Image").write_bytes(b"kernel")
    answers: list[doorbell.Message] = []

    def run(stage: Stage) -> int:
        with socket.socket(socket.AF_UNIX) as channel:
            channel.settimeout(10)
            channel.connect(str(stage.socket))
            stage.write_journal([line(0)])
            channel.sendall(doorbell.encode(doorbell.Bell(42)))
            args = msgspec.to_builtins(doorbell.Fetch(f"file://{tmp_path}/lab/Image", label="kernel"))
            for _ in range(2):  # a repeat acts once
                channel.sendall(doorbell.encode(doorbell.Ask("1", "fetch", args)))
                with channel.makefile("rb") as lines:
                    while not isinstance(message := doorbell.decode(lines.readline()), doorbell.Answer):
                        pass
                answers.append(message)
        got = msgspec.convert(answers[0].ok, doorbell.Fetched)  # type: ignore[union-attr]
        assert (stage.places.job / got.path.lstrip("/")).read_bytes() == b"kernel"
        return good(stage) if not stage.write_journal([]) else 1

    b = bench(run)
    session = b.session()
    session.start(b.launch(directories=[tmp_path / "lab"]), b.spec())
    outcome = session.finish()
    assert answers[0] == answers[1]
    assert 42 in b.sizes
    assert outcome.exit_code == 0
    kept = JobDirectory(tmp_path / "jobs/7").artefacts()
    assert [(a.label, len(a.sha256), a.size) for a in kept] == [("kernel", 64, 6)]
    assert b.nothing_left()


def test_directories_of_the_services_belong_to_the_job(bench: Callable[..., Bench], tmp_path: Path) -> None:
    seen: list[bool] = []

    def run(stage: Stage) -> int:
        seen.append((tmp_path / "srv" / "tftp" / "7").is_dir())
        return good(stage)

    b = bench(run)
    session = b.session()
    session._places = msgspec.structs.replace(session._places, host=tmp_path)
    spec = plan_container("7", Needs(image="qemu", mounts=frozenset({"tftp"})), {}, FACTS)
    session.start(b.launch("job_name: x\n"), spec)
    session.finish()
    assert seen == [True]
    assert not (tmp_path / "srv" / "tftp" / "7").exists()


def test_a_directory_of_the_services_that_cannot_be_made_is_told(
    bench: Callable[..., Bench], tmp_path: Path
) -> None:
    b = bench(good)
    session = b.session()
    (tmp_path / "srv").write_text("in the way")
    session._places = msgspec.structs.replace(session._places, host=tmp_path)
    spec = plan_container("7", Needs(image="qemu", mounts=frozenset({"nfs"})), {}, FACTS)
    with pytest.raises(InfrastructureError, match="srv/nfs/7 cannot be made: Not a directory"):
        session.start(b.launch("job_name: x\n"), spec)


def test_downloads_are_limited_by_the_worker_whatever_the_runner_asks(
    bench: Callable[..., Bench], tmp_path: Path
) -> None:
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "Image").write_bytes(b"k" * 100)
    heard: list[doorbell.Answer] = []

    def run(stage: Stage) -> int:
        with socket.socket(socket.AF_UNIX) as channel:
            channel.settimeout(10)
            channel.connect(str(stage.socket))
            args = msgspec.to_builtins(doorbell.Fetch(f"file://{tmp_path}/lab/Image", max_bytes=1 << 40))
            channel.sendall(doorbell.encode(doorbell.Ask("1", "fetch", args)))
            with channel.makefile("rb") as lines:
                while not isinstance(message := doorbell.decode(lines.readline()), doorbell.Answer):
                    pass
            heard.append(message)
        return good(stage)

    b = bench(run)
    session = b.session()
    launch = b.launch(directories=[tmp_path / "lab"])
    launch.worker = Worker("7", limits=Limits(download_bytes=10))
    session.start(launch, b.spec())
    session.finish()
    assert (heard[0].error_type, heard[0].ok) == ("Job", None)
    assert "more than the 10 that a job may download" in heard[0].message
