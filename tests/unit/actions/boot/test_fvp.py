# SPDX-License-Identifier: Apache-2.0
"""A model, played by a script: its version, its serial port, its console."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from executor.actions.boot.fvp import CheckFvpVersion, FvpParameters, GetFvpSerial, RunFvp, StartFvp
from executor.errors import InfrastructureError, JobError
from executor.testing import jobs
from executor.testing.boards import board, names, problems
from executor.testing.pipeline import Scene, placed
from executor.testing.tools import StandIns

MODEL = """\
[ "$1" = --version ] && { echo "Fast Models [11.27.19]"; exit 0; }
echo "terminal_0: Listening for serial connection on port 5004"
echo "$LICENSE" > "$0.license"
while read -r line; do echo "model heard $line"; done
"""
KEYS: dict[str, Any] = {
    "image": "FVP_Base",
    "arguments": ["--data={BL1}@0x0", "--cores=4"],
    "version_string": r"Fast Models \[[0-9.]+\]",
    "console_string": r"terminal_0: Listening for serial connection on port (?P<PORT>\d+)",
}


def block(**keys: Any) -> dict[str, Any]:
    return {"boot": {"method": "fvp", "prompts": ["root@model:~# "], **KEYS, **keys}}


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    tools = StandIns(tmp_path, monkeypatch)
    tools.make("FVP_Base", does=MODEL)
    tools.make("telnet", says="Connected to localhost.", does='printf "login: "; cat > /dev/null')
    made = Scene(tmp_path, clock=time.monotonic)
    made.artifact("bl1", b"1", url="http://h/bl1.bin")
    return made


def parameters(**keys: Any) -> FvpParameters:
    return FvpParameters(method="fvp", **{**KEYS, **keys})


def test_the_plan_with_telnet_and_without() -> None:
    tail = ["  read-feedback", "  auto-login-action", "    login-action"]
    begin = ["boot-fvp", "  boot-fvp-main", "    check-fvp-version"]
    device = board("boot", "fvp")
    assert names(device, block()) == [*begin, "    start-fvp", "    get-fvp-serial", *tail]
    assert names(device, block(use_telnet=False)) == [*begin, "    run-fvp", *tail]
    device["actions"]["deploy"]["methods"] |= {"fvp": None}
    deploy = {"deploy": {"to": "fvp", "os": "oe", "images": {"bl1": {"url": "http://h/bl1.bin"}}}}
    tested = names(device, deploy, block(use_telnet=False), jobs.shell_test())
    assert tested[tested.index("    login-action") + 1] == "  expect-shell-connection"
    assert "  export-device-env" not in tested


def test_the_version_is_the_one_that_the_job_wants(scene: Scene) -> None:
    run = scene.run(placed(CheckFvpVersion(parameters()), section="boot"))
    assert run.results == {"fvp-version": "Fast Models [11.27.19]"}
    with pytest.raises(JobError, match=r"the model says 'Fast Models \[11.27.19\]'"):
        scene.run(placed(CheckFvpVersion(parameters(version_string="Foundation")), section="boot"))


def test_its_own_output_is_the_console(scene: Scene, tmp_path: Path) -> None:
    action = placed(RunFvp(parameters(license_variable="LICENSE=7777@server")), section="boot")
    run = scene.run(action)
    console = scene.namespace.console
    assert console is not None
    console.send_line("hello")
    console.expect("model heard hello", run.deadline)
    assert (tmp_path / "tools/FVP_Base.license").read_text() == "7777@server\n"
    argv = (tmp_path / "tools/FVP_Base.calls").read_text()
    assert "/bl1.bin@0x0" in argv
    action.cleanup(run)
    assert scene.namespace.console is None
    assert scene.context.consoles == []


def test_its_serial_port_is_connected_to(scene: Scene, tmp_path: Path) -> None:
    start, serial = StartFvp(parameters()), GetFvpSerial(parameters())
    started = scene.run(placed(start, level="1.1", section="boot"))
    connected = scene.run(placed(serial, level="1.2", section="boot"))
    assert started.results == {"port": "5004"}
    console = scene.namespace.console
    assert console is not None
    console.expect("login: ", connected.deadline)
    assert "localhost\x1f5004" in (tmp_path / "tools/telnet.calls").read_text()
    serial.cleanup(connected)
    start.cleanup(started)
    assert scene.context.consoles == []


def test_a_model_that_ends_at_once_is_told(scene: Scene, tmp_path: Path) -> None:
    (tmp_path / "tools/FVP_Base").write_text("#!/bin/sh\necho no licence\nexit 1\n")
    action = placed(StartFvp(parameters()), section="boot")
    run = scene.attempt(action)
    with pytest.raises(InfrastructureError, match="exited with code 1"):
        action.run(run)
    action.cleanup(run)


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({"console_string": "Listening"}, "console_string has no group PORT"),
        ({"version_string": "("}, "("),
        ({"license_variable": "7777@server"}, "'7777@server' is no NAME=value"),
        ({"docker": {"name": "fvp:11"}}, "the model runs in the job's own container"),
    ],
)
def test_what_cannot_work_is_told(keys: dict[str, Any], text: str) -> None:
    assert any(text in found for found in problems(board("boot", "fvp"), block(**keys)))
