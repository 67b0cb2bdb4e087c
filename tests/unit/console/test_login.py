# SPDX-License-Identifier: Apache-2.0
"""The login after boot, with the boards of the field."""

from __future__ import annotations

from typing import Any

import pytest

from executor.console.expect import PromptTimeout
from executor.console.faults import KernelFault, Kind
from executor.console.login import Login, log_in
from executor.errors import ConnectionClosed, JobError
from executor.model import journal
from executor.model.deadline import Deadline
from executor.testing.console import (
    FakeClock,
    Hang,
    Hear,
    Say,
    ScriptedConsole,
    ScriptedPort,
    Shell,
    Step,
)

BOOT = Say(
    "U-Boot 2023.01\r\nStarting kernel\r\n[    0.000000] Linux version 6.1\r\n[    0.1] Booting\r\n", after=3
)
PROMPTS = [r"root@box:~# ", "/ # "]
LOGIN = Login(
    prompts=PROMPTS,
    kernel_start="Linux version [0-9]",
    login_prompt="login:",
    username="root",
    password_prompt="Password:",
    password="sesame",
)


def scripted(*script: Step) -> ScriptedConsole:
    return ScriptedConsole(ScriptedPort(FakeClock(), script))


def run(
    console: ScriptedConsole, login: Login = LOGIN, seconds: float = 120, limit: float | None = None
) -> str:
    return log_in(console, login, Deadline.after(seconds, console.clock), limit=limit)


def without_login(**fields: Any) -> Login:
    return Login(prompts=PROMPTS, kernel_start="Linux version [0-9]", **fields)


def test_name_password_prompt() -> None:
    console = scripted(
        BOOT,
        Say("Debian 12\r\n\r\nbox login: ", after=20),
        Hear("root\n"),
        Say("Password: "),
        Hear("sesame\n", echo=False),
        Say("Last login: today\r\nroot@box:~# ", after=1),
    )
    assert run(console) == PROMPTS[0]
    assert console.board.finished
    assert console.sink.texts(journal.INPUT) == ["root", "[MASKED]"]
    assert console.clock() == pytest.approx(1024, abs=0.5)


def test_a_device_that_asks_for_no_password() -> None:
    console = scripted(BOOT, Say("box login: "), Hear("root\n"), Say("/ # "))
    assert run(console) == PROMPTS[1]


def test_a_device_that_is_logged_in_already() -> None:
    console = scripted(BOOT, Say("/ # ", after=5))
    assert run(console) == PROMPTS[1]
    assert console.board.typed == ""


def test_no_login_asked_for_and_no_kernel_message_waited_for() -> None:
    console = scripted(Say("quiet boot\r\n/ # ", after=5))
    assert run(console, Login(prompts=PROMPTS)) == PROMPTS[1]


def test_each_login_command_waits_for_a_prompt() -> None:
    console = scripted(BOOT, Say("/ # "), Shell("/ # ", {"date": "today\n"}))
    run(console, without_login(commands=["dmesg -n 1", "date"]))
    assert console.board.typed == "dmesg -n 1\ndate\n"
    with pytest.raises(PromptTimeout):
        console.expect("/ # ", Deadline.after(1, console.clock))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("\r\nLogin incorrect\r\nbox login: ", "refused the login of 'root'"),
        ("\r\nLogin timed out after 60 seconds\r\n", "gave up waiting"),
    ],
)
def test_a_refused_login_is_the_jobs_error(answer: str, words: str) -> None:
    console = scripted(
        BOOT,
        Say("box login: "),
        Hear("root\n"),
        Say("Password: "),
        Hear("sesame\n", echo=False),
        Say(answer, after=2),
    )
    with pytest.raises(JobError, match=words):
        run(console)


def test_an_older_refusal_is_not_ours() -> None:
    console = scripted(BOOT, Say("Login incorrect\r\nbox login: "), Hear("root\n"), Say("/ # "))
    assert run(console) == PROMPTS[1]


