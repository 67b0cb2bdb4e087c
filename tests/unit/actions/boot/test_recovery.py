# SPDX-License-Identifier: Apache-2.0
"""Into recovery mode, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from executor.actions.recoverymode import ENTER, SwitchRecovery
from executor.schema.device import parse_device
from executor.testing.boards import board, names, problems
from executor.testing.pipeline import Scene, placed
from executor.testing.tools import StandIns

COMMANDS = {"recovery_mode": ["relay 1 on", "relay 2 off"], "recovery_exit": "relay 1 off"}


def device(commands: Any = COMMANDS) -> dict[str, Any]:
    made = board("deploy", "recovery", {"commands": commands})
    made["commands"]["power_on"] = "pdu on 7"
    return made


def boot(which: str) -> dict[str, Any]:
    return {"boot": {"method": "recovery", "commands": which}}


@pytest.mark.parametrize("which", ["recovery", "exit"])
def test_the_board_is_off_while_its_jumpers_are_set(which: str) -> None:
    assert names(device(), boot(which)) == ["recovery-boot", "  power-off", "  switch-recovery", "  power-on"]


def test_the_commands_of_the_key_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools = StandIns(tmp_path, monkeypatch)
    tools.make("relay")
    parsed = parse_device(device()).device
    assert parsed is not None
    Scene(tmp_path).run(placed(SwitchRecovery(parsed, ENTER)))
    assert tools.calls("relay") == [["1", "on"], ["2", "off"]]


def test_commands_of_the_device_itself_do_as_well() -> None:
    made = device({})
    made["commands"]["recovery_mode"] = "relay 1 on"
    assert problems(made, boot("recovery")) == []
    assert problems(made, boot("exit")) == ["the device file has no commands recovery_exit"]


def test_there_are_only_two_ways() -> None:
    assert problems(device(), boot("sideways")) != []
