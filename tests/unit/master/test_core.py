# SPDX-License-Identifier: Apache-2.0
"""Jobs, devices and workers over their lives, without sockets and on a clock that the test moves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from executor.errors import ExitCode
from executor.master.agents import Agents
from executor.master.clients import Clients
from executor.master.configs import load_configs
from executor.master.core import Core
from executor.master.settings import Settings, UserLimits, WorkerSettings
from executor.master.store import JobRecord
from executor.master.submission import Accepted, Refused, Site, examine
from executor.model import journal
from executor.model.journal import End, Record
from executor.model.problem import Problem
from executor.testing.clock import FakeClock
from executor.testing.farm import summary_check, write_configs
from executor.wire import messages
from executor.wire.keys import Identity, Keyring
from executor.wire.messages import AgentJob
from executor.wire.server import Ticket

JOB = "job_name: n\ndevice_type: qemu\nsecrets: {TOKEN: geheim}\n"
COMPLETE = End("Complete", 0)
SETTINGS = Settings(worker_offline=20, worker_lost=900, users={"default": UserLimits(queued_jobs=5)})


class Farm:
    """A core with its handlers; `again` is what a restart of the master gives."""

    def __init__(self, directory: Path, settings: Settings = SETTINGS) -> None:
        self.directory, self.settings = directory, settings
        self.clock, self.monotonic = FakeClock(1_000_000.0), FakeClock(50.0)
        if not (directory / "dc").exists():
            write_configs(
                directory / "dc", "qemu-01", **{"board-01": "extends: qemu\ndevice_type: board\nworker: w\n"}
            )
        self.open()

    def open(self) -> None:
        configs = load_configs(self.directory / "dc")
        self.core = Core(self.directory, self.settings, configs, clock=self.clock, monotonic=self.monotonic)
        self.agents = Agents(self.core)
        self.clients = Clients(self.core, Keyring(self.directory / "keys"))
        self.key = 0

    def again(self) -> None:
        self.core.close()
        self.open()

    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.monotonic.advance(seconds)
        self.core.tick()
        self.schedule()

    def schedule(self) -> None:
        if self.core.dirty:
            self.core.run_scheduler()
        self.core.commit()

    def pushed(self) -> list[messages.Push]:
        found = [push for _, push in self.core.outgoing]
        self.core.outgoing.clear()
        return found

    # people

    def submit(self, text: str = JOB, who: str = "bob", **more: Any) -> messages.Body:
        ask = messages.Submit(text, **more)
        identity = Identity("client", who, "p")
        refused = self.clients.may_submit(identity, ask)
        if refused is not None:
            return refused
        self.key += 1
        site = Site(self.core.configs, {}, self.settings, who)
        reply = self.clients.submit(
            identity, ask, examine(ask, site, summary_check), f"k{self.clock()}{self.key}"
        )
        self.core.commit()
        return reply

    def new_job(self, text: str = JOB, **more: Any) -> str:
        reply = self.submit(text, **more)
        assert isinstance(reply, messages.Submitted)
        return reply.jobs[0]

    def cancel(self, job: str, who: str = "bob", role: str = "client") -> messages.Body:
        reply = self.clients.cancel(Identity(role, who, "p"), messages.Cancel(job, "enough"))
        self.schedule()
        return reply

    def job(self, id: str) -> JobRecord:
        found = self.core.find(id)
        assert found is not None
        return found

    def fate(self, id: str) -> tuple[str, str, str, int]:
        job = self.job(id)
        return (job.state, job.health, job.error_type, job.exit_code)

    # agents

    def ticket(self, worker: str = "w", session: str = "s1") -> Ticket:
        return Ticket(b"route-" + session.encode(), session, 1, Identity("agent", worker, "p"))

    def hello(self, *jobs: AgentJob, worker: str = "w", session: str = "s1", **more: Any) -> messages.Body:
        reply = self.agents.hello(self.ticket(worker, session), messages.Hello(jobs=list(jobs), **more))
        self.schedule()
        return reply

    def beat(self, *jobs: AgentJob, worker: str = "w", session: str = "s1", **more: Any) -> messages.Orders:
        reply = self.agents.heartbeat(
            self.ticket(worker, session), messages.Heartbeat(jobs=list(jobs), **more)
        )
        assert isinstance(reply, messages.Orders)
        self.schedule()
        return reply

    def running(self) -> tuple[str, AgentJob]:
        """A worker with a running job."""
        self.hello()
        id = self.new_job()
        held = AgentJob(id, self.core.unique(int(id)), "running")
        self.agents.job_update(self.ticket(), messages.JobUpdate(held))
        self.core.commit()
        self.core.outgoing.clear()
        return id, held

    def ship(self, id: str, data: bytes, offset: int = 0) -> int:
        done = self.agents.journal_block(self.ticket(), messages.JournalBlock(id, offset, data))
        self.core.commit()
        assert not isinstance(done, messages.Failure)
        return done[1]

    def finished(self, id: str, **more: Any) -> messages.Body:
        reply = self.agents.finished(self.ticket(), messages.Finished(**{"job": id, "journal": 0, **more}))
        self.schedule()
        return reply


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[Farm]:
    made = Farm(tmp_path)
    yield made
    made.core.close()


def result(n: int, outcome: str = "pass") -> bytes:
    msg = {"definition": "0_a", "case": f"c{n}", "result": outcome}
    return journal.encode([Record(n, "t", "results", msg)])


# ---- the way of a job


def test_job_from_submission_to_its_end(farm: Farm) -> None:
    farm.hello()
    id = farm.new_job()
    [start] = farm.pushed()
    assert isinstance(start, messages.Start)
    assert (start.job.id, start.job.text, start.job.device["hostname"]) == (id, JOB, "qemu-01")
    assert start.job.unique == f"{farm.core.store.instance}-{id}"
    assert farm.fate(id) == ("Scheduled", "Unknown", "", -1)
    held = AgentJob(id, start.job.unique)
    farm.agents.job_update(farm.ticket(), messages.JobUpdate(held))
    assert farm.fate(id)[0] == "Scheduled"
    farm.beat(AgentJob(id, start.job.unique, "running"))
    assert farm.fate(id)[0] == "Running"
    data = result(0) + result(1, "fail")
    assert farm.ship(id, data) == len(data)
    assert farm.finished(id, journal=len(data), end=COMPLETE) == messages.Done()
    assert farm.fate(id) == ("Finished", "Complete", "", 0)
    info = farm.clients.job_info(id)
    assert isinstance(info, messages.JobInfo)
    assert info.row.cases == {"pass": 1, "fail": 1}
    assert info.row.started == info.row.ended == farm.clock()
    words = [line.split(" ", 1)[1] for line in info.history]
    assert words == [
        "submitted by bob",
        "got device qemu-01 at worker w",
        "runs at worker w",
        "finished: Complete",
    ]


def test_start_is_repeated_until_the_agent_has_it(farm: Farm) -> None:
    farm.hello()
    id = farm.new_job()
    assert [start.id for start in farm.beat().start] == [id]
    orders = farm.beat()
    assert [start.id for start in orders.start] == [id]
    assert orders.known == [id]
    held = AgentJob(id, orders.start[0].unique)
    assert farm.beat(held).start == []
    assert farm.beat(held).start == []


def test_very_short_job_gets_a_start_time(farm: Farm) -> None:
    farm.hello()
    id = farm.new_job()
    farm.finished(id, end=COMPLETE)
    assert farm.job(id).started == farm.clock()


def test_device_serves_one_job_at_a_time(farm: Farm) -> None:
    farm.running()
    second = farm.new_job()
    info = farm.clients.job_info(second)
    assert isinstance(info, messages.JobInfo)
    assert info.waiting == "device qemu-01 is busy with job 1 (position 1 in the queue)"
    farm.finished("1", end=COMPLETE)
    assert farm.fate(second)[0] == "Scheduled"


def test_end_is_taken_from_the_journal_when_the_agent_has_none(farm: Farm) -> None:
    id, _ = farm.running()
    end = {"health": "Incomplete", "exit_code": 5, "error_type": "Test", "error_msg": "late"}
    data = journal.encode([Record(0, "t", "end", end)])
    farm.ship(id, data)
    farm.finished(id, journal=len(data))
    assert farm.fate(id) == ("Finished", "Incomplete", "Test", 5)


def test_runner_that_died_is_an_infrastructure_error(farm: Farm) -> None:
    id, _ = farm.running()
    farm.finished(id, error_msg="the container was killed: out of memory")
    assert farm.fate(id) == ("Finished", "Incomplete", "Infrastructure", ExitCode.INFRASTRUCTURE)
    assert "out of memory" in farm.job(id).error_msg


def test_end_is_refused_while_journal_is_missing(farm: Farm) -> None:
    id, _ = farm.running()
    data = result(0)
    farm.ship(id, data)
    reply = farm.finished(id, journal=len(data) + 10, end=COMPLETE)
    assert isinstance(reply, messages.Failure)
    assert (reply.code, reply.hint) == ("mismatch", f"Ship from offset {len(data)} first.")
    assert farm.fate(id)[0] == "Running"


def test_end_may_be_told_twice(farm: Farm) -> None:
    id, _ = farm.running()
    farm.finished(id, end=COMPLETE)
    assert isinstance(farm.finished(id, end=End("Incomplete", 2)), messages.Done)
    assert farm.fate(id)[1] == "Complete"


def test_agents_reach_only_their_own_jobs(farm: Farm) -> None:
    id, _ = farm.running()
    farm.hello(worker="v", session="s2")
    other = farm.ticket("v", "s2")
    for reply in (
        farm.agents.finished(other, messages.Finished(id, 0, COMPLETE)),
        farm.agents.journal_block(other, messages.JournalBlock(id, 0, b"{}\n")),
        farm.agents.job_update(other, messages.JobUpdate(AgentJob(id))),
        farm.agents.owned(other, id),
        farm.agents.finished(other, messages.Finished("999", 0)),
        farm.agents.finished(other, messages.Finished("../1", 0)),
    ):
        assert isinstance(reply, messages.Failure)
        assert reply.code == "unknown-job"
    assert farm.fate(id)[0] == "Running"


# ---- secrets


def test_secrets_leave_the_master_with_the_end_of_the_job(farm: Farm) -> None:
    farm.hello()
    id = farm.new_job(secrets={"EXTRA": "verborgen"})
    [start] = farm.pushed()
    assert isinstance(start, messages.Start)
    assert start.job.secrets == {"EXTRA": "verborgen"}
    kept = farm.core.directory(int(id))
    assert (kept / "submission.json").stat().st_mode & 0o777 == 0o600
    shown = farm.clients.job_definition(Identity("client", "eve", "p"), messages.JobDefinition(id))
    assert isinstance(shown, messages.Definition)
    assert "geheim" not in shown.text
    assert shown.device["hostname"] == "qemu-01"
    farm.finished(id, end=COMPLETE)
    farm.again()
    for path in [*kept.rglob("*"), farm.directory / "store.db", farm.directory / "store.db-wal"]:
        data = path.read_bytes() if path.is_file() else b""
        assert b"geheim" not in data, path
        assert b"verborgen" not in data, path


# ---- canceling


def test_cancel_of_a_waiting_job(farm: Farm) -> None:
    id = farm.new_job()
    reply = farm.cancel(id)
    assert isinstance(reply, messages.JobInfo)
    assert farm.fate(id) == ("Finished", "Canceled", "Canceled", ExitCode.CANCELED)
    assert (reply.cancel_by, reply.cancel_reason) == ("bob", "enough")


def test_cancel_of_a_running_job(farm: Farm) -> None:
    id, held = farm.running()
    farm.cancel(id)
    assert farm.pushed() == [messages.Stop(messages.CancelJob(id, "enough"))]
    assert farm.fate(id)[0] == "Canceling"
    assert farm.beat(held).cancel == [messages.CancelJob(id, "enough")]
    farm.cancel(id)
    assert farm.pushed() == []
    farm.finished(id, end=COMPLETE)
    assert farm.fate(id) == ("Finished", "Canceled", "Canceled", ExitCode.CANCELED)


def test_cancel_of_a_job_that_the_agent_never_got(farm: Farm) -> None:
    farm.hello()
    id = farm.new_job()
    farm.cancel(id)
    orders = farm.beat()
    assert (orders.start, [order.id for order in orders.cancel]) == ([], [id])
    farm.finished(id, never_started=True)
    assert farm.fate(id) == ("Finished", "Canceled", "Canceled", ExitCode.CANCELED)


def test_only_submitter_and_admin_may_cancel(farm: Farm) -> None:
    id = farm.new_job()
    refused = farm.cancel(id, who="eve")
    assert isinstance(refused, messages.Failure)
    assert refused.code == "not-allowed"
    assert farm.fate(id)[0] == "Submitted"
    assert isinstance(farm.cancel(id, who="root", role="admin"), messages.JobInfo)


def test_cancel_of_what_has_ended_changes_nothing(farm: Farm) -> None:
    id, _ = farm.running()
    farm.finished(id, end=COMPLETE)
    assert isinstance(farm.cancel(id), messages.JobInfo)
    assert farm.fate(id)[1] == "Complete"
    unknown = farm.cancel("77")
    assert isinstance(unknown, messages.Failure)


# ---- workers that come and go


def test_silent_worker_gets_no_jobs_but_keeps_its_own(farm: Farm) -> None:
    id, held = farm.running()
    farm.pass_time(21)
    second = farm.new_job("device_type: board\n")
    assert farm.core.waiting[int(second)] == "device board-01 is free, but worker w is offline"
    assert farm.fate(id)[0] == "Running"
    farm.beat(held)
    assert farm.fate(second)[0] == "Scheduled"


def test_goodbye_takes_the_worker_out_at_once(farm: Farm) -> None:
    farm.hello()
    farm.agents.goodbye(farm.ticket(session="older"), messages.Goodbye())
    assert farm.core.workers["w"].online
    farm.agents.goodbye(farm.ticket(), messages.Goodbye())
    assert not farm.core.workers["w"].online


def test_jobs_of_a_lost_worker_end_as_incomplete(farm: Farm) -> None:
    id, _ = farm.running()
    farm.pass_time(899)
    assert farm.fate(id)[0] == "Running"
    farm.pass_time(2)
    assert farm.fate(id) == ("Finished", "Incomplete", "Infrastructure", ExitCode.INFRASTRUCTURE)
    assert "worker w has not been heard of" in farm.job(id).error_msg


def test_lost_job_that_comes_back_is_ended_before_its_device_is_used(farm: Farm) -> None:
    id, held = farm.running()
    data = result(0)
    farm.pass_time(901)
    assert farm.fate(id)[0] == "Finished"
    second = farm.new_job()
    farm.hello(held, session="s2")
    assert farm.beat(held, session="s2").unknown == [id]
    assert "given up, still being ended" in farm.core.waiting[int(second)]
    assert farm.ship(id, data) == len(data)  # what it wrote is not lost
    farm.finished(id, journal=len(data), end=COMPLETE)
    assert farm.fate(id)[1] == "Incomplete"
    assert farm.fate(second)[0] == "Scheduled"


def test_restarted_master_waits_for_the_agent(farm: Farm) -> None:
    id, held = farm.running()
    data = result(0)
    farm.ship(id, data)
    farm.again()
    assert farm.fate(id)[0] == "Running"
    farm.pass_time(899)
    assert farm.fate(id)[0] == "Running"
    assert isinstance(farm.beat(held), messages.Orders)  # before hello: told to say it
    assert farm.pushed() == [messages.HelloAgain()]
    farm.hello(held)
    farm.pass_time(899)
    assert farm.fate(id)[0] == "Running"
    farm.finished(id, journal=len(data), end=COMPLETE)
    info = farm.clients.job_info(id)
    assert isinstance(info, messages.JobInfo)
    assert info.row.cases == {"pass": 1}


def test_results_that_were_not_stored_yet_are_found_after_a_restart(farm: Farm) -> None:
    id, _ = farm.running()
    data = b"".join(result(n) for n in range(3))
    farm.ship(id, data[: len(result(0))])
    farm.core.tally.flush()
    farm.core.commit()
    farm.ship(id, data, 0)
    with farm.core.journals.path(int(id)).open("ab") as file:
        file.write(b'{"seq":3,"torn')
    farm.again()
    rows, total = farm.core.store.results(int(id), 0, 10)
    assert ([row.case for row in rows], total) == (["c0", "c1", "c2"], 3)
    assert farm.core.journals.size(int(id)) == len(data)
    assert farm.job(id).cases == {"pass": 3}


def test_fault_in_a_step_loses_no_result(farm: Farm) -> None:
    id, _ = farm.running()
    data = result(0) + result(1)
    farm.ship(id, data)
    farm.core.tally.flush()
    farm.core.rollback()
    farm.core.tally.flush()
    farm.core.commit()
    assert farm.core.store.results(int(id), 0, 10)[1] == 2
    assert farm.job(id).cases == {"pass": 2}


def test_job_that_an_agent_forgot_ends(farm: Farm) -> None:
    id, held = farm.running()
    farm.beat()
    assert farm.fate(id)[0] == "Running"
    farm.beat(held)
    farm.beat()
    assert farm.fate(id)[0] == "Running"
    farm.beat()
    assert farm.fate(id) == ("Finished", "Incomplete", "Infrastructure", ExitCode.INFRASTRUCTURE)
    assert farm.job(id).error_msg == "worker w no longer knows the job"


def test_jobs_of_another_store_are_not_mistaken(farm: Farm) -> None:
    farm.hello()
    id = farm.new_job()
    foreign = AgentJob(id, "other0-1", "running", 500)
    orders = farm.beat(foreign)
    assert orders.unknown == [id]
    assert orders.start == []
    assert farm.fate(id)[0] == "Scheduled"
    done = farm.agents.journal_block(farm.ticket(), messages.JournalBlock(id, 0, b"{}\n"))
    assert isinstance(done, messages.Failure)
    assert isinstance(farm.finished(id, end=COMPLETE), messages.Failure)
    assert [start.id for start in farm.beat().start] == [id]


def test_second_agent_with_the_same_key(farm: Farm) -> None:
    farm.hello(session="s1")
    farm.hello(session="s2")
    refused = farm.agents.heartbeat(farm.ticket(session="s1"), messages.Heartbeat())
    assert isinstance(refused, messages.Failure)
    assert refused.code == "mismatch"
    farm.beat(session="s2")


def test_agent_under_another_name_is_refused(farm: Farm) -> None:
    reply = farm.hello(**{"worker": "w", "session": "s1"})
    assert isinstance(reply, messages.Welcome)
    refused = farm.agents.hello(farm.ticket("w"), messages.Hello(worker="v"))
    assert isinstance(refused, messages.Failure)
    assert "its key belongs to w" in refused.message
    assert "lava-exec keys add agent v p" in refused.hint


def test_clock_that_is_off_is_a_warning_at_the_worker(farm: Farm) -> None:
    farm.hello()
    farm.beat(clock_offset=-7.2)
    [row] = farm.clients._worker_rows()
    assert (row.clock_offset, row.warning) == (-7.2, "its clock is 7 s behind the master's")
    farm.beat(clock_offset=0.2)
    assert farm.clients._worker_rows()[0].warning == ""


def test_draining_worker_takes_no_jobs(farm: Farm) -> None:
    farm.hello()
    farm.beat(draining=True)
    id = farm.new_job("device_type: board\n")
    assert farm.core.waiting[int(id)] == "device board-01 is free, but worker w is draining"
    farm.beat()
    assert farm.fate(id)[0] == "Scheduled"


def test_job_that_a_draining_worker_does_not_take_goes_back(farm: Farm) -> None:
    farm.hello()
    farm.hello(worker="v", session="s2")
    id = farm.new_job()
    taken = farm.job(id).worker
    session = {"w": "s1", "v": "s2"}[taken]
    farm.beat(worker=taken, session=session, draining=True)
    assert farm.job(id).worker == taken
    farm.beat(worker=taken, session=session, draining=True)
    assert (farm.job(id).state, farm.job(id).worker) == ("Scheduled", "v" if taken == "w" else "w")


def test_cancel_that_the_agent_leaves_unanswered(farm: Farm) -> None:
    farm.hello()
    id = farm.new_job()
    farm.cancel(id)
    farm.beat()
    assert farm.fate(id)[0] == "Canceling"
    farm.beat()
    assert farm.fate(id) == ("Finished", "Canceled", "Canceled", ExitCode.CANCELED)
    assert farm.job(id).error_msg == "canceled by bob"


def test_worker_settings_go_with_the_job(tmp_path: Path) -> None:
    own = WorkerSettings(environment={"B": "2"}, dispatcher={"prefix": "p"})
    farm = Farm(tmp_path, Settings(environment={"A": "1"}, workers={"w": own}, file_urls=["/srv"]))
    farm.hello()
    farm.new_job()
    [start] = farm.pushed()
    assert isinstance(start, messages.Start)
    assert start.job.environment == {"A": "1", "B": "2"}
    assert start.job.dispatcher == {"prefix": "p"}
    assert start.job.file_urls == ["/srv"]
    farm.core.close()


# ---- devices


def admin() -> Identity:
    return Identity("admin", "root", "p")


def test_infrastructure_failure_makes_the_device_unknown(farm: Farm) -> None:
    id, _ = farm.running()
    farm.finished(id, error_type="Infrastructure", error_msg="no power")
    info = farm.clients.device_show(admin(), messages.DeviceShow("qemu-01"))
    assert isinstance(info, messages.DeviceInfo)
    assert (info.row.health, info.row.note) == ("Unknown", "job 1 ended with Infrastructure")
    assert "lava-health: Good → Unknown" in info.history[0]


def test_device_in_maintenance_gets_no_job_until_it_is_good(farm: Farm) -> None:
    farm.hello()
    farm.clients.device_set(admin(), messages.DeviceSet("qemu-01", "MAINTENANCE", "fan"))
    id = farm.new_job()
    assert farm.core.waiting[int(id)] == "device qemu-01 is in health Maintenance"
    reply = farm.clients.device_set(admin(), messages.DeviceSet("qemu-01", "good"))
    assert isinstance(reply, messages.DeviceInfo)
    assert (reply.row.state, reply.row.job) == ("Reserved", id)


def test_retired_device_cancels_its_job(farm: Farm) -> None:
    id, _ = farm.running()
    farm.clients.device_set(admin(), messages.DeviceSet("qemu-01", "retired"))
    assert farm.fate(id)[0] == "Canceling"


@pytest.mark.parametrize(
    ("ask", "code"),
    [
        (messages.DeviceSet("qemu-1", "good"), "unknown-device"),
        (messages.DeviceSet("qemu-01", "fine"), "malformed"),
    ],
)
def test_bad_device_set(farm: Farm, ask: messages.DeviceSet, code: str) -> None:
    reply = farm.clients.device_set(admin(), ask)
    assert isinstance(reply, messages.Failure)
    assert reply.code == code
    assert reply.hint


def test_worker_health_and_its_devices(farm: Farm) -> None:
    farm.hello()

    def set_health(health: str) -> str:
        reply = farm.clients.worker_set(admin(), messages.WorkerSet("w", health))
        assert isinstance(reply, messages.Workers)
        return reply.rows[0].health

    def device() -> str:
        info = farm.clients.device_show(admin(), messages.DeviceShow("board-01"))
        assert isinstance(info, messages.DeviceInfo)
        return info.row.health

    assert (set_health("maintenance"), device()) == ("Maintenance", "Good")
    assert (set_health("active"), device()) == ("Active", "Unknown")
    assert (set_health("retired"), device()) == ("Retired", "Retired")
    assert (set_health("active"), device()) == ("Active", "Retired")
    unknown = farm.clients.worker_set(admin(), messages.WorkerSet("ww", "active"))
    assert isinstance(unknown, messages.Failure)


def test_device_that_is_gone_when_its_job_starts(farm: Farm) -> None:
    id = farm.new_job()
    (farm.directory / "dc" / "types" / "qemu.yaml").write_text(
        "variables: {arch: '${cpu}', cpu: '${arch}'}\nx: ${cpu}\n"
    )
    farm.core.configs = load_configs(farm.directory / "dc")
    farm.hello()
    assert farm.fate(id) == ("Finished", "Incomplete", "Configuration", ExitCode.INFRASTRUCTURE)
    assert "refer to each other" in farm.job(id).error_msg


# ---- limits


def test_limit_of_unfinished_jobs(farm: Farm) -> None:
    for _ in range(5):
        farm.new_job()
    refused = farm.submit()
    assert isinstance(refused, messages.Failure)
    assert refused.code == "limit"
    assert isinstance(farm.submit(who="eve"), messages.Submitted)


def test_size_of_a_job(farm: Farm) -> None:
    refused = farm.submit("x" * (messages.MAX_JOB_TEXT + 1))
    assert isinstance(refused, messages.Failure)
    assert refused.code == "too-large"


def test_dry_run_stores_nothing(farm: Farm) -> None:
    reply = farm.submit(dry_run=True)
    assert reply == messages.Submitted([])
    assert farm.core.store.unfinished() == []


def test_refusal_has_all_problems(farm: Farm) -> None:
    identity = Identity("client", "bob", "p")
    found = Refused([Problem("a"), Problem("b", "Configuration")])
    reply = farm.clients.submit(identity, messages.Submit("x"), found, "k")
    assert isinstance(reply, messages.Failure)
    assert (reply.code, reply.error_type, len(reply.problems)) == ("refused", "Job", 2)
    assert reply.message == "the job is refused: 2 problems"


def test_queue_limit_of_the_job(farm: Farm) -> None:
    id = farm.new_job("device_type: qemu\nqueue_seconds: 60\n")
    farm.pass_time(59)
    assert farm.fate(id)[0] == "Submitted"
    farm.pass_time(2)
    assert farm.fate(id)[:2] == ("Finished", "Canceled")


def test_accepted_summary_is_what_the_scheduler_uses(farm: Farm) -> None:
    found = examine(
        messages.Submit("device_type: board\npriority: 5\nworker: w\n"),
        Site(farm.core.configs, {}, farm.settings, "bob"),
        summary_check,
    )
    assert isinstance(found, Accepted)
    assert (found.summary.device_type, found.summary.priority, found.summary.worker) == ("board", 5, "w")
