# SPDX-License-Identifier: Apache-2.0
"""Journal and files on their way to a master that refuses, forgets, restarts or is not there."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from executor.agent.planning import plan_job
from executor.agent.record import AgentRecord
from executor.agent.shipping import REFUSALS, NotWanted, Shipper, Stopped
from executor.container.jobdir import JobDirectory
from executor.errors import InfrastructureError
from executor.model.deadline import Deadline
from executor.model.journal import End
from executor.model.launch import Needs
from executor.wire import messages
from executor.wire.channel import failure_error
from executor.wire.messages import FileAck, FileChunk, Finished, JournalAck, JournalBlock

LINES = b"".join(b'{"seq":%d,"dt":"x","lvl":"target","msg":"line"}\n' % n for n in range(100))


class Master:
    """Keeps what it is sent. `faults` are raised (or called) by the next calls, one each."""

    def __init__(self) -> None:
        self.journal = b""
        self.files: dict[str, bytes] = {}
        self.finished: list[Finished] = []
        self.faults: list[Exception] = []
        self.calls: list[messages.Body] = []

    def call(self, body: messages.Body, expect: type[Any], deadline: Deadline) -> Any:
        self.calls.append(body)
        if self.faults:
            raise self.faults.pop(0)
        if isinstance(body, JournalBlock):
            if body.offset <= len(self.journal):
                self.journal += body.data[len(self.journal) - body.offset :]
            return JournalAck(body.job, len(self.journal))
        if isinstance(body, FileChunk):
            there = self.files.setdefault(body.path, b"")
            if body.offset == 0:
                there = b""
            self.files[body.path] = there + body.data
            done = len(self.files[body.path]) == body.size
            if done:
                assert hashlib.sha256(self.files[body.path]).hexdigest() == body.sha256
            return FileAck(body.job, body.path, len(self.files[body.path]), done)
        assert isinstance(body, Finished)
        self.finished.append(body)
        return messages.Done()


def refusal(code: str) -> Exception:
    return failure_error(messages.Failure(code, f"refused: {code}"))


class Bench:
    def __init__(self, root: Path) -> None:
        self.directory = JobDirectory(root)
        self.directory.out.mkdir(parents=True)
        self.directory.inputs.mkdir()
        self.directory.journal.write_bytes(LINES)
        self.record = AgentRecord("7", "m-7")
        self.master = Master()
        self.saved = 0
        self.shipper = Shipper(self.master, self.directory, self.record, self.save, attachment_bytes=1000)

    def save(self) -> None:
        self.saved += 1


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr("executor.agent.shipping.PAUSES", (0.0,))
    monkeypatch.setattr("executor.agent.shipping.LOOK_SECONDS", 0.01)
    return Bench(tmp_path / "job")


def test_all_of_it_in_order(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("executor.wire.messages.MAX_BLOCK", 300)
    bench.shipper.complete(len(LINES))
    bench.shipper.ship()
    assert bench.master.journal == LINES
    assert bench.record.acknowledged == len(LINES)
    assert len(bench.master.calls) > 10


def test_broken_connections_are_outlived(bench: Bench) -> None:
    bench.master.faults = [InfrastructureError("closed"), refusal("busy"), refusal("internal")]
    bench.shipper.complete(len(LINES))
    bench.shipper.ship()
    assert bench.master.journal == LINES


def test_master_that_has_more_already_says_where_to_go_on(bench: Bench) -> None:
    bench.master.journal = LINES[: LINES.index(b"\n") + 1]
    bench.shipper.complete(len(LINES))
    bench.shipper.ship()
    assert bench.master.journal == LINES


def test_master_that_lost_something_gets_it_again(bench: Bench) -> None:
    bench.record.acknowledged = len(LINES)
    bench.shipper.complete(len(LINES))
    bench.master.faults = [refusal("mismatch")]
    bench.shipper.report(Finished("7", len(LINES), End("Complete", 0)))
    assert bench.master.journal == LINES
    assert len(bench.master.finished) == 1


def test_master_with_more_than_there_is_means_another_job(bench: Bench) -> None:
    bench.master.journal = LINES * 2
    with pytest.raises(NotWanted):
        bench.shipper.ship()


@pytest.mark.parametrize("step", ["ship", "upload", "report"])
def test_unknown_job_is_not_wanted(bench: Bench, step: str) -> None:
    (bench.directory.out / "plan.json").write_text("{}")
    bench.master.faults = [refusal("unknown-job")]
    steps: dict[str, Callable[[], object]] = {
        "ship": bench.shipper.ship,
        "upload": bench.shipper.upload,
        "report": lambda: bench.shipper.report(Finished("7", 0)),
    }
    with pytest.raises(NotWanted):
        steps[step]()


def test_journal_that_the_master_does_not_take_is_given_up(bench: Bench) -> None:
    bench.master.faults = [refusal("malformed")] * REFUSALS
    bench.shipper.complete(len(LINES))
    bench.shipper.ship()
    assert bench.record.acknowledged == 0
    assert "does not take the journal" in (bench.directory.path / "session.log").read_text()


def test_stop_ends_waiting_at_once(bench: Bench) -> None:
    caught: list[BaseException] = []

    def ship() -> None:
        try:
            bench.shipper.ship()
        except Stopped as stopped:
            caught.append(stopped)

    thread = threading.Thread(target=ship)
    thread.start()
    bench.shipper.stop()
    thread.join(10)
    assert caught


def test_kept_files(bench: Bench) -> None:
    out = bench.directory.out
    (out / "attachments").mkdir()
    (out / "plan.json").write_text("{}")
    (out / "attachments" / "small").write_bytes(b"s" * 1000)
    (out / "attachments" / "large").write_bytes(b"l" * 1001)
    (out / "console-main.raw").write_bytes(b"raw")
    (out / "empty").touch()
    (out / "link").symlink_to("/etc/passwd")
    (bench.directory.path / "spec.json").write_text("{}")
    (bench.directory.inputs / "job.yaml").write_text("secret headers")
    (bench.directory.inputs / "device.yaml").write_text("hostname: x")
    bench.shipper.upload()
    assert bench.master.files == {
        "plan.json": b"{}",
        "attachments/small": b"s" * 1000,
        "empty": b"",
        "spec.json": b"{}",
        "device.yaml": b"hostname: x",
    }
    assert "attachments/large is too large" in (bench.directory.path / "session.log").read_text()
    before = len(bench.master.calls)
    bench.shipper.upload()
    assert len(bench.master.calls) == before, "once each"
    (out / "plan.json").write_text("{ }")
    bench.shipper.upload()
    assert bench.master.files["plan.json"] == b"{ }"


def test_file_in_pieces_and_after_a_broken_connection(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("executor.wire.messages.MAX_BLOCK", 10)
    (bench.directory.out / "overlay.tar.gz").write_bytes(b"0123456789" * 3 + b"x")
    bench.master.faults = [InfrastructureError("closed")]
    bench.shipper.upload()
    assert bench.master.files["overlay.tar.gz"] == b"0123456789" * 3 + b"x"


def test_file_that_the_master_refuses_is_not_tried_for_ever(bench: Bench) -> None:
    (bench.directory.out / "plan.json").write_text("{}")
    bench.master.faults = [refusal("malformed")]
    bench.shipper.upload()
    assert "not kept at the master" in (bench.directory.path / "session.log").read_text()


def test_fresh_files_wait_while_the_job_runs(bench: Bench) -> None:
    (bench.directory.out / "plan.json").write_text("{}")
    bench.shipper.upload(settled=60)
    assert bench.master.files == {}


# -- planning


def test_job_without_a_plan_gets_the_smallest_container() -> None:
    assert plan_job("no: job", {}, True).needs == Needs()
    assert plan_job("a: [", {}, True).needs == Needs()


def test_timeout_of_the_job_bounds_its_runner() -> None:
    job = "job_name: x\ntimeouts: {job: {minutes: 3}, action: {minutes: 1}, connection: {minutes: 1}}\n"
    job += "actions:\n- deploy: {to: nowhere}\n"
    device = {"actions": {"deploy": {"methods": {}}, "boot": {"methods": {}}}, "hostname": "x"}
    assert plan_job(job, device, True).seconds == 180
