# SPDX-License-Identifier: Apache-2.0
"""A board's console and its reset; the board is a script, or a program on a pty."""

from __future__ import annotations

import shlex
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from executor.actions.connect import (
    ConnectDevice,
    DisconnectDevice,
    PduReboot,
    ResetConnection,
    ResetDevice,
    SendRebootCommands,
)
from executor.console.faults import KernelFault
from executor.console.watcher import Mode
from executor.errors import ConfigurationError, InfrastructureError
from executor.model import journal
from executor.model.device import Connection, Device
from executor.model.job import Block
from executor.pipeline.action import Action
from executor.pipeline.check import check_job
from executor.pipeline.planner import Site
from executor.pipeline.world import IdealWorld
from executor.schema.device import parse_device
from executor.testing import jobs
from executor.testing.console import FakeClock, Hear, Say, ScriptedConsole, ScriptedPort, Step
from executor.testing.pipeline import Scene, placed

ECHO = """\
import sys
print("ser2net port 7001", flush=True)
for line in sys.stdin:
    print("got", line.strip(), flush=True)
"""


def board(connect: str = f"{shlex.quote(sys.executable)} -c {shlex.quote(ECHO)}", **fields: Any) -> Device:
    main = Connection("main", connect, ["primary", "telnet"])
    return Device(connections={"main": main} if connect else {}, **fields)


def boot(action: Action) -> Action:
    return placed(action, section="boot")


# -- the console


def test_the_console_is_opened_once_and_ends_with_the_cleanup(tmp_path: Path) -> None:
    device = board()
    scene = Scene(tmp_path, device=device, clock=time.monotonic)
    action = boot(ConnectDevice(device))
    run = scene.run(action)
    console = scene.namespace.console
    assert console is not None
    console.expect("port 7001", run.deadline)
    console.send_line("hello")
    console.expect("got hello", run.deadline)
    scene.run(action)
    assert scene.namespace.console is console
    assert any("connected already" in text for text in scene.journal.messages(journal.DEBUG))
    action.cleanup(run)
    assert not console.alive
    assert scene.context.namespaces["common"].console is None
    assert scene.context.consoles == []
    assert (scene.context.out / "console-common-main.raw").is_file()
    action.cleanup(run)


def test_a_board_has_one_console_whatever_the_namespace(tmp_path: Path) -> None:
    device = board()
    scene = Scene(tmp_path, device=device, clock=time.monotonic)
    first, second = boot(ConnectDevice(device)), boot(ConnectDevice(device))
    second.block = Block(section="boot", index=1, parameters={}, namespace="second")
    second.namespace = "second"
    run = scene.run(first)
    scene.run(second)
    console = scene.namespace.console
    assert console is not None
    assert scene.context.namespace("second").console is console
    assert console.namespace == "second"
    assert scene.context.consoles == [console]
    first.cleanup(run)


def test_a_console_that_has_gone_is_opened_anew(tmp_path: Path) -> None:
    device = board("sh -c 'echo bye'")
    scene = Scene(tmp_path, device=device, clock=time.monotonic)
    action = boot(ConnectDevice(device))
    run = scene.run(action)
    first = scene.namespace.console
    assert first is not None
    first.close(run.deadline)
    scene.run(action)
    assert scene.namespace.console is not first
    action.cleanup(run)


class Bare(IdealWorld):
    def tool(self, name: str) -> str:
        return f"{name} is not installed"


@pytest.mark.parametrize(
    ("device", "kind", "words"),
    [
        (board(""), "Configuration", "no commands.connect"),
        (board("telnet 'x"), "Configuration", "split into words"),
        (board("  "), "Configuration", "empty"),
        (board("telnet ser1 7001"), "Infrastructure", "telnet is not installed"),
    ],
)
def test_what_can_be_seen_before_anything_runs(device: Device, kind: str, words: str) -> None:
    (problem,) = boot(ConnectDevice(device)).validate(Bare())
    assert problem.error_type == kind
    assert words in problem.message


