# SPDX-License-Identifier: Apache-2.0
"""Real programs on real terminals, read by the real thread."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from executor.console.ports import FAREWELLS, WINDOW_SIZE, ProcessPort
from executor.console.reader import Console
from executor.console.watcher import Mode
from executor.errors import Bug, ConnectionClosed, InfrastructureError, JobCanceled
from executor.model import journal
from executor.model.deadline import Deadline
from executor.testing.console import MemorySink

LIMIT = 20.0  # seconds, a safety net


def soon() -> Deadline:
    return Deadline.after(LIMIT)


@contextmanager
def console_of(port: ProcessPort, sink: MemorySink | None = None) -> Iterator[Console]:
    console = Console(port, sink or MemorySink())
    console.start()
    try:
        yield console
    finally:
        console.close(Deadline.after(2))


def shell(script: str, **options: Any) -> ProcessPort:
    return ProcessPort(["sh", "-c", script], **options)


def gone(pid: int) -> bool:
    """Is the process away, or a zombie that nobody can be harmed by?"""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = soon()
    while not condition() and not deadline.expired:
        time.sleep(0.01)
    return condition()


def test_a_dialogue_with_a_real_shell() -> None:
    sink = MemorySink()
    with console_of(ProcessPort(["sh"], env={"PS1": "lava$ ", "PATH": os.environ["PATH"]}), sink) as console:
        console.expect(r"lava\$ ", soon())
        outcome = console.command("echo hello; (exit 3)", r"lava\$ ", soon())
        assert (outcome.output, outcome.rc) == ("hello\n", 3)
        outcome = console.command("echo; printf 'no newline'", r"lava\$ ", soon())
        assert (outcome.output, outcome.rc) == ("\nno newline", 0)
        console.send_line("exit 4")
        with pytest.raises(ConnectionClosed, match="sh exited with code 4"):
            console.expect("nothing", soon())
    assert sink.texts(journal.INPUT)[-1] == "exit 4"


def test_no_line_is_lost_or_wrapped_and_all_are_in_order() -> None:
    sink = MemorySink()
    with console_of(shell("seq -f '%0200.0f' 1 5000; echo end"), sink) as console:
        console.watch(Mode.TEST)
        console.expect("end", soon())
    assert sink.texts() == [f"{n:0200d}" for n in range(1, 5001)] + ["end"]


def test_a_terminal_is_wide() -> None:
    with console_of(shell("stty size; tty; sleep 60")) as console:
        assert console.expect(r"\d+ \d+", soon()).text == "{} {}".format(*WINDOW_SIZE)
        console.expect("/dev/pts/", soon())


def test_the_end_names_code_or_signal() -> None:
    for script, words in (("exit 7", "exited with code 7"), ("kill -9 $$", "was killed by SIGKILL")):
        with console_of(shell(script)) as console, pytest.raises(ConnectionClosed, match=words):
            console.expect("x", soon())


def test_closing_ends_the_whole_group_and_leaves_no_zombie() -> None:
    port = shell("trap '' HUP TERM; sleep 60 & echo child $!; wait; sleep 60")
    console = Console(port, MemorySink())
    console.start()
    child = int(console.expect(r"child (\d+)", soon()).groups[0] or 0)
    assert console.alive
    console.close(Deadline.after(0.3))
    assert eventually(lambda: gone(child))
    assert not Path(f"/proc/{port.pid}").exists()
    assert port.exit_code == -signal.SIGKILL
    with pytest.raises(Bug):
        console.send_line("x")


def test_closing_is_gentle_first() -> None:
    sink = MemorySink()
    with console_of(
        shell("trap 'echo flushed; exit 0' TERM; echo ready; while :; do sleep 0.1; done"), sink
    ) as c:
        c.expect("ready", soon())
        c.close(soon())
    assert "flushed" in sink.texts()


def test_a_client_is_told_to_quit_in_its_own_way_before_it_is_forced() -> None:
    sink = MemorySink()
    script = "stty raw -echo; trap '' TERM; echo ready; head -c 3 | od -An -c; echo quit as asked"
    port = shell(script, farewell=FAREWELLS["ssh"])
    with console_of(port, sink) as console:
        console.expect("ready", soon())
        console.close(soon())
    assert "quit as asked" in sink.texts()
    assert r"  \n   ~   ." in sink.texts()
    assert port.exit_code == 0


def test_a_terminal_that_a_stranger_keeps_open_does_not_hold_the_reader() -> None:
    port = shell("setsid sleep 60 & echo stranger $!; sleep 60")
    console = Console(port, MemorySink())
    console.start()
    stranger = int(console.expect(r"stranger (\d+)", soon()).groups[0] or 0)
    try:
        console.close(Deadline.after(0.5))
        assert console.closed
        assert not any(thread.name == f"console-{console.name}" for thread in threading.enumerate())
    finally:
        os.kill(stranger, signal.SIGKILL)


def test_a_program_that_is_not_there_is_the_labs_fault(tmp_path: Path) -> None:
    for program in ("no-such-program-anywhere", str(tmp_path)):
        with pytest.raises(InfrastructureError, match="cannot start"):
            ProcessPort([program])


def test_input_that_is_not_taken_ends_with_the_deadline() -> None:
    with console_of(shell("stty raw -echo; echo ready; sleep 60")) as console:
        console.expect("ready", soon())
        with pytest.raises(TimeoutError, match="took no input"):
            console._port.write(b"x" * 1_000_000, Deadline.after(0.2))


def test_echo_can_be_switched_off() -> None:
    sink = MemorySink()
    with console_of(ProcessPort(["cat"], echo=False), sink) as console:
        console.send_line("once")
        console.expect("once", soon())
        with pytest.raises(TimeoutError):
            console.expect("once", Deadline.after(0.1))


def test_programs_get_signals_as_a_login_would_give_them() -> None:
    with console_of(shell("yes | head -n 1; echo status ${PIPESTATUS:-$?}; sleep 60")) as console:
        assert "Broken pipe" not in console.expect("status 0", soon()).before


def test_a_signal_handler_that_raises_breaks_into_a_wait() -> None:
    def handler(number: int, frame: object) -> None:
        raise JobCanceled("the job was canceled")

    old = signal.signal(signal.SIGALRM, handler)
    try:
        with console_of(shell("sleep 60")) as console:
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            with pytest.raises(JobCanceled):
                console.expect("never", soon())
            console.drain(soon())  # the console still works
            assert console.alive
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)


def test_an_unexpected_error_in_the_reading_thread_is_raised_where_it_is_waited_for() -> None:
    class Broken(MemorySink):
        def lines(self, level: str, texts: Sequence[str], namespace: str = "") -> int:
            raise ValueError("disk on fire")

    with console_of(shell("echo x; sleep 60"), Broken()) as console, pytest.raises(Bug, match="disk on fire"):
        console.expect("never", soon())
