# SPDX-License-Identifier: Apache-2.0
"""Login and shell after boot, against a board that plays a script."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from executor.actions.deviceenv import DeployDeviceEnv, ExportDeviceEnv
from executor.actions.shell import GENERIC_PROMPTS, AutoLogin, ExpectShell, LoginAction, prompts_of
from executor.console.expect import PromptTimeout
from executor.console.faults import KernelFault
from executor.errors import JobError
from executor.model import journal
from executor.model.device import Device
from executor.model.job import BootParameters, Job
from executor.model.parameters import AutoLogin as Credentials
from executor.pipeline.check import check_job
from executor.pipeline.context import NfsRoot
from executor.pipeline.world import IdealWorld
from executor.testing import jobs
from executor.testing.board import Board
from executor.testing.console import Hear, Say, Shell
from executor.testing.pipeline import Scene, placed

KERNEL = "[    0.000000] Linux version 6.1.0\r\n"


def kernel_messages(board: Board) -> list[dict[str, Any]]:
    return [r for r in board.scene.journal.results() if r["case"] == "kernel-messages"]


def boot(**keys: Any) -> BootParameters:
    return BootParameters(**{"method": "qemu", "prompts": ["/ # "], **keys})


CREDENTIALS = Credentials(login_prompt="login:", username="root", password_prompt="Password:", password="s3")


# -- login


def test_a_prompt_after_the_kernel_is_all_it_takes(tmp_path: Path) -> None:
    board = Board(tmp_path, Say(KERNEL + "/ # ", after=3))
    run = board.run(LoginAction(boot()))
    assert run.results == {"success": "matched prompt '/ # '"}
    assert board.scene.namespace.prompts == ["/ # "]
    assert kernel_messages(board) == [
        {
            "definition": "lava",
            "case": "kernel-messages",
            "result": "pass",
            "level": "1",
            "namespace": "common",
        }
    ]


def test_name_and_password_are_typed_where_they_are_asked_for(tmp_path: Path) -> None:
    board = Board(
        tmp_path,
        Say(KERNEL + "box login: ", after=3),
        Hear("root\n"),
        Say("Password: "),
        Hear("s3\n", echo=False),
        Say("/ # "),
    )
    board.run(LoginAction(boot(auto_login=CREDENTIALS)))
    assert board.port.finished
    assert "s3" not in board.scene.journal.messages(journal.INPUT)


def test_waits_are_told_in_both_dialects(tmp_path: Path) -> None:
    board = Board(tmp_path, Say(KERNEL + "/ # "), Shell())
    board.run(LoginAction(boot()))
    board.run(ExpectShell())
    told = board.scene.journal.messages(journal.DEBUG)
    assert "login-action: Wait for prompt. 60 seconds" in told
    assert "login-action: Wait for prompt ['/ # '] (timeout 00:01:00)" in told
    assert "expect-shell-connection: Wait for prompt. 30 seconds" in told


def test_a_panic_is_the_cause_and_is_booked(tmp_path: Path) -> None:
    words = "Kernel panic - not syncing: VFS"
    panic = f"[    1.0] {words}\r\n[    1.1] ---[ end {words} ]---\r\n"
    board = Board(tmp_path, Say(KERNEL + panic, after=1))
    with pytest.raises(KernelFault, match="not syncing: VFS"):
        board.run(LoginAction(boot()))
    (record,) = kernel_messages(board)
    assert record["result"] == "fail"
    assert record["extra"][0]["kind"] == "panic"


def test_a_complaint_of_the_kernel_that_is_not_fatal_is_booked_and_passes(tmp_path: Path) -> None:
    oops = "[    1.0] Unhandled fault: alignment\r\n"
    board = Board(tmp_path, Say(KERNEL + oops + "/ # ", after=1))
    board.run(LoginAction(boot()))
    (record,) = kernel_messages(board)
    assert (record["result"], record["extra"][0]["kind"]) == ("pass", "fault")


def test_who_ignores_the_kernel_gets_no_record_of_it(tmp_path: Path) -> None:
    panic = "[    1.0] Kernel panic - not syncing: wanted\r\n"
    board = Board(tmp_path, Say(KERNEL + panic + "/ # ", after=1))
    board.run(LoginAction(boot(ignore_kernel_messages=True)))
    assert kernel_messages(board) == []


def test_a_prompt_that_stands_there_while_the_kernel_is_waited_for_is_named(tmp_path: Path) -> None:
    board = Board(tmp_path, Say("booting quietly\r\n/ # ", after=1))
    with pytest.raises(PromptTimeout, match="A prompt is there") as caught:
        board.run(LoginAction(boot()))
    assert caught.value.__cause__ is None
    assert "kernel-start-message" in str(caught.value)


def test_a_prompt_that_never_comes_is_just_that(tmp_path: Path) -> None:
    board = Board(tmp_path, Say(KERNEL + "nothing else\r\n", after=1))
    with pytest.raises(PromptTimeout) as caught:
        board.run(LoginAction(boot()))
    assert "A prompt is there" not in str(caught.value)


@pytest.mark.parametrize(
    ("device", "context", "parameters"),
    [
        ({"kernel-start-message": "Hello from board"}, {}, {}),
        ({}, {"kernel-start-message": "Hello from board"}, {}),
        ({"kernel-start-message": "other"}, {}, {"kernel-start-message": "Hello from board"}),
        ({}, {}, {"kernel-start-message": ""}),
    ],
)
def test_block_context_and_device_say_how_the_kernel_begins(
    tmp_path: Path, device: dict[str, Any], context: dict[str, Any], parameters: dict[str, Any]
) -> None:
    board = Board(tmp_path, Say("Hello from board\r\n/ # ", after=1), device=Device(constants=device))
    board.scene.context.job.context = context
    board.run(LoginAction(boot(parameters=parameters)))


def test_the_block_may_name_words_that_end_the_boot(tmp_path: Path) -> None:
    board = Board(tmp_path, Say(KERNEL + "[    1.0] no init found\r\n", after=1))
    with pytest.raises(KernelFault, match="no init found"):
        board.run(LoginAction(boot(failure_message="no init found")))


# -- without prompts


def test_without_prompts_the_devices_own_and_the_usual_ones_are_waited_for() -> None:
    job, device = Job(job_name="t"), Device(constants={"default-shell-prompt": "board> "})
    assert prompts_of(boot(prompts=[]), device, job) == ["board> ", *GENERIC_PROMPTS]
    assert prompts_of(boot(), device, job) == ["/ # "]


@pytest.mark.parametrize(
    "prompt",
    ["/ # ", "root@debian:~# ", "user@host:/tmp$ ", "(initramfs) ", "[root@fedora ~]# ", "lava-test: # "],
)
def test_the_usual_prompts_are_seen(tmp_path: Path, prompt: str) -> None:
    board = Board(tmp_path, Say(f"{KERNEL}[    1.0] all up\r\n{prompt}", after=1))
    board.run(LoginAction(boot(prompts=[])))


@pytest.mark.parametrize("text", ["# a comment\r\n", "[ 1.0] cost: 7 $ \r\n", "Starting / # now\r\n"])
def test_what_a_system_prints_while_it_starts_is_no_prompt(tmp_path: Path, text: str) -> None:
    board = Board(tmp_path, Say(KERNEL + text, after=1))
    with pytest.raises(PromptTimeout):
        board.run(LoginAction(boot(prompts=[])))


def names(*blocks: dict[str, Any]) -> list[str]:
    checked = check_job(jobs.job(*blocks), jobs.device())
    assert checked.planned is not None
    return [action.name for action in checked.planned.walk()]


def test_the_tail_of_a_boot_depends_on_what_follows() -> None:
    tail = ["auto-login-action", "login-action", "expect-shell-connection", "export-device-env"]

    def has(*blocks: dict[str, Any]) -> list[str]:
        found = names(*blocks)
        return [name for name in tail if name in found]

    assert has(jobs.deploy(), jobs.boot(), jobs.shell_test()) == tail
    assert has(jobs.deploy(), jobs.boot(prompts=["#"])) == tail[:2]
    bare = {"boot": {"method": "qemu"}}
    assert has(jobs.deploy(), bare) == []
    assert has(jobs.deploy(), bare, jobs.shell_test()) == tail, "the seeds' jobs name no prompts"


def problems(**keys: Any) -> list[tuple[str, str]]:
    action = placed(LoginAction(boot(**keys)), section="boot")
    return [(p.severity, str(p.path[-1])) for p in action.validate(IdealWorld())]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, []),
        ({"prompts": []}, [("warning", "boot")]),
        ({"prompts": ["a(", "/ # "]}, [("error", "0")]),
        ({"prompts": ["/ # ", "login"]}, [("warning", "1")]),
        ({"failure_message": "["}, [("error", "failure_message")]),
        ({"auto_login": Credentials(login_prompt="(", username="x")}, [("error", "login_prompt")]),
    ],
)
def test_patterns_are_looked_at_before_anything_boots(
    keys: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    assert problems(**keys) == expected


def test_the_login_is_tried_again_as_the_block_says() -> None:
    checked = check_job(jobs.job(jobs.deploy(), jobs.boot(failure_retry=3)), jobs.device())
    assert checked.planned is not None
    assert [a.max_attempts for a in checked.planned.walk() if isinstance(a, AutoLogin)] == [3]


# -- the shell


def test_a_shell_is_asked_for_its_prompt(tmp_path: Path) -> None:
    board = Board(tmp_path, Shell())
    board.scene.namespace.prompts = ["/ # "]
    board.run(ExpectShell())
    assert board.port.typed == "#\n"


def test_no_prompts_to_expect_is_the_jobs_fault(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="no prompts"):
        Board(tmp_path, Shell()).run(ExpectShell())


def test_nothing_has_been_booted_is_the_jobs_fault(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.namespace.prompts = ["#"]
    with pytest.raises(JobError, match="no connection to the device"):
        scene.run(ExpectShell())


def typed(board: Board) -> Iterable[str]:
    return board.port.typed.splitlines()


def test_the_admins_variables_are_exported_and_kept_for_later_shells(tmp_path: Path) -> None:
    board = Board(tmp_path, Shell(), environment={"PROXY": "http://p:3128", "WORDS": "it's $HOME"})
    board.scene.namespace.prompts = ["/ # "]
    board.scene.namespace.shell_file = "~/.bashrc"
    board.run(ExportDeviceEnv())
    lines = list(typed(board))
    assert lines[0] == "export PROXY=http://p:3128"
    assert lines[1] == "echo 'export PROXY=http://p:3128' >> ~/.bashrc"
    assert lines[2] == """export WORDS='it'"'"'s $HOME'"""
    assert len(lines) == 4


def test_without_variables_nothing_is_typed(tmp_path: Path) -> None:
    board = Board(tmp_path, Shell())
    board.run(ExportDeviceEnv())
    board.run(DeployDeviceEnv())
    assert board.port.typed == ""


def test_where_the_root_is_mounted_from_is_told(tmp_path: Path) -> None:
    board = Board(tmp_path, Shell())
    board.scene.namespace.prompts = ["/ # "]
    board.scene.namespace.nfs_root = NfsRoot("192.0.2.1", "/srv/nfs/42/x")
    board.run(ExportDeviceEnv())
    assert list(typed(board)) == ["export NFS_ROOTFS=/srv/nfs/42/x", "export NFS_SERVER_IP=192.0.2.1"]


def test_an_android_shell_has_no_file_of_its_own(tmp_path: Path) -> None:
    board = Board(tmp_path, Shell(), environment={"A": "b"})
    board.scene.namespace.prompts = ["/ # "]
    board.run(ExportDeviceEnv())
    assert list(typed(board)) == ["export A=b"]
