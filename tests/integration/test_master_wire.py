# SPDX-License-Identifier: Apache-2.0
"""Master, agent's link and clients together over real sockets, with restarts and kills in the middle."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import zmq

from executor.errors import ConfigurationError, InfrastructureError, LavaExecError
from executor.master.service import Master, run_master
from executor.master.settings import Retention, Settings
from executor.model import journal
from executor.model.deadline import Deadline
from executor.model.journal import End, Record
from executor.testing.farm import LocalMaster, StandInAgent, summary_check, write_configs
from executor.wire import keys, messages
from executor.wire.channel import Channel, RequestRefused

JOB = "job_name: n\ndevice_type: qemu\n"
SECONDS = 30.0
BLOCK = 4096


def soon() -> Deadline:
    return Deadline.after(SECONDS)


def make_journal(count: int) -> bytes:
    """Numbered lines, every tenth a result, an end."""
    records = []
    for n in range(count - 1):
        if n % 10 == 9:
            msg: Any = {"definition": "0_a", "case": f"c{n}", "result": "pass"}
            records.append(Record(n, "2030-01-01T00:00:00+00:00", "results", msg))
        else:
            records.append(Record(n, "2030-01-01T00:00:00+00:00", "target", f"line {n} " + "x" * (n % 90)))
    records.append(Record(count - 1, "t", "end", {"health": "Complete", "exit_code": 0}))
    return journal.encode(records)


@pytest.fixture
def master(tmp_path: Path) -> Iterator[LocalMaster]:
    with LocalMaster(tmp_path) as running:
        yield running


@pytest.fixture
def agent(master: LocalMaster) -> Iterator[StandInAgent]:
    with StandInAgent(master) as running:
        yield running


def submit(channel: Channel, text: str = JOB, **more: Any) -> str:
    return channel.call(messages.Submit(text, **more), messages.Submitted, soon()).jobs[0]


def show(channel: Channel, id: str, wait: float = 0.0) -> messages.JobInfo:
    return channel.call(messages.JobShow(id, wait), messages.JobInfo, soon())


def follow(channel: Channel, id: str, max_bytes: int = BLOCK) -> bytes:
    """The whole journal as a follower sees it, until the job has ended."""
    data, deadline = b"", Deadline.after(60)
    while not deadline.expired:
        ask = messages.LogRead(id, len(data), max_bytes, wait_seconds=5)
        block = channel.call(ask, messages.LogBlock, Deadline.after(30))
        assert block.offset == len(data)
        assert block.next == len(data) + len(block.data)
        data += block.data
        if block.ended:
            return data
    raise AssertionError("the job did not end")


def ship(agent: StandInAgent, id: str, data: bytes, pause: Callable[[int], None] = lambda _: None) -> None:
    """As an agent does: from the acknowledged offset on, whole lines."""
    offset, number = 0, 0
    while offset < len(data):
        end = data.rfind(b"\n", offset, offset + BLOCK) + 1
        offset = agent.ship(id, data[offset:end], offset)
        number += 1
        pause(number)


# ---- one job


def test_job_over_the_wire(master: LocalMaster, agent: StandInAgent) -> None:
    data = make_journal(100)
    with master.client() as channel, ThreadPoolExecutor(2) as pool:
        id = submit(channel)
        follower = pool.submit(lambda: follow_alone(master, id))
        waiter = pool.submit(lambda: wait_alone(master, id))
        agent.run(agent.next_job(), data)
        assert follower.result(SECONDS) == data
        info = waiter.result(SECONDS)
        assert (info.row.state, info.row.health, info.row.exit_code) == ("Finished", "Complete", 0)
        assert info.row.cases == {"pass": 9}
        assert info.end == End("Complete", 0)
        page = channel.call(messages.Results(id, limit=4), messages.ResultPage, soon())
        assert ([row.case for row in page.rows], page.total) == (["c9", "c19", "c29", "c39"], 9)
        tail = channel.call(messages.LogRead(id, last_lines=2), messages.LogBlock, soon())
        assert tail.data == b"".join(data.splitlines(keepends=True)[-2:])
        rows = channel.call(messages.JobList(), messages.Jobs, soon()).rows
        assert [(row.id, row.worker, row.device) for row in rows] == [(id, keys.host_name(), "qemu-01")]


def follow_alone(master: LocalMaster, id: str) -> bytes:
    with master.client() as channel:
        return follow(channel, id)


def wait_alone(master: LocalMaster, id: str) -> messages.JobInfo:
    with master.client() as channel:
        deadline = Deadline.after(60)
        while not deadline.expired:
            info = show(channel, id, wait=10)
            if info.row.state == "Finished":
                return info
    raise AssertionError("the job did not end")


def test_start_is_pushed_and_not_left_to_a_heartbeat(tmp_path: Path) -> None:
    with (
        LocalMaster(tmp_path, settings=Settings(heartbeat=50.0)) as master,
        StandInAgent(master) as agent,
        master.client() as channel,
    ):
        agent.next(messages.Orders)
        submit(channel)
        job = agent.next(messages.Start).job
        agent.say(job.id, "running", job.unique)
        channel.call(messages.Cancel(job.id, "why"), messages.JobInfo, soon())
        assert agent.next(messages.Stop) == messages.Stop(messages.CancelJob(job.id, "why"))


def test_kept_files(master: LocalMaster, agent: StandInAgent) -> None:
    data = os.urandom(100_000)
    digest = hashlib.sha256(data).hexdigest()
    with master.client() as channel:
        id = submit(channel)
        job = agent.next_job()
        offset, complete = 0, False
        while not complete:
            chunk = messages.FileChunk(
                id, "out/overlay.tar.gz", offset, data[offset : offset + 30_000], len(data), digest
            )
            ack = agent.call(chunk, messages.FileAck)
            offset, complete = ack.next, ack.complete
        agent.run(job, make_journal(10))
        master.restart()
        files = channel.call(messages.FileList(id), messages.Files, soon()).rows
        assert files == [messages.FileRow("out/overlay.tar.gz", len(data), digest)]
        got = b""
        while len(got) < len(data):
            ask = messages.FileRead(id, "out/overlay.tar.gz", len(got), 40_000)
            got += channel.call(ask, messages.FileBlock, soon()).data
        assert got == data
        with pytest.raises(RequestRefused, match="has no file") as caught:
            channel.call(messages.FileRead(id, "out/overlay.tar.xz"), messages.FileBlock, soon())
        assert caught.value.hint == "Did you mean out/overlay.tar.gz?"


def test_refused_job_carries_its_problems(master: LocalMaster) -> None:
    with master.client() as channel:
        with pytest.raises(RequestRefused, match="1 problem") as caught:
            channel.call(
                messages.Submit("a: 1\nrefuse: bad\ndevice_type: qemu\n"), messages.Submitted, soon()
            )
        [problem] = caught.value.problems
        assert (problem.where, problem.message) == ("job.yaml:2:1: refuse", "bad")
        assert caught.value.exit_code == 2
        assert channel.call(messages.Ping(), messages.Pong, soon()).idle


def test_check_that_crashes_costs_only_that_job(tmp_path: Path) -> None:
    def check(question: Any) -> Any:
        if "crash" in question.text:
            raise ZeroDivisionError("oops")
        return summary_check(question)

    with LocalMaster(tmp_path, check=check) as master, master.client() as channel:
        with pytest.raises(RequestRefused, match="ZeroDivisionError: oops"):
            submit(channel, "crash: 1\n")
        assert submit(channel) == "1"


def test_fault_of_the_master_costs_one_request(
    master: LocalMaster,
    agent: StandInAgent,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("oops")

    with master.client() as channel:
        id = submit(channel)
        with monkeypatch.context() as broken:
            broken.setattr("executor.master.store.Store.notes", fail)
            with pytest.raises(RequestRefused, match="the master failed: ZeroDivisionError") as caught:
                show(channel, id)
            assert (caught.value.code, caught.value.exit_code) == ("internal", 70)
        assert "oops" in caplog.text
        assert show(channel, id).row.id == id
        agent.run(agent.next_job(), make_journal(20))
        assert show(channel, id).row.cases == {"pass": 1}


def test_disk_that_refuses_is_told_to_the_agent(
    master: LocalMaster, agent: StandInAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    data = make_journal(20)
    with master.client() as channel:
        id = submit(channel)
        agent.next_job()
        with monkeypatch.context() as full:
            full.setattr("executor.master.journals.os.pwrite", fail)
            with pytest.raises(RequestRefused, match="No space left"):
                agent.ship(id, data)
        with monkeypatch.context() as broken:
            broken.setattr("executor.master.journals.os.fdatasync", fail)
            with pytest.raises(RequestRefused, match="the master's disk refuses"):
                agent.ship(id, data)
        assert agent.ship(id, data) == len(data)


def test_more_jobs_than_can_be_checked_are_told_to_come_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("executor.master.service.PLAN_QUEUE", 1)
    gate, entered = threading.Event(), threading.Event()

    def check(question: Any) -> Any:
        if question.filename == "job.yaml":
            entered.set()
            gate.wait(SECONDS)
        return summary_check(question)

    with (
        LocalMaster(tmp_path, check=check) as master,
        ThreadPoolExecutor(8) as pool,
        master.client() as channel,
    ):
        slow = pool.submit(submit_alone, master)
        assert entered.wait(SECONDS)
        refused: list[RequestRefused] = []
        deadline = soon()
        while not refused and not deadline.expired:
            others = [pool.submit(submit_alone, master) for _ in range(3)]
            try:
                channel.call(messages.Submit(JOB), messages.Submitted, Deadline.after(0.5))
            except RequestRefused as error:
                refused.append(error)
            except InfrastructureError:
                continue
            finally:
                if refused:
                    gate.set()
        assert refused[0].code == "busy"
        assert slow.result(SECONDS)
        del others


def submit_alone(master: LocalMaster) -> str:
    with master.client() as channel:
        try:
            return submit(channel)
        except RequestRefused as error:
            return error.code


# ---- restarts, reconnects, kills


def test_restart_of_the_master_in_mid_stream_loses_and_doubles_no_line(
    master: LocalMaster, agent: StandInAgent
) -> None:
    data = make_journal(3000)
    restarts = {10, 20, 21, 30}
    with master.client() as channel, ThreadPoolExecutor(3) as pool:
        id = submit(channel)
        followers = [pool.submit(lambda: follow_alone(master, id)) for _ in range(3)]
        job = agent.next_job()
        agent.say(id, "running", job.unique)
        ship(agent, id, data, lambda number: master.restart() if number in restarts else None)
        agent.finish(id, len(data))
        for follower in followers:
            assert follower.result(60) == data
        assert (master.state / "master" / "jobs" / id / "journal.ndjson").read_bytes() == data
        page = channel.call(messages.Results(id), messages.ResultPage, soon())
        assert [row.seq for row in page.rows] == list(range(9, 2999, 10))
        assert show(channel, id).row.cases == {"pass": 299}


def test_agent_that_comes_back_in_mid_stream(master: LocalMaster, agent: StandInAgent) -> None:
    data = make_journal(1500)
    with master.client() as channel, ThreadPoolExecutor(1) as pool:
        id = submit(channel)
        follower = pool.submit(lambda: follow_alone(master, id))
        job = agent.next_job()
        agent.say(id, "running", job.unique)

        def forget(number: int) -> None:
            if number % 7 == 0:
                agent.restart()
                agent.ship(id, data[: data.index(b"\n") + 1], 0)  # it does not know its offset any more

        ship(agent, id, data, forget)
        agent.finish(id, len(data))
        assert follower.result(60) == data


def test_submission_repeated_over_a_restart_makes_one_job(master: LocalMaster) -> None:
    frame = messages.encode(messages.Submit(JOB), 1, "the-same-session")
    first = raw_ask(master, frame)
    assert first == messages.Submitted(["1"], waiting=first.waiting)
    assert raw_ask(master, frame) == first
    master.restart()
    assert raw_ask(master, frame).jobs == ["1"]
    with master.client() as channel:
        assert len(channel.call(messages.JobList(), messages.Jobs, soon()).rows) == 1


def raw_ask(master: LocalMaster, frame: bytes) -> Any:
    who = master.credentials()
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    dealer = context.socket(zmq.DEALER)
    dealer.linger = 0
    dealer.curve_serverkey = keys.to_z85(who.master)
    dealer.curve_publickey = who.pair.public_z85
    dealer.curve_secretkey = who.pair.secret_z85
    dealer.connect(master.address)
    dealer.send(frame)
    try:
        assert dealer.poll(int(SECONDS * 1000))
        return messages.decode_answer(dealer.recv())[2]
    finally:
        context.destroy(linger=0)


def serve_in_a_process(state: str, bind: str, pipe: Any) -> None:
    """A master as the command line runs it."""

    def ready(master: Master) -> None:
        pipe.send(master.address)

    run_master(Path(state), Path(state) / "device-configs", bind=bind, check=summary_check, ready=ready)
    pipe.send("stopped")


class MasterProcess:
    """A master that can be killed."""

    def __init__(self, state: Path) -> None:
        write_configs(state / "device-configs", "qemu-01")
        (state / "device-configs" / "master.yaml").write_text("heartbeat: 0.2\n")
        self.state = state
        self.address = "tcp://127.0.0.1:*"
        self.start()

    def start(self) -> None:
        spawn = multiprocessing.get_context("spawn")
        self.pipe, theirs = spawn.Pipe()
        self.process = spawn.Process(target=serve_in_a_process, args=(str(self.state), self.address, theirs))
        self.process.start()
        assert self.pipe.poll(SECONDS)
        self.address = self.pipe.recv()

    def kill(self) -> None:
        self.process.kill()
        self.process.join(SECONDS)

    def credentials(self, role: str = "client") -> keys.Credentials:
        return keys.credentials(self.state / "keys", role)

    def client(self) -> Channel:
        return Channel(self.address, self.credentials())


@pytest.fixture
def process(tmp_path: Path) -> Iterator[MasterProcess]:
    running = MasterProcess(tmp_path)
    yield running
    running.kill()


def test_kill_of_the_master_in_mid_stream_loses_and_doubles_no_line(process: MasterProcess) -> None:
    data = make_journal(2000)
    killed = threading.Event()

    def kill(number: int) -> None:
        if number in (8, 16):
            process.kill()
            threading.Thread(target=process.start).start()
            killed.set()

    with StandInAgent(process) as agent, process.client() as channel, ThreadPoolExecutor(1) as pool:  # type: ignore[arg-type]
        id = submit(channel)
        follower = pool.submit(lambda: follow_alone(process, id))  # type: ignore[arg-type]
        job = agent.next_job()
        agent.say(id, "running", job.unique)
        ship(agent, id, data, kill)
        agent.finish(id, len(data))
        assert follower.result(60) == data
        page = channel.call(messages.Results(id), messages.ResultPage, soon())
        assert [row.seq for row in page.rows] == list(range(9, 1999, 10))
    assert killed.is_set()


def test_sigterm_stops_within_five_seconds(process: MasterProcess) -> None:
    with process.client() as channel, ThreadPoolExecutor(1) as pool:
        id = submit(channel)
        waiting = pool.submit(lambda: show(channel, id, wait=2))
        began = time.monotonic()
        assert process.process.pid is not None
        os.kill(process.process.pid, signal.SIGTERM)
        assert process.pipe.poll(SECONDS)
        assert process.pipe.recv() == "stopped"
        process.process.join(SECONDS)
        assert time.monotonic() - began < 5
        assert process.process.exitcode == 0
        process.start()
        assert waiting.result(SECONDS + 10).row.id == id


# ---- who may


def test_stranger_is_told_and_let_in_once_the_admin_has_added_the_key(
    master: LocalMaster, tmp_path: Path
) -> None:
    directory = tmp_path / "stranger"
    keys.trust(directory, master.credentials().master)
    stranger = keys.credentials(directory)
    with master.client(stranger) as channel:
        began = time.monotonic()
        with pytest.raises(ConfigurationError) as caught:
            channel.call(messages.Ping(), messages.Pong, Deadline.after(60))
        assert time.monotonic() - began < 5
        assert stranger.pair.public in caught.value.hint
        keys.authorize(master.state / "keys", "client", "alice", stranger.pair.public)
        pong = channel.call(messages.Ping(), messages.Pong, soon())
        assert (pong.role, pong.name) == ("client", "alice")
        with pytest.raises(RequestRefused, match="not allowed"):
            channel.call(messages.DeviceSet("qemu-01", "bad"), messages.DeviceInfo, soon())
        with pytest.raises(RequestRefused, match="not allowed"):
            channel.call(messages.KeyList(), messages.KeyRows, soon())
        id = submit(channel)
        assert show(channel, id).row.submitter == "alice"
    with master.client() as channel:
        rows = channel.call(messages.KeyList(), messages.KeyRows, soon()).rows
        assert messages.KeyRow("client", "alice", stranger.pair.public) in rows
        with pytest.raises(RequestRefused):  # an agent's message from a person
            channel.call(messages.JournalBlock(id, 0, b"{}\n"), messages.JournalAck, soon())


def test_agent_with_an_unknown_key_is_told(master: LocalMaster, tmp_path: Path) -> None:
    from executor.wire.link import Connected, Disconnected

    directory = tmp_path / "stranger"
    keys.trust(directory, master.credentials().master)
    who = keys.credentials(directory, "agent")
    with StandInAgent(master, who) as agent:
        error = agent.next(Disconnected, seconds=5).error
        assert f"keys add agent NAME {who.pair.public}" in error.hint
        keys.authorize(master.state / "keys", "agent", "lab2", who.pair.public)
        assert agent.next(Connected).welcome.worker == "lab2"


def test_rubbish_from_a_known_key_leaves_the_master_alive(master: LocalMaster) -> None:
    ping = messages.encode(messages.Ping(), 1, "s")
    for frame in (b"", b"\xc1" * 50, ping[:-1], ping.replace(b"ping", b"pong"), b"\x00" * 1000):
        assert isinstance(raw_ask(master, frame), messages.Failure)
    assert isinstance(raw_ask(master, ping), messages.Pong)


def test_odd_values_in_requests_are_answered(master: LocalMaster, agent: StandInAgent) -> None:
    with master.client() as channel:
        id = submit(channel)
        agent.next_job()
        odd: list[messages.Body] = [
            messages.JobShow("nonsense"),
            messages.JobShow("9" * 40),
            messages.JobShow("²"),
            messages.JobList(before="x", limit=-5),
            messages.JobList(limit=10**9),
            messages.LogRead(id, -5, -5, -5.0, -5),
            messages.LogRead(id, 10**15),
            messages.LogRead("7"),
            messages.Results(id, -1, 10**9),
            messages.FileRead(id, "../../store.db"),
            messages.DeviceShow("../x", {"arch": [1, {}]}),
            messages.DeviceShow("qemu-01", {"arch": [1, {}]}),
            messages.Cancel("-1", "x" * 10_000),
            messages.Submit("", secrets={"": ""}, priority=10**6, device="\x00"),
            messages.Submit("\ud7ff\x00"),
        ]
        for body in odd:
            try:
                channel.call(body, messages.Body, soon())
            except RequestRefused as error:
                assert error.code != "internal", (body, error.message)  # noqa: PT017
        assert channel.call(messages.Ping(), messages.Pong, soon()).name == "local"
    for bad in (
        messages.JournalBlock(id, -1, b"{}\n"),
        messages.JournalBlock(id, 0, b"torn"),
        messages.JournalBlock(id, 0, b"x" * (2 << 20)),
        messages.FileChunk(id, "a/../b", 0, b"", 0, "0" * 64),
        messages.FileChunk(id, "x", 5, b"", 10**15, "0" * 64),
        messages.Finished(id, 10**15),
    ):
        try:
            agent.call(bad, messages.Body)
        except RequestRefused as error:
            assert error.code != "internal", (bad, error.message)  # noqa: PT017


# ---- followers


def test_many_followers_and_one_that_never_reads(master: LocalMaster, agent: StandInAgent) -> None:
    data = make_journal(2000)
    with master.client() as channel, ThreadPoolExecutor(12) as pool:
        id = submit(channel)
        job = agent.next_job()
        agent.say(id, "running", job.unique)
        who = master.credentials()
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        lazy = context.socket(zmq.DEALER)
        lazy.linger = 0
        lazy.curve_serverkey = keys.to_z85(who.master)
        lazy.curve_publickey, lazy.curve_secretkey = who.pair.public_z85, who.pair.secret_z85
        lazy.setsockopt(zmq.RCVHWM, 1)
        lazy.connect(master.address)
        for number in range(500):
            lazy.send(messages.encode(messages.LogRead(id, 0, 1 << 20, wait_seconds=60), number + 1, "lazy"))
        followers = [pool.submit(lambda: follow_alone(master, id)) for _ in range(10)]
        ship(agent, id, data)
        agent.finish(id, len(data))
        for follower in followers:
            assert follower.result(60) == data
        context.destroy(linger=0)


def test_follower_of_a_finished_job_reads_it_in_one_go(master: LocalMaster, agent: StandInAgent) -> None:
    data = make_journal(50)
    with master.client() as channel:
        id = submit(channel)
        agent.run(agent.next_job(), data)
        block = channel.call(messages.LogRead(id, 0, 1 << 20, wait_seconds=60), messages.LogBlock, soon())
        assert (block.data, block.ended, block.state) == (data, True, "Finished")


def test_waiting_ends_with_the_time(master: LocalMaster) -> None:
    with master.client() as channel:
        id = submit(channel)
        block = channel.call(messages.LogRead(id, 0, wait_seconds=0.2), messages.LogBlock, soon())
        assert (block.data, block.ended, block.state) == (b"", False, "Submitted")
        assert show(channel, id, wait=0.2).row.state == "Submitted"


# ---- configuration and retention


def test_device_that_is_added_while_the_master_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("executor.master.service.RELOAD", 0.1)
    with LocalMaster(tmp_path) as master, StandInAgent(master) as agent, master.client() as channel:
        for _ in range(3):
            submit(channel)
        agent.next_job()
        agent.next_job()
        (master.configs / "devices" / "qemu-03.yaml").write_text("extends: qemu\n")
        assert agent.next_job().device_name == "qemu-03"
        (master.configs / "devices" / "broken.yaml").write_text("extends: nothing\n")
        deadline = soon()
        while not deadline.expired:
            rows = channel.call(messages.DeviceList(), messages.Devices, soon()).rows
            broken = [row for row in rows if row.name == "broken"]
            if broken:
                break
        assert "there is no device type 'nothing'" in broken[0].problem


def test_retention_removes_old_directories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("executor.master.service.RETAIN", 0.2)
    settings = Settings(heartbeat=0.2, retention=Retention(days=0, gigabytes=0.000_000_5))
    with (
        LocalMaster(tmp_path, settings=settings) as master,
        StandInAgent(master) as agent,
        master.client() as channel,
    ):
        id = submit(channel)
        agent.run(agent.next_job(), make_journal(50))
        deadline = soon()
        while (tmp_path / "master" / "jobs" / id).exists() and not deadline.expired:
            channel.call(messages.Ping(), messages.Pong, soon())
        assert not (tmp_path / "master" / "jobs" / id).exists()
        with pytest.raises(RequestRefused, match="no longer kept"):
            channel.call(messages.LogRead(id), messages.LogBlock, soon())
        assert show(channel, id).row.cases == {"pass": 4}
        assert channel.call(messages.Results(id), messages.ResultPage, soon()).total == 4


def test_second_master_on_the_same_state_is_refused(master: LocalMaster) -> None:
    with pytest.raises(InfrastructureError, match="another master uses"):
        Master(master.state, Settings(), master.configs, summary_check, "tcp://127.0.0.1:*")


def test_master_without_configs_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no directory"):
        Master(tmp_path, Settings(), tmp_path / "none", summary_check)
    with pytest.raises(LavaExecError, match="there is no file"):
        run_master(tmp_path, tmp_path, settings=tmp_path / "none.yaml", check=summary_check)
    Master(tmp_path, Settings(), write_configs(tmp_path / "dc"), summary_check, "tcp://127.0.0.1:*").close()
