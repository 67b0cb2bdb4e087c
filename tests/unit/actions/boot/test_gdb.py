# SPDX-License-Identifier: Apache-2.0
"""The dialogue with gdb, which a script plays on a real terminal."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from executor.actions.boot.gdb import BootGdbRetry, GdbParameters
from executor.errors import InfrastructureError
from executor.pipeline.run import Run
from executor.schema.device import parse_device
from executor.testing.boards import board, names, problems
from executor.testing.pipeline import Scene, placed
from executor.testing.tools import StandIns

OPTIONS: dict[str, Any] = {
    "parameters": {"command": "gdb-multiarch"},
    "openocd": {
        "arguments": ["{ZEPHYR}"],
        "commands": ["target remote | probe -f {SCRIPT}", "load"],
        "docker": {"use": False},
    },
}
BOOT = {"boot": {"method": "gdb", "commands": "openocd"}}
DIALOGUE = """\
printf '(gdb) '
while read -r line; do
  echo "$line" >> "$0.heard"
  case "$line" in continue) echo Continuing.; exec sleep 60;; load) echo "{answer}";; esac
  printf '(gdb) '
done
"""


def attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str) -> tuple[Scene, Run, StandIns]:
    tools = StandIns(tmp_path, monkeypatch)
    tools.make("gdb-multiarch", does=DIALOGUE.replace("{answer}", answer))
    device = parse_device(board("boot", "gdb", OPTIONS)).device
    assert device is not None
    scene = Scene(tmp_path, device=device, clock=time.monotonic)
    scene.artifact("zephyr", b"1", url="http://h/z.elf")
    scene.artifact("script", b"2", url="http://h/s.cfg")
    action = placed(BootGdbRetry(GdbParameters(method="gdb", commands="openocd"), device), section="boot")
    return scene, scene.attempt(action), tools


def test_the_plan_with_and_without_a_power_switch() -> None:
    tail = ["    wait-usb-serial", "    connect-device"]
    bare = names(board("boot", "gdb", OPTIONS, power=False), BOOT)
    assert bare == ["boot-gdb", "  boot-gdb-retry", *tail]
    assert names(board("boot", "gdb", OPTIONS), BOOT) == [
        *("boot-gdb", "  boot-gdb-retry", "    reset-device", "      pdu-reboot"),
        *tail,
    ]


def test_the_commands_are_typed_and_the_program_left_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene, run, tools = attempt(tmp_path, monkeypatch, "Transfer rate: 90 KB/sec")
    run.action.after(run)
    [console] = scene.context.consoles
    console.expect("Continuing", run.deadline)
    assert tools.calls("gdb-multiarch")[0][-1].endswith("/zephyr/z.elf")
    heard = (tools.directory / "gdb-multiarch.heard").read_text().splitlines()
    assert heard[0].startswith("target remote | probe -f ")
    assert heard[0].endswith("/script/s.cfg")
    assert heard[1:] == ["load", "continue"]
    run.action.cleanup(run)
    assert scene.context.consoles == []
    assert not console.alive
    run.action.cleanup(run)


def test_an_answer_that_is_a_failure_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene, run, _ = attempt(tmp_path, monkeypatch, "Error: flash failed")
    with pytest.raises(InfrastructureError, match="gdb, 'load': Error: flash failed"):
        run.action.after(run)
    run.action.cleanup(run)
    assert scene.context.consoles == []


def test_a_set_that_the_device_does_not_have_is_refused() -> None:
    found = problems(board("boot", "gdb", OPTIONS), {"boot": {"method": "gdb", "commands": "jtag"}})
    assert found == ["the device has no gdb commands 'jtag'"]