def test_a_device_without_a_console_is_the_admins_fault(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        Scene(tmp_path).run(boot(ConnectDevice(board(""))))


# -- the reset


def scripted(tmp_path: Path, *script: Step, device: Device | None = None) -> tuple[Scene, ScriptedPort]:
    clock = FakeClock()
    scene = Scene(tmp_path, device=device, clock=clock)
    port = ScriptedPort(clock, script)
    scene.namespace.console = ScriptedConsole(port, scene.journal)  # type: ignore[arg-type]
    return scene, port


DOWN = "The system is going down for reboot NOW\r\n"


def test_the_first_command_that_works_is_enough(tmp_path: Path) -> None:
    scene, port = scripted(
        tmp_path, Hear("reboot\n"), Say("not found\r\n", after=1), Hear("reboot -n\n"), Say(DOWN)
    )
    run = scene.run(boot(SendRebootCommands([])))
    assert run.results == {"commands": "reboot -n"}
    assert port.typed == "reboot\nreboot -n\n"
    assert "'reboot' did not reboot the device" in scene.journal.messages(journal.WARNING)


@pytest.mark.parametrize(
    ("commands", "device", "first"),
    [
        (["init 6"], Device(commands={"soft_reboot": ["other"]}), "init 6\n"),
        ([], Device(commands={"soft_reboot": ["other"]}), "other\n"),
        ([], Device(), "reboot\n"),
    ],
)
def test_the_block_wins_over_the_device_over_the_usual(
    tmp_path: Path, commands: list[str], device: Device, first: str
) -> None:
    scene, port = scripted(tmp_path, Hear(first), Say(DOWN), device=device)
    scene.run(boot(SendRebootCommands(commands)))
    assert port.typed == first


def test_the_block_may_say_how_the_system_goes_down(tmp_path: Path) -> None:
    scene, _ = scripted(tmp_path, Hear("reboot\n"), Say("bye bye\r\n"))
    action = placed(SendRebootCommands([]), section="boot", parameters={"shutdown-message": "bye bye"})
    scene.run(action)


def test_a_device_that_does_not_go_down_is_the_labs_fault(tmp_path: Path) -> None:
    scene, _ = scripted(tmp_path)
    with pytest.raises(InfrastructureError, match="did not reboot"):
        scene.run(boot(SendRebootCommands(["reboot"])))


def test_a_reset_makes_the_last_fault_a_thing_of_the_past(tmp_path: Path) -> None:
    panic = (
        "[    1.0] Kernel panic - not syncing: x\r\n[    1.1] ---[ end Kernel panic - not syncing: x ]---\r\n"
    )
    scene, _ = scripted(tmp_path, Say(panic))
    console = scene.namespace.console
    assert isinstance(console, ScriptedConsole)
    console.watch(Mode.BOOT)
    console.settle(1)
    with pytest.raises(KernelFault, match="not syncing"):
        console.check()
    scene.run(boot(ResetDevice()))
    console.check()


def test_power_is_switched_where_there_is_a_switch() -> None:
    device = jobs.device(
        commands={"connect": "telnet h 1", "hard_reset": "pdu cycle 7", "power_off": "pdu off 7"}
    )
    device["actions"]["boot"]["methods"] = {"minimal": None}
    minimal = {"boot": {"method": "minimal", "prompts": ["/ # "], "pre_power_command": True}}

    def names(commands: dict[str, Any], block: dict[str, Any]) -> list[str]:
        checked = check_job(
            jobs.job({"boot": {**minimal["boot"], **block}}), {**device, "commands": commands}
        )
        assert checked.errors == []
        assert checked.planned is not None
        return [a.name for a in checked.planned.walk() if a.section == "boot"]

    assert names(device["commands"], {})[:5] == [
        "minimal-boot",
        "connect-device",
        "pre-power-command",
        "reset-device",
        "pdu-reboot",
    ]
    assert "send-reboot-commands" in names({"connect": "telnet h 1"}, {})
    assert "reset-device" not in names(device["commands"], {"reset": False})


def test_a_reset_by_power_is_told(tmp_path: Path) -> None:
    action = PduReboot()
    action.lines = ["true"]
    assert Scene(tmp_path, clock=time.monotonic).run(boot(action)).results == {"status": "success"}


def test_a_plain_connect_command_needs_no_word_on_how_it_is_ended() -> None:
    plain = parse_device({"commands": {"connect": "minicom"}, "actions": {}}).device
    tagged = {"uart0": {"connect": "minicom", "tags": ["primary", "minicom"]}}
    listed = parse_device({"commands": {"connections": tagged}, "actions": {}}).device
    assert plain is not None
    assert listed is not None
    assert list(boot(DisconnectDevice(plain)).validate(IdealWorld())) == []
    [problem] = boot(DisconnectDevice(listed)).validate(IdealWorld())
    assert "how to disconnect from uart0" in problem.message


def test_the_connection_is_closed_and_opened_anew(tmp_path: Path) -> None:
    device = board()
    scene = Scene(tmp_path, device=device, clock=time.monotonic)
    scene.run(boot(ConnectDevice(device)))
    before = scene.namespace.console
    reset = boot(ResetConnection(device))
    steps = list(reset.plan(Site(scene.context.job, device, reset.block, reset, ())))
    assert [step.name for step in steps] == ["disconnect-device", "connect-device"]
    for step in steps:
        run = scene.run(boot(step))
    after = scene.namespace.console
    assert before is not None
    assert after is not None
    assert (before.alive, after.alive) == (False, True)
    steps[1].cleanup(run)
