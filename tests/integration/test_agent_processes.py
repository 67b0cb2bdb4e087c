# SPDX-License-Identifier: Apache-2.0
"""The agent as a process of its own, with real containers: killed, stopped, started again."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from executor.container.engine import Container, connect
from executor.container.launch import LABEL_STATE
from executor.model import journal
from executor.model.deadline import Deadline
from executor.model.journal import Record
from executor.testing.farm import LocalMaster
from executor.wire import messages

pytestmark = pytest.mark.docker

SECONDS = 40.0
# The agent with a planner and a runner of the test: the rest is the real thing.
AGENT = """
import sys, json, signal
from pathlib import Path
from executor.agent.main import Agent
from executor.agent.planning import Planned
from executor.container.session import CancelSteps
from executor.model.launch import Needs
from executor.wire.keys import credentials
state, address, keys, code = sys.argv[1:]
needs = Needs(mounts=frozenset({"cache"}))
agent = Agent(Path(state), address, credentials(Path(keys), "agent"), plan=lambda *job: Planned(needs, 60),
              steps=CancelSteps(insist=1, kill=2), runner=["python", "-u", "-c", code])
signal.signal(signal.SIGTERM, lambda number, frame: agent.stop())
agent.run()
"""
# Stands in for the runner: a header, LINES lines over about SECONDS seconds, an end.
RUNNER = """
import json, os, signal, socket, sys, time
LINES, SECONDS, STOPS = {lines}, {seconds}, {stops}
out = os.open("/out/journal.ndjson", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
def put(seq, lvl, msg):
    record = {{"seq": seq, "dt": "2030-01-01T00:00:00.000000+00:00", "lvl": lvl, "msg": msg}}
    os.write(out, (json.dumps(record, separators=(",", ":")) + "\\n").encode())
def on_term(number, frame):
    if STOPS:
        put(seq, "end", {{"health": "Canceled", "exit_code": 4, "powered_off": True}})
        os._exit(4)
seq = 1
signal.signal(signal.SIGTERM, on_term)
put(0, "header", {{"job_id": "1"}})
for seq in range(1, LINES + 1):
    put(seq, "target", "line %d" % seq)
    time.sleep(SECONDS / LINES)
seq = LINES + 1
put(seq, "end", {{"health": "Complete", "exit_code": 0, "powered_off": True}})
"""


def runner(lines: int, seconds: float, stops: bool = True) -> str:
    return RUNNER.format(lines=lines, seconds=seconds, stops=stops)


class Farm:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.master = LocalMaster(root / "master")
        self.master.start()
        self.engine = connect()
        self.process: subprocess.Popen[bytes] | None = None

    def start_agent(self, code: str = "") -> None:
        keys = self.master.state / "keys"
        argv = [sys.executable, "-c", AGENT, str(self.root / "worker"), self.master.address, str(keys), code]
        with (self.root / "agent.log").open("ab") as log:
            self.process = subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def end_agent(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)
        self.process.wait(SECONDS)
        self.process = None

    def submit(self) -> str:
        with self.master.client() as channel:
            ask = messages.Submit("job_name: one\ndevice_type: qemu\n")
            return channel.call(ask, messages.Submitted, Deadline.after(SECONDS)).jobs[0]

    def cancel(self, job: str) -> None:
        with self.master.client() as channel:
            channel.call(messages.Cancel(job, "enough"), messages.JobInfo, Deadline.after(SECONDS))

    def wait(self, job: str, done: Callable[[messages.JobInfo], bool]) -> messages.JobInfo:
        deadline = Deadline.after(SECONDS)
        with self.master.client() as channel:
            while True:
                info = channel.call(messages.JobShow(job), messages.JobInfo, deadline)
                if done(info):
                    return info
                assert not deadline.expired, (info.row, (self.root / "agent.log").read_text()[-3000:])
                time.sleep(0.02)

    def finished(self, job: str) -> messages.JobInfo:
        return self.wait(job, lambda info: info.row.state == "Finished")

    def records(self, job: str) -> list[Record]:
        data = b""
        with self.master.client() as channel:
            while True:
                ask = messages.LogRead(job, len(data))
                block = channel.call(ask, messages.LogBlock, Deadline.after(SECONDS))
                if not block.data:
                    return journal.decode_lines(data)
                data += block.data

    def until_records(self, job: str, count: int) -> None:
        deadline = Deadline.after(SECONDS)
        while len(self.records(job)) < count:
            assert not deadline.expired, (self.root / "agent.log").read_text()[-3000:]
            time.sleep(0.05)

    @property
    def containers(self) -> list[Container]:
        return self.engine.containers({LABEL_STATE: str(self.root / "worker")}, Deadline.after(20))

    def close(self) -> None:
        if self.process is not None:
            self.end_agent(signal.SIGKILL)
        self.master.stop()
        for container in self.containers:
            self.engine.remove(container.id, Deadline.after(20))


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[Farm]:
    farm = Farm(tmp_path)
    yield farm
    farm.close()


def nothing_left(farm: Farm, job: str) -> bool:
    directory = next((farm.root / "worker/agent/jobs").glob(f"*-{job}"))
    kept = {path.name for path in directory.iterdir()}
    return not farm.containers and kept <= {
        "spec.json", "job", "out", "artefacts.json", "session.log", "agent.json",
    }  # fmt: skip


def test_killed_agent_loses_and_doubles_nothing(farm: Farm) -> None:
    farm.start_agent(runner(2000, 4))
    job = farm.submit()
    for count in (100, 600):
        farm.until_records(job, count)
        farm.end_agent(signal.SIGKILL)
        assert len(farm.containers) == 1
        farm.start_agent(runner(2000, 4))
    info = farm.finished(job)
    assert info.row.health == "Complete"
    assert [record.seq for record in farm.records(job)] == list(range(2002))
    farm.end_agent(signal.SIGTERM)
    assert nothing_left(farm, job)


def test_job_ends_while_the_agent_is_dead(farm: Farm) -> None:
    farm.start_agent(runner(100, 1))
    job = farm.submit()
    farm.until_records(job, 5)
    farm.end_agent(signal.SIGKILL)
    deadline = Deadline.after(SECONDS)
    while farm.containers[0].running:
        assert not deadline.expired
        time.sleep(0.05)
    farm.start_agent()
    assert farm.finished(job).row.health == "Complete"
    assert [record.seq for record in farm.records(job)] == list(range(102))
    assert nothing_left(farm, job)


def test_stopped_agent_leaves_the_job_running(farm: Farm) -> None:
    farm.start_agent(runner(200, 3))
    job = farm.submit()
    farm.until_records(job, 5)
    farm.end_agent(signal.SIGTERM)
    assert farm.containers[0].running
    farm.start_agent()
    assert farm.finished(job).row.health == "Complete"
    assert [record.seq for record in farm.records(job)] == list(range(202))


def test_container_killed_behind_the_agents_back(farm: Farm) -> None:
    farm.start_agent(runner(1000, 30))
    job = farm.submit()
    farm.until_records(job, 5)
    farm.engine.kill(farm.containers[0].id, "SIGKILL", Deadline.after(10))
    info = farm.finished(job)
    assert (info.row.health, info.row.error_type) == ("Incomplete", "Infrastructure")
    records = farm.records(job)
    assert [record.seq for record in records] == list(range(len(records)))
    assert records[-1].lvl == journal.END
    assert nothing_left(farm, job)


def test_cancel_in_steps(farm: Farm) -> None:
    farm.start_agent(runner(1000, 30))
    job = farm.submit()
    farm.until_records(job, 5)
    farm.cancel(job)
    assert farm.finished(job).row.health == "Canceled"
    assert nothing_left(farm, job)


def test_cancel_of_a_deaf_runner_kills_it(farm: Farm) -> None:
    farm.start_agent(runner(1000, 30, stops=False))
    job = farm.submit()
    farm.until_records(job, 5)
    farm.cancel(job)
    info = farm.finished(job)
    assert info.row.health == "Canceled"
    assert "had to be killed" in farm.records(job)[-1].msg["error_msg"]
    assert nothing_left(farm, job)
