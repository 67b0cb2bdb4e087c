# SPDX-License-Identifier: Apache-2.0
"""Power commands and the end of a job: order, tries, what is proven."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from executor.actions import commands as module
from executor.actions.commands import DeviceCommand
from executor.actions.finalize import Finalize, PowerOff, ReadFeedback
from executor.errors import ConfigurationError, InfrastructureError
from executor.model import journal
from executor.model.deadline import Deadline
from executor.model.device import Device
from executor.model.job import Job
from executor.pipeline.planner import plan
from executor.pipeline.world import IdealWorld
from executor.testing.pipeline import Scene


class Relay(DeviceCommand):
    name = "relay"
    command = "hard_reset"


def note(path: Path, text: str, code: int = 0) -> str:
    """A command line that adds a line to a file and ends with `code`."""
    return f"""sh -c 'echo {text} >> "{path}"; exit {code}'"""


def relay(lines: list[str], kind: type[DeviceCommand] = Relay) -> DeviceCommand:
    action = kind()
    action.lines = lines
    return action


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    monkeypatch.setattr(module, "_PAUSE", 0.0)
    return Scene(tmp_path)


@pytest.fixture
def said(tmp_path: Path) -> Path:
    return tmp_path / "said"


def test_lines_run_in_order_and_are_told(scene: Scene, said: Path) -> None:
    scene.run(relay([note(said, "off"), note(said, "on")]))
    assert said.read_text() == "off\non\n"
    told = [text for text in scene.journal.messages(journal.INFO) if text.startswith("hard_reset: ")]
    assert len(told) == 2


def test_the_first_failure_ends_them(scene: Scene, said: Path) -> None:
    with pytest.raises(InfrastructureError, match="failed with code 7"):
        scene.run(relay([note(said, "a", 7), note(said, "b")]))
    assert said.read_text() == "a\n"


def test_no_shell_looks_at_them(scene: Scene, tmp_path: Path) -> None:
    target = tmp_path / "made"
    scene.run(relay([f"{sys.executable} -c pass ; touch {target}"]))
    assert not target.exists()


@pytest.mark.parametrize("line", ["pdu 'off", "", "   "])
def test_lines_that_are_none_are_the_device_files_fault(scene: Scene, line: str) -> None:
    with pytest.raises(ConfigurationError, match="commands.hard_reset"):
        scene.run(relay([line]))
    (problem,) = relay([line]).validate(IdealWorld())
    assert problem.error_type == "Configuration"


def test_programs_that_are_not_there_are_found_before_anything_runs() -> None:
    class Bare(IdealWorld):
        def tool(self, name: str) -> str:
            return f"{name} is not installed"

    (problem,) = relay(["pdu-tool off 7"]).validate(Bare())
    assert problem.error_type == "Infrastructure"
    assert "pdu-tool" in problem.message


def test_the_lines_come_from_the_device() -> None:
    found = plan(Job(job_name="t"), Device(commands={"power_off": ["pdu off 7"]}))
    assert [a.lines for a in found.walk() if isinstance(a, PowerOff)] == [["pdu off 7"]]


def test_power_off_is_tried_three_times(scene: Scene, said: Path) -> None:
    with pytest.raises(InfrastructureError):
        scene.run(relay([note(said, "x", 1)], PowerOff))
    assert said.read_text() == "x\n" * 3
    assert not scene.context.powered_off
    assert any("failed, 1 of 3" in text for text in scene.journal.messages(journal.WARNING))


def test_power_that_went_off_is_proven(scene: Scene, said: Path) -> None:
    run = scene.run(relay([note(said, "x")], PowerOff))
    assert scene.context.powered_off
    assert run.results == {"status": "success"}


def test_a_device_without_a_switch_counts_as_off(scene: Scene) -> None:
    run = scene.run(relay([], PowerOff))
    assert scene.context.powered_off
    assert run.results == {}


# -- consoles at the end


class Console:
    def __init__(self) -> None:
        self.calls: list[str] = []

    def drain(self, deadline: Deadline) -> str:
        assert deadline.remaining <= 1
        self.calls.append("drain")
        return ""

    def close(self, deadline: Deadline) -> None:
        self.calls.append("close")


def test_every_console_is_drained_and_closed(scene: Scene) -> None:
    consoles = [Console(), Console()]
    scene.context.consoles.extend(consoles)  # type: ignore[arg-type]
    scene.run(ReadFeedback())
    end = Finalize()
    end.after(scene.attempt(end))
    assert [console.calls for console in consoles] == [["drain", "close"]] * 2
    assert scene.context.consoles == []
