# SPDX-License-Identifier: Apache-2.0
"""Command blocks: what a name stands for, and that what was done is undone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from executor.actions.command.user_command import BUILT_IN, RunCommand, command_of
from executor.errors import InfrastructureError, JobError
from executor.model.device import Device, UserCommand
from executor.pipeline.action import Action
from executor.pipeline.check import Checked, check_job
from executor.pipeline.engine import Engine, Outcome
from executor.pipeline.planner import Plan, plan
from executor.pipeline.run import Run
from executor.pipeline.world import IdealWorld
from executor.schema.job import parse_job
from executor.testing import jobs
from executor.testing.board import Board
from executor.testing.pipeline import Scene, placed


def note(path: Path, text: str, code: int = 0) -> str:
    return f"""sh -c 'echo {text} >> "{path}"; exit {code}'"""


class Fails(Action):
    name = "fails"

    def run(self, run: Run) -> None:
        raise JobError("the next block went wrong")


def executed(scene: Scene, *more: Action) -> Outcome:
    """The command `relay` as the first block of a job."""
    made = parse_job(jobs.job({"command": {"name": "relay"}})).job
    assert made is not None
    planned = plan(made, scene.context.device)
    actions = [*planned.actions[:1], *(placed(action, level="2") for action in more), *planned.actions[1:]]
    return Engine(Plan(made, scene.context.device, actions), scene.context).run()


@pytest.fixture
def said(tmp_path: Path) -> Path:
    return tmp_path / "said"


def device(said: Path, *, code: int = 0, undo: bool = True) -> Device:
    lines = UserCommand([note(said, "do"), note(said, "do more", code)], [note(said, "undo")] if undo else [])
    return Device(users={"relay": lines}, commands={"power_off": [note(said, "off")]})


def test_what_was_done_is_undone_before_the_power_goes_off(tmp_path: Path, said: Path) -> None:
    scene = Scene(tmp_path, device=device(said))
    assert executed(scene).error is None
    assert said.read_text() == "do\ndo more\nundo\noff\n"
    (record, _) = scene.journal.results()
    assert (record["case"], record["extra"]) == ("user-command", {"command": "relay"})


def test_a_later_failure_does_not_keep_it_from_being_undone(tmp_path: Path, said: Path) -> None:
    assert isinstance(executed(Scene(tmp_path, device=device(said)), Fails()).error, JobError)
    assert said.read_text() == "do\ndo more\nundo\noff\n"


def test_half_of_it_is_undone_too(tmp_path: Path, said: Path) -> None:
    assert isinstance(executed(Scene(tmp_path, device=device(said, code=3))).error, InfrastructureError)
    assert said.read_text() == "do\ndo more\nundo\noff\n"


def test_what_was_never_begun_is_not_undone(tmp_path: Path, said: Path) -> None:
    scene = Scene(tmp_path, device=device(said))
    action = placed(RunCommand("relay"), section="command")
    action.cleanup(scene.attempt(action))
    assert not said.exists()


def test_an_undo_that_fails_spoils_the_job(tmp_path: Path, said: Path) -> None:
    broken = Device(users={"relay": UserCommand([note(said, "do")], [note(said, "undo", 1)])})
    outcome = executed(Scene(tmp_path, device=broken))
    assert outcome.error is not None
    assert "cleanup failed" in outcome.error.message


# -- names


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("relay", ["relay on"]),
        ("hard_reset", ["pdu reset"]),
        ("power_on", ["relay of the lab"]),  # the device's own name wins
        ("recovery_mode", ["enter"]),
        ("recovery_exit", ["leave", "wait"]),
        ("usbg_ms_commands_disable", ["gadget off"]),
        ("stop_test_services", []),
        ("power_off", None),
        ("sleep", None),
    ],
)
def test_what_a_name_stands_for(name: str, expected: list[str] | None) -> None:
    made = Device(
        users={"relay": UserCommand(["relay on"]), "power_on": UserCommand(["relay of the lab"])},
        commands={"hard_reset": ["pdu reset"], "power_on": ["pdu on"]},
        deploy_methods={
            "recovery": {"commands": {"recovery_mode": "enter", "recovery_exit": ["leave", "wait"]}},
            "usbg-ms": {"disable": "gadget off", "enable": "gadget on"},
        },
    )
    found = command_of(made, name)
    assert (None if found is None else found.do) == expected


def test_every_built_in_name_is_nothing_on_a_device_without_commands_but_one() -> None:
    assert [name for name in BUILT_IN if command_of(Device(), name)] == ["stop_test_services"]


def test_a_reset_on_purpose_is_no_fault(tmp_path: Path) -> None:
    board = Board(tmp_path, section="command", device=Device(commands={"hard_reset": ["true"]}))
    action = RunCommand("hard_reset")
    action.command = command_of(board.scene.context.device, "hard_reset")
    board.run(action)
    assert board.console._watcher._reset_expected  # noqa: SLF001


def checked(name: str, **commands: Any) -> Checked:
    return check_job(jobs.job({"command": {"name": name}}), jobs.device(commands=commands))


def test_unknown_names_are_the_jobs_fault_and_the_near_one_is_told() -> None:
    (problem,) = checked("relai_on", users={"relay_on": {"do": "true"}}).errors
    assert (problem.error_type, problem.near) == ("Job", "relay_on")
    assert "its own are relay_on" in problem.message
    assert problem.path == ("actions", 0, "command", "name")
    (problem,) = checked("something").errors
    assert "it has none of its own" in problem.message
    (problem,) = checked("power_off").errors
    assert "no command power_off" in problem.message


def test_programs_that_are_not_there_are_found_before_anything_runs() -> None:
    class Bare(IdealWorld):
        def tool(self, name: str) -> str:
            return "" if name == "true" else f"{name} is not installed"

    action = placed(RunCommand("relay"), section="command")
    action.command = UserCommand(["true"], ["pdu-tool off"])
    (problem,) = action.validate(Bare())
    assert "pdu-tool is not installed" in problem.message


def test_a_command_without_a_name() -> None:
    done = check_job(jobs.job({"command": {"timeout": {"minutes": 1}}}), jobs.device())
    assert [p.path for p in done.errors] == [("actions", 0, "command")]
