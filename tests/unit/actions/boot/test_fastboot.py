# SPDX-License-Identifier: Apache-2.0
"""Starting a board from fastboot: its image without writing it, and what the job wants done first."""

from __future__ import annotations

from pathlib import Path

import pytest

from executor.actions.boot.fastboot import BootCommands, BootImage
from executor.actions.fastboot.tools import Board
from executor.console.faults import KernelFault
from executor.console.watcher import Mode
from executor.errors import InfrastructureError, JobError
from executor.testing.console import FakeClock, Say, ScriptedConsole, ScriptedPort
from executor.testing.fastboot import SERIAL, install
from executor.testing.pipeline import Scene
from executor.testing.tools import StandIns

BOARD = Board(SERIAL, options=("-u",))
PANIC = "Kernel panic - not syncing: x\r\n---[ end Kernel panic - not syncing: x ]---\r\n"


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIns:
    made = StandIns(tmp_path, monkeypatch)
    install(made)
    return made


def test_the_image_called_boot_is_started(tools: StandIns, tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    path = scene.artifact("boot", b"image").path
    assert scene.run(BootImage(BOARD)).results == {"status": "finished"}
    assert tools.calls("fastboot") == [["-s", SERIAL, "-u", "boot", str(path)]]


def test_what_the_old_system_said_is_of_the_past(tools: StandIns, tmp_path: Path) -> None:
    clock = FakeClock()
    scene = Scene(tmp_path)
    scene.artifact("boot", b"image")
    console = ScriptedConsole(ScriptedPort(clock, [Say(PANIC)]), scene.journal)  # type: ignore[arg-type]
    console.watch(Mode.TEST)
    console.settle()
    with pytest.raises(KernelFault):
        console.check()
    scene.namespace.console = console
    scene.run(BootImage(BOARD))
    console.check()


def test_without_such_an_image_there_is_nothing_to_start(tools: StandIns, tmp_path: Path) -> None:
    with pytest.raises(JobError, match="no image called 'boot'"):
        Scene(tmp_path).run(BootImage(BOARD))
    assert tools.calls("fastboot") == []


@pytest.mark.parametrize(
    ("commands", "called"),
    [
        ("oem unlock", [["oem", "unlock"]]),
        (["set_active a", "oem 'two words'"], [["set_active", "a"], ["oem", "two words"]]),
    ],
)
def test_the_blocks_commands_one_by_one(
    tools: StandIns, tmp_path: Path, commands: str | list[str], called: list[list[str]]
) -> None:
    Scene(tmp_path).run(BootCommands(BOARD, commands))
    assert [call[3:] for call in tools.calls("fastboot")] == called


def test_the_first_command_that_fails_ends_it(tools: StandIns, tmp_path: Path) -> None:
    with pytest.raises(InfrastructureError, match="fastboot failed with code 1"):
        Scene(tmp_path).run(BootCommands(BOARD, ["flash bad x", "reboot"]))
    assert len(tools.calls("fastboot")) == 1
