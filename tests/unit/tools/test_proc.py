# SPDX-License-Identifier: Apache-2.0
"""Running programs: output, codes, deadlines, leftovers, secrets."""

from __future__ import annotations

import os
import select
import sys
from pathlib import Path

import pytest

from executor.errors import ConfigurationError, InfrastructureError, JobTimeout
from executor.model.deadline import Deadline
from executor.tools import proc


def script(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_lines_reach_the_log_in_order_and_the_tail_is_kept() -> None:
    lines: list[str] = []
    done = proc.run(
        script("for n in range(100): print('line', n)"), deadline=Deadline.after(60), log=lines.append
    )
    assert lines == [f"line {n}" for n in range(100)]
    assert done.lines_tail == tuple(lines[-proc.TAIL_LINES :])
    assert done.returncode == 0


def test_stderr_comes_with_stdout() -> None:
    done = proc.run(script("import sys; print('bad', file=sys.stderr)"), deadline=Deadline.after(60))
    assert done.lines_tail == ("bad",)


def test_stdout_can_go_elsewhere(tmp_path: Path) -> None:
    code = "import sys; print('data'); print('said', file=sys.stderr)"
    with (tmp_path / "out").open("wb") as out:
        done = proc.run(script(code), deadline=Deadline.after(60), stdout=out.fileno())
    assert done.lines_tail == ("said",)
    assert (tmp_path / "out").read_text() == "data\n"


def test_a_carriage_return_ends_a_line_and_long_lines_are_cut() -> None:
    code = r"import sys; sys.stdout.write('10%\r20%\r\n' + 'x' * 20000)"
    lines: list[str] = []
    proc.run(script(code), deadline=Deadline.after(60), log=lines.append)
    assert lines[:2] == ["10%", "20%"]
    assert "".join(lines[2:]) == "x" * 20000
    assert max(map(len, lines)) <= proc.LINE_BYTES


def test_output_that_is_no_text_does_no_harm() -> None:
    lines: list[str] = []
    code = r"import sys; sys.stdout.buffer.write(b'\xff\xfe\n')"
    proc.run(script(code), deadline=Deadline.after(60), log=lines.append)
    assert lines == ["\ufffd\ufffd"]


def test_failure_names_code_last_line_and_command() -> None:
    with pytest.raises(ConfigurationError) as caught:
        proc.run(
            script("print('first'); print('the cause'); raise SystemExit(7)"),
            deadline=Deadline.after(60),
            error=ConfigurationError,
        )
    assert "failed with code 7: the cause" in caught.value.message
    assert "SystemExit" in caught.value.hint


def test_unchecked_failure_is_returned() -> None:
    done = proc.run(script("raise SystemExit(7)"), deadline=Deadline.after(60), check=False)
    assert done.returncode == 7


def test_death_by_signal_is_named() -> None:
    with pytest.raises(InfrastructureError, match="was killed by SIGKILL"):
        proc.run(script("import os; os.kill(os.getpid(), 9)"), deadline=Deadline.after(60))


def test_secrets_are_in_no_line_and_no_message() -> None:
    lines: list[str] = []
    with pytest.raises(InfrastructureError) as caught:
        proc.run(
            script("print('token hunter2'); raise SystemExit(1) # hunter2"),
            deadline=Deadline.after(60),
            log=lines.append,
            secrets=["hunter2", ""],
        )
    assert lines == [f"token {proc.MASK}"]
    assert "hunter2" not in caught.value.message + caught.value.hint


def test_missing_tool_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(InfrastructureError) as caught:
        proc.run(["debugfs", "-V"], deadline=Deadline.after(60))
    assert "e2fsprogs" in caught.value.hint


def test_a_file_that_is_no_program_is_an_infrastructure_error(tmp_path: Path) -> None:
    bad = tmp_path / "tool"
    bad.write_bytes(b"\0\0\0")
    bad.chmod(0o755)
    with pytest.raises(InfrastructureError, match="cannot be started"):
        proc.run([bad], deadline=Deadline.after(60))


def test_deadline_ends_the_program_and_its_children(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    code = (
        "import os, subprocess, sys, pathlib, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(300)'])\n"
        f"pathlib.Path({str(pids)!r}).write_text(f'{{os.getpid()}} {{child.pid}}')\n"
        "print('up', flush=True)\n"
        "time.sleep(300)\n"
    )
    expired = Deadline.after(300)

    def up(line: str) -> None:
        expired.at = 0  # the program has said that it is running: time is over

    with pytest.raises(JobTimeout, match="did not end within 300 seconds"):
        proc.run(script(code), deadline=expired, log=up)
    for pid in map(int, pids.read_text().split()):
        assert ends(pid)


def test_what_a_program_leaves_behind_is_ended(tmp_path: Path) -> None:
    pids = tmp_path / "pid"
    code = (
        "import subprocess, sys, pathlib\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(300)'])\n"
        f"pathlib.Path({str(pids)!r}).write_text(str(child.pid))\n"
    )
    proc.run(script(code), deadline=Deadline.after(60))
    assert ends(int(pids.read_text()))


def test_stdin_is_data_a_file_or_nothing(tmp_path: Path) -> None:
    echo = script("import sys; print(sys.stdin.read())")
    given = tmp_path / "input"
    given.write_text("from a file")
    assert proc.run(echo, deadline=Deadline.after(60), stdin=b"data").lines_tail == ("data",)
    assert proc.run(echo, deadline=Deadline.after(60), stdin=given).lines_tail == ("from a file",)
    assert proc.run(echo, deadline=Deadline.after(60)).lines_tail == ()


def test_environment_is_added(tmp_path: Path) -> None:
    code = "import os; print(os.environ['EXTRA'], os.environ['LC_ALL'], 'PATH' in os.environ, os.getcwd())"
    done = proc.run(script(code), deadline=Deadline.after(60), env={"EXTRA": "here"}, cwd=tmp_path)
    assert done.lines_tail == (f"here C.UTF-8 True {tmp_path.resolve()}",)


def ends(pid: int) -> bool:
    """Whether the process is gone, or goes now: a signal takes its time."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    try:
        return bool(poll.poll(10_000))
    finally:
        os.close(handle)
