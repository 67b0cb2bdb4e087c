# SPDX-License-Identifier: Apache-2.0
"""Programs are started in order, again when they die, and never outlive the supervisor. Real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from executor.cli import supervisor
from executor.cli.supervisor import GaveUp, Program, Supervisor, last_lines, say_ready

READY = 'echo "$1" >/proc/self/fd/$LAVA_EXEC_READY_FD; '


def program(tmp_path: Path, name: str, script: str) -> Program:
    return Program(name, ["sh", "-c", script, "sh", name], tmp_path / "log" / f"{name}.log")


def stop() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_second_waits_for_the_first_and_both_end(tmp_path: Path) -> None:
    order: list[str] = []
    pids: list[int] = []

    def ready(one: Program) -> None:
        order.append(one.ready)
        assert one.process is not None
        pids.append(one.process.pid)
        if len(order) == 2:
            stop()

    first = program(tmp_path, "first", READY + "exec sleep 60")
    second = program(tmp_path, "second", READY + "exec sleep 60")
    Supervisor([first, second], on_ready=ready).run()
    assert order == ["first", "second"]
    assert not any(map(alive, pids))


def test_a_program_that_dies_is_started_again_later_each_time(tmp_path: Path) -> None:
    deaths: list[tuple[int, float]] = []

    def died(one: Program, code: int, pause: float) -> None:
        deaths.append((code, pause))
        one.due = 0.0  # no need to wait in a test
        if len(deaths) == 3:
            stop()

    Supervisor([program(tmp_path, "one", READY + "exit 7")], on_death=died).run()
    assert deaths == [(7, 1.0), (7, 2.0), (7, 4.0)]


def test_one_that_never_gets_ready_is_given_up(tmp_path: Path) -> None:
    one = program(tmp_path, "one", "echo cannot bind; exit 3")
    two = program(tmp_path, "two", "touch started")

    def died(dead: Program, code: int, pause: float) -> None:
        dead.due = 0.0

    with pytest.raises(GaveUp) as caught:
        Supervisor([one, two], on_death=died).run()
    assert caught.value.code == 3
    assert last_lines(one.log) == ["cannot bind"] * 3
    assert two.process is None


def test_one_that_is_slow_is_told_once(tmp_path: Path) -> None:
    told: list[str] = []

    def slow(one: Program) -> None:
        told.append(one.name)
        (tmp_path / "go").touch()

    script = f"while [ ! -e {tmp_path}/go ]; do sleep 0.05; done; " + READY + "exec sleep 60"
    one = program(tmp_path, "one", script)
    Supervisor([one], on_ready=lambda one: stop(), on_slow=slow, slow_seconds=0.1).run()
    assert told == ["one"]


def test_one_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    deaf = program(tmp_path, "deaf", "trap '' TERM; " + READY + "while :; do sleep 60 & wait; done")
    pids: list[int] = []

    def ready(one: Program) -> None:
        assert one.process is not None
        pids.append(one.process.pid)
        stop()

    Supervisor([deaf], on_ready=ready, stop_seconds=0.2).run()
    assert not alive(pids[0])


def test_children_end_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    script = "echo $$ >/proc/self/fd/$LAVA_EXEC_READY_FD; exec sleep 60"
    code = (
        "import os, sys; from pathlib import Path; from executor.cli.supervisor import Program, Supervisor\n"
        "p = Program('one', ['sh', '-c', sys.argv[2]], Path(sys.argv[1]))\n"
        "Supervisor([p], on_ready=lambda one: print(one.ready, flush=True)).run()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "log"), script], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        assert alive(child)
        descriptor = os.pidfd_open(child)
        process.kill()
    import select

    assert select.select([descriptor], [], [], 20)[0]
    os.close(descriptor)


def test_a_log_does_not_grow_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "MAX_LOG", 10)
    log = tmp_path / "log" / "one.log"
    log.parent.mkdir()
    log.write_text("more than ten bytes")
    Supervisor([program(tmp_path, "one", READY + "exec sleep 60")], on_ready=lambda one: stop()).run()
    assert log.read_text() == ""
    assert log.with_name("one.log.1").read_text() == "more than ten bytes"


def test_ready_is_told_to_whoever_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    monkeypatch.setenv(supervisor.READY_FD, str(writer))
    say_ready("here")
    assert os.read(reader, 100) == b"here\n"
    assert os.read(reader, 100) == b""
    os.close(reader)
    assert supervisor.READY_FD not in os.environ
    say_ready("nobody asked")


def test_ready_is_told_to_systemd(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        say_ready("at tcp://x")
        assert channel.recv(100) == b"READY=1\nSTATUS=at tcp://x"
