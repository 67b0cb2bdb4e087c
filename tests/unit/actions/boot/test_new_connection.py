# SPDX-License-Identifier: Apache-2.0
"""A further console of a device that runs already."""

from __future__ import annotations

import shlex
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from executor.actions.boot.new_connection import ConnectShell
from executor.actions.shell import LoginAction
from executor.errors import JobError
from executor.model.device import Connection, Device
from executor.model.job import Block
from executor.pipeline.action import Action
from executor.pipeline.check import Checked, check_job
from executor.testing import jobs
from executor.testing.pipeline import Scene, placed

ECHO = "import sys\nfor line in sys.stdin: print('got', line.strip(), flush=True)"


def second(tmp_path: Path) -> tuple[Scene, Action]:
    """A device with two consoles, and the action that opens the second in a namespace of its own."""
    program = f"{shlex.quote(sys.executable)} -c {shlex.quote(ECHO)}"
    device = Device(connections={n: Connection(n, program) for n in ("uart0", "uart1")})
    action = ConnectShell(device, "uart1")
    action.block = Block(section="boot", index=0, parameters={}, namespace="second")
    action.namespace = "second"
    return Scene(tmp_path, device=device, clock=time.monotonic), placed(action, section="boot")


def test_the_console_is_that_of_the_blocks_namespace(tmp_path: Path) -> None:
    scene, action = second(tmp_path)
    run = scene.run(action)
    console = scene.context.namespace("second").console
    assert console is not None
    assert console.name == "uart1"
    console.send_line("hello")
    console.expect("got hello", run.deadline)
    scene.run(action)  # it is connected already
    assert len(scene.context.consoles) == 1
    action.cleanup(run)
    assert not console.alive
    assert scene.context.consoles == []


def device() -> dict[str, Any]:
    return jobs.device(commands={"connections": {"uart1": {"connect": "telnet localhost 7001"}}})


def checked(**keys: Any) -> Checked:
    block = {"boot": {"method": "new_connection", "prompts": ["/ # "], "namespace": "second", **keys}}
    text = jobs.job(jobs.deploy(namespace="a"), jobs.boot(namespace="a"), block)
    return check_job(text, device())


def test_the_plan_opens_the_console_and_logs_in_without_waiting_for_a_kernel() -> None:
    done = checked(connection="uart1")
    assert done.errors == []
    assert done.planned is not None
    top = done.planned.actions[2]
    assert [a.name for a in top.walk()] == [
        "secondary-shell-action",
        "connect-shell",
        "auto-login-action",
        "login-action",
    ]
    (login,) = [a for a in top.walk() if isinstance(a, LoginAction)]
    assert login.parameters.parameters == {"kernel-start-message": ""}
    waits = checked(connection="uart1", parameters={"kernel-start-message": "Zephyr"}).planned
    assert waits is not None
    (login,) = [a for a in waits.actions[2].walk() if isinstance(a, LoginAction)]
    assert login.parameters.parameters == {"kernel-start-message": "Zephyr"}


def test_a_connection_that_the_device_has_not() -> None:
    (problem,) = checked(connection="uart2").errors
    assert (problem.near, problem.path[-1]) == ("uart1", "connection")
    assert "it has: uart1" in problem.message
    (problem,) = checked().errors
    assert "'connection' does not name one" in problem.message


def test_a_namespace_has_one_console(tmp_path: Path) -> None:
    scene, action = second(tmp_path)
    run = scene.run(action)
    other = ConnectShell(scene.context.device, "uart0")
    other.block = action.block
    placed(other, section="boot")
    try:
        with pytest.raises(JobError, match="has the console uart1 already"):
            scene.run(other)
        other.cleanup(scene.attempt(other))  # not its console
        assert len(scene.context.consoles) == 1
    finally:
        action.cleanup(run)
