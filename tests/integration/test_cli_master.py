# SPDX-License-Identifier: Apache-2.0
"""The commands that talk to a master, over a real socket to a real master; only the agent is a stand-in."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from executor.cli.app import App
from executor.cli.main import root
from executor.model.journal import END, HEADER, End, Header
from executor.testing.book import Book
from executor.testing.farm import LocalMaster, StandInAgent
from executor.wire import messages

Cli = Callable[..., Result]
JOB = "job_name: demo\ndevice_type: qemu\n"


def book(job: str, code: int = 0, result: str = "pass") -> tuple[bytes, End]:
    """The journal of a small job, and its end."""
    made = Book()
    made.add(HEADER, Header(job_id=job, job_name="demo", device="qemu-01"))
    made.target("hello from the device")
    made.result("0_smoke", "a", result)
    end = End("Complete", code, cases={result: 1}, seconds=2.0)
    made.add(END, end)
    return made.data, end


@pytest.fixture
def master(tmp_path: Path) -> Iterator[LocalMaster]:
    with LocalMaster(tmp_path / "state") as running:
        yield running


@pytest.fixture
def agent(master: LocalMaster) -> Iterator[StandInAgent]:
    with StandInAgent(master) as running:
        yield running


@pytest.fixture
def env(master: LocalMaster, tmp_path: Path) -> dict[str, str]:
    return {
        "HOME": str(tmp_path),
        "LAVA_EXEC_STATE": str(master.state),
        "LAVA_EXEC_MASTER": master.address,
    }


@pytest.fixture
def cli(env: dict[str, str]) -> Cli:
    def run(*args: str | Path, **more: object) -> Result:
        return CliRunner().invoke(root, [str(a) for a in args], obj=App(env=env), env=env, **more)  # type: ignore[arg-type]

    return run


@pytest.fixture
def job(tmp_path: Path) -> Path:
    path = tmp_path / "job.yaml"
    path.write_text(JOB)
    return path


def serve(agent: StandInAgent, *codes: int) -> threading.Thread:
    """The agent runs as many jobs as there are codes, each ending with its code."""

    def work() -> None:
        for code in codes:
            start = agent.next_job()
            data, end = book(start.id, code, "fail" if code == 1 else "pass")
            agent.run(start, data, end)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_submit_prints_the_id_alone(cli: Cli, job: Path) -> None:
    result = cli("submit", job)
    assert (result.exit_code, result.stdout) == (0, "1\n")
    assert "job 1 waits:" in result.stderr
    result = cli("jobs", "submit", "-", input=JOB)
    assert (result.exit_code, result.stdout) == (0, "2\n")


def test_follow_shows_log_results_and_code(cli: Cli, job: Path, agent: StandInAgent) -> None:
    done = serve(agent, 0)
    result = cli("submit", job, "--follow")
    done.join(20)
    assert result.exit_code == 0, result.output
    assert "hello from the device" in result.stdout
    assert "✓  0_smoke/a  pass\nComplete: 1 passed in 2.0 s\n" in result.stdout


def test_wait_shows_the_end_only_and_the_gravest_code_counts(
    cli: Cli, job: Path, agent: StandInAgent
) -> None:
    done = serve(agent, 0, 1)
    result = cli("submit", job, job, "--wait")
    done.join(20)
    assert result.exit_code == 1, result.output
    assert "hello" not in result.stdout
    assert result.stdout.splitlines()[:2] == ["1", "2"]
    assert "1 of 1 test cases did not pass: 0_smoke/a" in result.stdout


def test_the_end_for_programs(cli: Cli, job: Path, agent: StandInAgent) -> None:
    serve(agent, 1)
    result = cli("submit", job, "--wait", "--format", "json")
    data = json.loads(result.stdout)
    assert (result.exit_code, data["exit_code"], data["health"], data["state"]) == (
        1,
        1,
        "Complete",
        "Finished",
    )


def test_a_refused_job_shows_why_and_where(cli: Cli, tmp_path: Path, job: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text(JOB + "refuse: not today\n")
    result = cli("submit", bad)
    assert result.exit_code == 2
    assert f"{bad}:3:1: error: refuse: not today" in result.stderr
    assert "    3 | refuse: not today" in result.stderr
    assert result.stdout == ""
    both = cli("submit", bad, job)
    assert (both.exit_code, both.stdout) == (2, "1\n")
    assert "was not submitted, the others are" in both.stderr


def test_a_dry_run_queues_nothing(cli: Cli, job: Path) -> None:
    assert cli("submit", job, "--dry-run").exit_code == 0
    assert cli("jobs").stdout == ""


@pytest.mark.parametrize("args", [("-", "-"), ("x", "--secret", "A=b"), ("x", "--strict", "--no-strict"), ()])
def test_submit_used_wrongly(cli: Cli, args: tuple[str, ...]) -> None:
    assert cli("submit", *args, input=JOB).exit_code == 64


def test_lists_and_single_jobs(cli: Cli, job: Path, agent: StandInAgent) -> None:
    serve(agent, 1)
    cli("submit", job, "--wait")
    rows = cli("jobs").stdout.splitlines()
    assert rows[0].split() == ["id", "state", "device", "name", "submitter", "submitted", "results"]
    assert rows[1].startswith("1   Complete  qemu-0")
    assert rows[1].endswith("1 fail")
    assert cli("jobs", "list", "--state", "running").stdout == ""
    assert json.loads(cli("jobs", "--format", "json").stdout)["jobs"][0]["name"] == "demo"
    shown = cli("show", "1").stdout
    assert "name         : demo\n" in shown
    assert "exit code    : 1\n" in shown
    assert json.loads(cli("jobs", "show", "1", "--format", "json").stdout)["row"]["id"] == "1"
    assert cli("jobs", "definition", "1").stdout == JOB
    waited = cli("jobs", "wait", "1")
    assert (waited.exit_code, waited.stdout) == (1, "Complete\n")


def test_logs_and_results_of_a_job(cli: Cli, job: Path, agent: StandInAgent) -> None:
    serve(agent, 0)
    cli("submit", job, "--wait")
    assert cli("logs", "1", "--no-timestamps").stdout == "hello from the device\n✓ 0_smoke/a pass\n"
    assert cli("logs", "1", "--format", "json").stdout_bytes == book("1")[0]
    assert cli("logs", "1", "-n", "2", "--no-timestamps").stdout == "✓ 0_smoke/a pass\n"
    assert cli("results", "1", "0_smoke", "a").stdout == "pass\n"
    assert cli("results", "1", "--format", "tap").stdout.startswith("TAP version 13\n1..1\n")


def test_a_long_log_arrives_whole_and_in_order(cli: Cli, job: Path, agent: StandInAgent) -> None:
    made = Book()
    made.add(HEADER, Header(job_id="1"))
    for number in range(30_000):
        made.records.append(
            made.records[0].__class__(number + 1, "2031-01-01T00:00:00+00:00", "target", f"line {number}")
        )
    end = End("Complete", 0)
    made.add(END, end)

    def work() -> None:
        start = agent.next_job()
        agent.say(start.id, "running")
        offset = 0
        while offset < len(made.data):
            cut = made.data.rfind(b"\n", offset, offset + messages.MAX_BLOCK) + 1
            offset = agent.ship(start.id, made.data[offset:cut], offset)
        agent.finish(start.id, offset, end)

    threading.Thread(target=work, daemon=True).start()
    cli("submit", job)
    lines = cli("logs", "-f", "1", "--no-timestamps").stdout.splitlines()
    assert lines == [f"line {number}" for number in range(30_000)]


def test_files_are_listed_fetched_and_checked(
    cli: Cli, job: Path, agent: StandInAgent, tmp_path: Path
) -> None:
    content = b"plan" * 1000

    def work() -> None:
        start = agent.next_job()
        agent.say(start.id, "running")
        data, end = book(start.id)
        agent.ship(start.id, data)
        digest = hashlib.sha256(content).hexdigest()
        agent.call(
            messages.FileChunk(start.id, "sub/plan.json", 0, content, len(content), digest), messages.FileAck
        )
        agent.finish(start.id, len(data), end)

    threading.Thread(target=work, daemon=True).start()
    cli("submit", job, "--wait")
    assert "sub/plan.json  3.9 KiB" in cli("files", "1").stdout
    assert cli("files", "1", "sub/plan.json", "--stdout").stdout_bytes == content
    assert cli("artifacts", "1", "--all", "-o", tmp_path / "out").exit_code == 0
    assert (tmp_path / "out" / "sub" / "plan.json").read_bytes() == content
    result = cli("files", "1", "none")
    assert result.exit_code == 64
    assert "sub/plan.json" in result.stderr


def test_cancel(cli: Cli, job: Path) -> None:
    cli("submit", job)
    result = cli("cancel", "1", "--wait", "--reason", "wrong kernel")
    assert result.exit_code == 0
    assert "job 1: Finished, Canceled" in result.stderr
    assert "wrong kernel" in cli("show", "1").stdout
    assert cli("jobs", "wait", "1").exit_code == 4


def test_what_is_not_there(cli: Cli) -> None:
    for args in (("show", "77"), ("logs", "77"), ("results", "77"), ("cancel", "77"), ("files", "77")):
        result = cli(*args)
        assert result.exit_code == 64, args
        assert "there is no job 77" in result.stderr or "no job '77'" in result.stderr, result.stderr


def test_devices_and_workers(cli: Cli, agent: StandInAgent) -> None:
    assert cli("devices").stdout.splitlines()[1].split()[:4] == ["qemu-01", "qemu", "Idle", "Good"]
    assert cli("devices", "set", "qemu-01", "maintenance", "--reason", "new cable").exit_code == 0
    shown = cli("devices", "show", "qemu-01").stdout
    assert "Maintenance new cable" in shown
    assert "qemu-amd64" in shown
    assert cli("devices", "set", "qemu-01", "splendid").exit_code == 64
    near = cli("devices", "show", "qemu-011")
    assert (near.exit_code, "Did you mean qemu-01?" in near.stderr) == (64, True)
    assert "Online" in cli("workers").stdout
    assert cli("devices", "list", "--device-type", "none").stdout == ""


def test_keys(cli: Cli, env: dict[str, str], tmp_path: Path) -> None:
    assert "admin" in cli("keys", "list").stdout
    assert cli("keys", "list", "--ask").stdout == cli("keys", "list").stdout
    own = {**env, "LAVA_EXEC_STATE": str(tmp_path / "other")}

    def other(*args: str) -> Result:
        return CliRunner().invoke(root, args, obj=App(env=own), env=own)

    untrusting = other("jobs")
    assert untrusting.exit_code == 3
    assert "keys trust" in untrusting.stderr
    master_key = cli("keys", "show", "master").stdout.strip()
    assert other("keys", "trust", master_key).exit_code == 0
    unknown = other("jobs")
    assert unknown.exit_code == 3
    public = other("keys", "show", "client").stdout.strip()
    assert f"lava-exec keys add client NAME {public}" in unknown.stderr
    assert cli("keys", "add", "client", "anna", public).exit_code == 0
    assert other("jobs").exit_code == 0
    assert cli("keys", "remove", "client", "anna").exit_code == 0
    assert other("jobs").exit_code == 3
    assert cli("keys", "remove", "client", "anna").exit_code == 64
    assert cli("keys", "add", "king", "anna", public).exit_code == 64
    assert cli("keys", "add", "client", "anna", "beef").exit_code == 64


def test_the_shell_completes_jobs_and_devices(
    cli: Cli, env: dict[str, str], job: Path, tmp_path: Path
) -> None:
    cli("submit", job)

    def completed(line: str) -> list[str]:
        words = line.split(" ")
        done = subprocess.run(
            [sys.executable, "-m", "executor.cli"],
            capture_output=True,
            text=True,
            timeout=60,
            env={
                **os.environ,
                **env,
                "_LAVA_EXEC_COMPLETE": "bash_complete",
                "COMP_WORDS": line,
                "COMP_CWORD": str(len(words) - 1),
            },
            check=False,
        )
        return [row.removeprefix("plain,") for row in done.stdout.split()]

    assert completed("lava-exec logs 1") == ["1"]
    assert completed("lava-exec devices show qemu") == ["qemu-01", "qemu-02"]
    env["LAVA_EXEC_STATE"] = str(tmp_path / "none")
    assert completed("lava-exec logs 1") == []
    assert not (tmp_path / "none").exists()


def test_no_master_is_told_at_once(cli: Cli, master: LocalMaster) -> None:
    master.stop()
    result = cli("jobs")
    assert result.exit_code == 3
    assert "error: no master listens at" in result.stderr
    assert "lava-exec serve" in result.stderr


def test_the_doctor_sees_the_master(cli: Cli, agent: StandInAgent) -> None:
    found = json.loads(cli("doctor", "--no-containers", "--format", "json").stdout)
    by_name = {check["name"]: check for check in found}
    assert by_name["master"]["status"] == "ok"
    assert "you are admin local" in by_name["master"]["detail"]
    assert by_name["workers"]["status"] == "ok"
    assert by_name["keys"]["detail"].startswith("master, client, agent in ")


def test_an_interrupted_follower_leaves_the_job_alone(
    env: dict[str, str], cli: Cli, job: Path, agent: StandInAgent
) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "executor.cli", "submit", str(job), "--follow"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **env, "PYTHONUNBUFFERED": "1"},
    ) as process:
        start = agent.next_job()
        agent.say(start.id, "running")
        data, end = book(start.id)
        agent.ship(start.id, data)
        assert process.stdout is not None
        while "hello" not in process.stdout.readline():
            pass
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "job 1 goes on" in stderr
    assert "lava-exec cancel 1" in stderr
    assert "Running" in cli("jobs").stdout
    agent.finish(start.id, len(data), end)
    assert cli("jobs", "wait", "1").exit_code == 0


def test_an_interrupt_can_cancel(env: dict[str, str], job: Path, agent: StandInAgent) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "executor.cli", "submit", str(job), "--follow", "--cancel-on-interrupt"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **env, "PYTHONUNBUFFERED": "1"},
    ) as process:
        start = agent.next_job()
        agent.say(start.id, "running")
        data, _ = book(start.id)
        agent.ship(start.id, data)
        assert process.stdout is not None
        while "hello" not in process.stdout.readline():
            pass
        process.send_signal(signal.SIGINT)
        agent.next(messages.Stop)
        agent.finish(start.id, len(data), End("Canceled", 4, error_type="Canceled", error_msg="canceled"))
        _, stderr = process.communicate(timeout=20)
    assert "is being canceled" in stderr
    assert process.returncode == 4
