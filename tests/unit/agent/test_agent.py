# SPDX-License-Identifier: Apache-2.0
"""The agent with a fake engine and a real master: jobs in, journals out, whatever dies in between."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from executor.agent.main import Agent
from executor.agent.planning import Planned
from executor.agent.record import read_record
from executor.container.engine import Engine
from executor.container.secretplace import memory_directory
from executor.container.session import CancelSteps
from executor.model import journal
from executor.model.deadline import Deadline
from executor.model.journal import End, Header, Record
from executor.model.launch import Needs
from executor.testing.engine import FakeEngine, Stage
from executor.testing.farm import LocalMaster
from executor.wire import messages
from executor.wire.channel import Channel

NOW = "2030-01-01T00:00:00.000000+00:00"
JOB = "job_name: one\ndevice_type: qemu\nsecrets: {TOKEN: s3cret}\n"
SECONDS = 20.0


def record(seq: int, level: str = journal.TARGET, msg: Any = "line") -> Record:
    return Record(seq, NOW, level, msgspec.to_builtins(msg))


def good(stage: Stage) -> int:
    (stage.out / "overlay-0.tar.gz").write_bytes(b"overlay")
    (stage.out / "console-main.raw").write_bytes(b"raw")
    stage.write_journal(
        [
            record(0, journal.HEADER, Header(job_id=stage.spec.job_id)),
            record(1),
            record(2, journal.END, End("Complete", 0, powered_off=True)),
        ]
    )
    return 0


class Farm:
    """A master, an agent that can die, and a client."""

    def __init__(self, root: Path, program: Callable[[Stage], int]) -> None:
        self.root = root
        self.engine = FakeEngine({"job": program})
        self.master = LocalMaster(root / "master")
        self.agents: list[tuple[Agent, threading.Thread]] = []
        self.planned: list[tuple[str, bool]] = []
        self.steps = CancelSteps(insist=0.2, kill=0.4)

    def plan(self, text: str, device: dict[str, Any], strict: bool) -> Planned:
        self.planned.append((text, strict))
        return Planned(Needs(image="qemu", mounts=frozenset({"cache"})), 60)

    def start_agent(self) -> Agent:
        agent = Agent(
            self.root / "worker",
            self.master.address,
            self.master.credentials("agent"),
            engine=self.engine,
            plan=self.plan,
            steps=self.steps,
        )
        thread = threading.Thread(target=agent.run, name="agent", daemon=True)
        thread.start()
        self.agents.append((agent, thread))
        return agent

    def stop_agent(self, **how: bool) -> None:
        agent, thread = self.agents.pop()
        agent.stop(**how)
        thread.join(SECONDS)
        assert not thread.is_alive()

    def submit(self, text: str = JOB) -> str:
        with self.master.client() as channel:
            done = channel.call(messages.Submit(text), messages.Submitted, Deadline.after(SECONDS))
        return done.jobs[0]

    def wait(self, job: str, state: str = "Finished") -> messages.JobInfo:
        deadline = Deadline.after(SECONDS)
        with self.master.client() as channel:
            while True:
                info = self.show(channel, job)
                if info.row.state == state:
                    return info
                if deadline.expired:
                    raise AssertionError(f"job {job} is {info.row.state}, not {state}")
                time.sleep(0.02)

    def show(self, channel: Channel, job: str) -> messages.JobInfo:
        return channel.call(messages.JobShow(job), messages.JobInfo, Deadline.after(SECONDS))

    def cancel(self, job: str) -> None:
        with self.master.client() as channel:
            channel.call(messages.Cancel(job, "enough"), messages.JobInfo, Deadline.after(SECONDS))

    def records(self, job: str) -> list[Record]:
        data = b""
        with self.master.client() as channel:
            while True:
                ask = messages.LogRead(job, len(data))
                block = channel.call(ask, messages.LogBlock, Deadline.after(SECONDS))
                if not block.data:
                    return journal.decode_lines(data)
                data += block.data

    def files(self, job: str) -> dict[str, int]:
        with self.master.client() as channel:
            rows = channel.call(messages.FileList(job), messages.Files, Deadline.after(SECONDS)).rows
        return {row.path: row.size for row in rows}

    def directory(self, job: str) -> Path:
        return next((self.root / "worker" / "agent" / "jobs").glob(f"*-{job}"))

    def containers(self) -> int:
        return len(self.engine.containers({}, Deadline.after(5)))

    def close(self) -> None:
        while self.agents:
            self.stop_agent(stop_jobs=True)
        self.master.stop()


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[Callable[..., Farm]]:
    made: list[Farm] = []

    def make(program: Callable[[Stage], int] = good) -> Farm:
        farm = Farm(tmp_path, program)
        farm.master.start()
        made.append(farm)
        return farm

    yield make
    for each in made:
        each.close()


def until(condition: Callable[[], bool]) -> None:
    deadline = Deadline.after(SECONDS)
    while not condition():
        assert not deadline.expired
        time.sleep(0.01)


def test_job_runs_and_all_of_it_reaches_the_master(farm: Callable[..., Farm]) -> None:
    f = farm()
    f.start_agent()
    job = f.submit()
    info = f.wait(job)
    assert info.row.health == "Complete"
    assert [r.seq for r in f.records(job)] == [0, 1, 2]
    kept = f.files(job)
    assert kept["overlay-0.tar.gz"] == 7
    assert {"spec.json", "device.yaml", "worker.yaml"} <= kept.keys()
    assert not any(name.startswith("console") for name in kept), "raw consoles stay on the worker"
    assert f.containers() == 0
    until(lambda: getattr(read_record(f.directory(job)), "state", "") == "done")
    assert not list(memory_directory().glob(f"start-*-{job}"))
    assert b"s3cret" not in b"".join(p.read_bytes() for p in f.directory(job).rglob("*") if p.is_file())


def test_cancel_reaches_the_runner(farm: Callable[..., Farm]) -> None:
    def obey(stage: Stage) -> int:
        stage.write_journal([record(0, journal.HEADER, Header())])
        assert stage.wait_for_signal(SECONDS)
        stage.write_journal([record(1, journal.END, End("Canceled", 4, powered_off=True))])
        return 4

    f = farm(obey)
    f.start_agent()
    job = f.submit()
    f.wait(job, "Running")
    f.cancel(job)
    assert f.wait(job).row.health == "Canceled"
    assert f.containers() == 0


def test_cancel_of_a_deaf_runner(farm: Callable[..., Farm]) -> None:
    def deaf(stage: Stage) -> int:
        stage.wait_for_signal(SECONDS, count=99)
        return 0

    f = farm(deaf)
    f.start_agent()
    job = f.submit()
    f.wait(job, "Running")
    f.cancel(job)
    assert f.wait(job).row.health == "Canceled"
    assert f.containers() == 0


def test_runner_that_dies_is_explained(farm: Callable[..., Farm]) -> None:
    f = farm(lambda stage: 1)
    f.start_agent()
    job = f.submit()
    info = f.wait(job)
    assert (info.row.health, info.row.error_type) == ("Incomplete", "Infrastructure")
    records = f.records(job)
    assert [r.seq for r in records] == list(range(len(records)))
    assert records[0].lvl == journal.HEADER
    assert records[0].msg["job_name"] == "one"


def test_missing_image_is_told_in_the_journal(farm: Callable[..., Farm]) -> None:
    f = farm()
    f.engine.images.clear()
    f.start_agent()
    job = f.submit()
    info = f.wait(job)
    assert (info.row.health, info.row.error_type) == ("Incomplete", "Infrastructure")
    assert "lava-exec/qemu:latest is not on this host" in f.records(job)[-1].msg["error_msg"]
    assert f.records(job)[0].msg["job_name"] == "one"


def test_agent_dies_in_the_middle_and_nothing_is_lost_or_double(farm: Callable[..., Farm]) -> None:
    go_on = threading.Event()

    def run(stage: Stage) -> int:
        stage.write_journal([record(0, journal.HEADER, Header()), *(record(n) for n in range(1, 500))])
        go_on.wait(SECONDS)
        stage.write_journal(
            [
                *(record(n) for n in range(500, 1000)),
                record(1000, journal.END, End("Complete", 0, powered_off=True)),
            ]
        )
        return 0

    f = farm(run)
    f.start_agent()
    job = f.submit()
    f.wait(job, "Running")
    until(lambda: len(f.records(job)) == 500)
    f.stop_agent()  # leaves the container; a kill is tested with real processes
    assert f.containers() == 1
    f.start_agent()
    go_on.set()
    assert f.wait(job).row.health == "Complete"
    assert [r.seq for r in f.records(job)] == list(range(1001))
    assert f.containers() == 0


def test_job_that_ended_while_no_agent_was_there(farm: Callable[..., Farm]) -> None:
    go_on = threading.Event()

    def run(stage: Stage) -> int:
        go_on.wait(SECONDS)
        return good(stage)

    f = farm(run)
    f.start_agent()
    job = f.submit()
    f.wait(job, "Running")
    f.stop_agent()
    go_on.set()
    until(lambda: not f.engine.containers({}, Deadline.after(5))[0].running)
    f.start_agent()
    assert f.wait(job).row.health == "Complete"
    assert f.containers() == 0


def test_agent_that_died_before_it_wrote_the_end_down(farm: Callable[..., Farm]) -> None:
    f = farm()
    f.start_agent()
    job = f.submit()
    f.wait(job)
    f.stop_agent()
    path = f.directory(job)
    before = read_record(path)
    assert before is not None
    before.state, before.end, before.journal = "running", None, 0
    (path / "agent.json").write_bytes(msgspec.json.encode(before))
    f.start_agent()
    until(lambda: getattr(read_record(path), "state", "") == "done")
    assert f.wait(job).row.health == "Complete"


def test_agent_that_died_before_the_container_began(farm: Callable[..., Farm], monkeypatch: Any) -> None:
    f = farm()
    from executor.agent.job import Job

    real = Job._run
    monkeypatch.setattr(Job, "_run", lambda self: None)  # dies here
    f.start_agent()
    job = f.submit()
    until(lambda: bool(list((f.root / "worker/agent/jobs").glob(f"*-{job}/agent.json"))))
    f.stop_agent()
    monkeypatch.setattr(Job, "_run", real)
    f.start_agent()
    assert f.wait(job).row.health == "Complete"
    assert f.containers() == 0


def test_master_that_restarts_is_waited_for(farm: Callable[..., Farm]) -> None:
    go_on = threading.Event()

    def run(stage: Stage) -> int:
        stage.write_journal([record(0, journal.HEADER, Header())])
        go_on.wait(SECONDS)
        stage.write_journal([record(1, journal.END, End("Complete", 0, powered_off=True))])
        return 0

    f = farm(run)
    f.start_agent()
    job = f.submit()
    f.wait(job, "Running")
    f.master.stop()
    go_on.set()
    until(lambda: f.containers() == 0)
    f.master.start()
    assert f.wait(job).row.health == "Complete"
    assert [r.seq for r in f.records(job)] == [0, 1]


def test_stop_jobs_ends_them_in_order(farm: Callable[..., Farm]) -> None:
    def obey(stage: Stage) -> int:
        stage.wait_for_signal(SECONDS)
        stage.write_journal([record(0, journal.END, End("Canceled", 4, powered_off=True))])
        return 4

    f = farm(obey)
    f.start_agent()
    job = f.submit()
    f.wait(job, "Running")
    f.stop_agent(stop_jobs=True)
    assert f.wait(job).row.health == "Canceled"
    assert f.containers() == 0


def test_drain_waits_and_takes_nothing_new(farm: Callable[..., Farm]) -> None:
    go_on = threading.Event()

    def run(stage: Stage) -> int:
        go_on.wait(SECONDS)
        return good(stage)

    f = farm(run)
    agent = f.start_agent()
    first = f.submit()
    f.wait(first, "Running")
    agent.stop(drain=True)
    until(lambda: agent._draining)
    second = f.submit()
    go_on.set()
    assert f.wait(first).row.health == "Complete"
    f.agents.pop()[1].join(SECONDS)
    f.start_agent()
    assert f.wait(second).row.health == "Complete"


def test_engine_that_is_not_there_yet(farm: Callable[..., Farm], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("executor.agent.main.ENGINE_PAUSE", 0.05)
    f = farm()
    f.engine.down = True
    f.start_agent()
    job = f.submit()
    f.engine.down = False
    assert f.wait(job).row.health == "Complete"


def test_containers_of_nobody_are_removed_but_not_those_of_others(farm: Callable[..., Farm]) -> None:
    from executor.container.launch import labels
    from executor.container.request import Places
    from executor.model.launch import LaunchSpec

    f = farm(lambda stage: 0 if stage.wait_for_signal(SECONDS) else 1)
    state = str(f.root / "worker")
    ids = {}
    for name, where in (("ours", state), ("theirs", "/somewhere/else")):
        spec = LaunchSpec("99", "image", "", [], labels=labels("99", "w", where))
        ids[name] = f.engine.create(spec, Places(f.root), name, Deadline.after(5))
        f.engine.start(ids[name], Deadline.after(5))
    f.start_agent()
    until(lambda: f.containers() == 1)
    assert f.engine.inspect(ids["theirs"], Deadline.after(5)).running
    f.engine.remove(ids["theirs"], Deadline.after(5))


def test_run_whose_process_died_is_ended(farm: Callable[..., Farm]) -> None:
    from executor.container.cache import Cache
    from executor.container.jobdir import JobDirectory
    from executor.container.launch import plan_container
    from executor.container.session import Detached, Launch, Session
    from executor.container.store import Store
    from executor.model.launch import HostFacts
    from executor.model.worker import Worker

    f = farm(lambda stage: 0 if stage.wait_for_signal(SECONDS) else 1)
    state = f.root / "worker"
    facts = HostFacts(images=f.engine.images, cpus=1, memory_mib=1000)
    spec = plan_container("run-1", Needs(), {}, facts, state=str(state))
    session = Session(f.engine, Cache(Store(state / "cache")), JobDirectory(state / "run" / "run-1"), f.root)
    session.start(Launch("job_name: x", {}, Worker("run-1")), spec)
    session.detach()
    with pytest.raises(Detached):
        session.finish()
    f.start_agent()
    until(lambda: f.containers() == 0)
    until(lambda: not (state / "run/run-1/session.json").exists())


def test_engine_protocol_is_met() -> None:
    engine: Engine = FakeEngine()
    assert engine.info(Deadline.after(1)).kind == "docker"
