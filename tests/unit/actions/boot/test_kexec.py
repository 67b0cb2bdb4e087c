# SPDX-License-Identifier: Apache-2.0
"""`method: kexec`: the running system loads another kernel and starts it, on a board that plays a script."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from executor.actions.boot.kexec import CallKexec, KexecParameters
from executor.console.expect import PromptTimeout
from executor.errors import JobError
from executor.pipeline.check import check_job
from executor.testing import jobs
from executor.testing.board import Board
from executor.testing.console import Hear, Say, Shell
from executor.testing.pipeline import planned


def parameters(**keys: Any) -> KexecParameters:
    return KexecParameters(**{"method": "kexec", "boot_message": "Bye!", "prompts": ["# "], **keys})


def board(tmp_path: Path, started: str, says: str, *, code: int = 0) -> Board:
    """A shell that loads a kernel with this code, and what it says when `started` is typed."""

    def loaded(found: re.Match[str]) -> str:
        return f"<begin:{found[1]}>\nno memory\n<end:{found[1]}:{code}>\n"

    made = Board(
        tmp_path, Shell("# ", {r"printf '<%s:(lava-exec-\d+)>": loaded, f"^{re.escape(started)}$": says})
    )
    made.scene.namespace.prompts = ["# "]
    return made


def test_the_kernel_is_loaded_and_started(tmp_path: Path) -> None:
    made = board(tmp_path, "/sbin/kexec -e", "kexec_core: Bye!\n")
    given = parameters(
        kernel="/home/Image", dtb="/home/dtb", initrd="/home/rd", options=["--reuse-cmdline --mem-min=1"]
    )
    run = made.run(CallKexec(given))
    load = "/sbin/kexec --load /home/Image --dtb /home/dtb --initrd /home/rd --reuse-cmdline --mem-min=1"
    assert load in made.port.typed
    assert run.results["success"] == "matched 'Bye!'"


def test_a_crash_is_what_is_wanted(tmp_path: Path) -> None:
    panic = "Kernel panic - not syncing: sysrq triggered crash\nBye!\n"
    made = board(tmp_path, "echo c > /proc/sysrq-trigger", panic)
    made.run(CallKexec(parameters(on_panic=True)))
    assert "--load-panic /home/vmlinux" in made.port.typed


def test_a_kernel_that_cannot_be_loaded_is_the_jobs_fault(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="could not load the kernel, it returned 255: no memory"):
        board(tmp_path, "/sbin/kexec -e", "", code=255).run(CallKexec(parameters()))


def test_a_kernel_that_does_not_begin_is_a_timeout(tmp_path: Path) -> None:
    with pytest.raises(PromptTimeout):
        board(tmp_path, "/sbin/kexec -e", "nothing").run(CallKexec(parameters()))


def test_the_running_kernels_configuration_is_shown(tmp_path: Path) -> None:
    made = board(tmp_path, "/sbin/kexec -e", "Bye!")
    made.run(CallKexec(parameters(kernel_config="/proc/config.gz")))
    assert "zcat -f /proc/config.gz | grep -i kexec" in made.port.typed


def test_without_a_shell_there_is_nothing_to_call_it_in(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="no shell to call kexec in"):
        Board(tmp_path, Hear("x"), Say("y")).run(CallKexec(parameters()))


def test_the_plan_ends_in_a_shell() -> None:
    known = jobs.device()
    block = {
        "boot": {
            "method": "kexec",
            "boot_message": "Bye!",
            "prompts": ["# "],
            "kernel-config": "/proc/config.gz",
        }
    }
    top = planned(jobs.job(jobs.deploy(), jobs.boot(), block, jobs.shell_test()), known).actions[2]
    assert [a.name for a in top.walk()] == [
        "kexec-boot",
        "call-kexec",
        "auto-login-action",
        "login-action",
        "expect-shell-connection",
        "export-device-env",
    ]
    bad = {"boot": {**block["boot"], "boot_message": "("}}
    assert "boot_message" in str(check_job(jobs.job(jobs.deploy(), jobs.boot(), bad), known).errors)