def test_a_login_prompt_that_the_kernel_wrote_over_is_asked_for_again() -> None:
    console = scripted(
        BOOT,
        Say("box lo[    9.000000] random: crng init done\r\ngin: ", after=5),
        Hear("\n"),
        Say("box login: "),
        Hear("root\n"),
        Say("/ # "),
    )
    assert run(console) == PROMPTS[1]
    assert console.board.typed == "\nroot\n"
    assert "corrupted by kernel messages" in console.sink.texts(journal.WARNING)[0]


def test_a_shell_prompt_that_the_kernel_wrote_over_is_asked_for_again() -> None:
    console = scripted(BOOT, Say("/[    9.000000] link up\r\n # ", after=5), Hear("#\n"), Say("/ # "))
    assert run(console, without_login(), limit=20) == PROMPTS[1]
    assert console.board.typed == "#\n"
    assert console.clock() == pytest.approx(1003 + 10, abs=0.5)


def test_nothing_is_typed_before_the_kernel_has_started() -> None:
    console = scripted(Say("U-Boot 2023.01\r\nHit any key to stop autoboot\r\n", after=1))
    with pytest.raises(PromptTimeout) as caught:
        run(console, seconds=300, limit=10)
    assert caught.value.waited_for == ("Linux version [0-9]",)
    assert console.board.typed == ""


def test_a_prompt_that_never_comes() -> None:
    console = scripted(BOOT)
    with pytest.raises(PromptTimeout) as caught:
        run(console, without_login(), seconds=300, limit=20)
    assert caught.value.waited_for == tuple(PROMPTS)
    assert console.board.typed == "#\n" * 6
    assert console.clock() == pytest.approx(1003 + 10 + 6 * 2, abs=0.5)


def test_asking_never_goes_beyond_the_deadline() -> None:
    console = scripted(BOOT)
    with pytest.raises(PromptTimeout):
        run(console, without_login(), seconds=23)
    assert console.clock() == pytest.approx(1023, abs=0.5)


PANIC = "[    9.000000] Kernel panic - not syncing: No init found\r\n"


def test_a_panic_ends_the_login_and_one_of_an_earlier_boot_does_not() -> None:
    console = scripted(Say(PANIC + "U-Boot 2023.01\r\n"), BOOT, Say("/ # ", after=60))
    assert run(console, without_login()) == PROMPTS[1]
    console = scripted(BOOT, Say(PANIC, after=6))
    with pytest.raises(KernelFault, match="No init found"):
        run(console)


def test_panics_are_ignored_where_the_job_says_so() -> None:
    console = scripted(BOOT, Say(PANIC, after=6), Say("/ # ", after=60))
    login = without_login(ignore_kernel_messages=True)
    assert run(console, login) == PROMPTS[1]
    console.settle(60)
    assert console.faults == []


def test_the_watch_goes_on_after_the_login() -> None:
    console = scripted(BOOT, Say("[    5.000000] Oops: 0002 [#1] SMP\r\n/ # "), Say(PANIC, after=60))
    run(console, without_login())
    assert [fault.kind for fault in console.faults] == [Kind.OOPS]
    with pytest.raises(KernelFault):
        console.expect("never", Deadline.after(120, console.clock))


def test_the_failure_message_holds_until_the_prompt() -> None:
    login = without_login(failure_message="Cannot open root")
    console = scripted(BOOT, Say("Cannot open root device\r\n"))
    with pytest.raises(KernelFault, match="failure message was seen"):
        run(console, login)
    console = scripted(BOOT, Say("/ # "), Say("Cannot open root\r\n", after=9))
    run(console, login)
    console.settle(60)
    console.check()


def test_a_guest_that_dies_on_the_way() -> None:
    console = scripted(BOOT, Hang("qemu exited with code 1", after=4))
    with pytest.raises(ConnectionClosed, match="qemu exited with code 1"):
        run(console)
