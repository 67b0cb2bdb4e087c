# SPDX-License-Identifier: Apache-2.0
"""A board of Arm Virtual Hardware: started, connected to, taken away."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from executor.actions.avh.api import Service
from executor.actions.boot import avh
from executor.actions.boot.avh import AvhParameters, BootArguments, CallAvh
from executor.errors import JobError
from executor.testing.boards import board, names, problems
from executor.testing.pipeline import Scene, placed

BOOT = {"boot": {"method": "avh", "prompts": ["root@rpi: "]}}
SECRET = "wss://h/console/key"
# Stands for the program that joins a terminal to the WebSocket: shows that the URL has reached it.
CONSOLE = "import os; print('joined', len(os.environ.pop('LAVA_EXEC_CONSOLE_URL')), flush=True); input()"


def test_the_plan() -> None:
    assert names(board("boot", "avh"), BOOT) == [
        *("boot-avh", "  call-avh", "  auto-login-action", "    login-action")
    ]
    block = {"boot": {**BOOT["boot"], "docker": {"image": "websocat"}}}
    assert problems(board("boot", "avh"), block) == ["the console needs no program, `docker` is not used"]


def test_it_is_started_connected_to_and_taken_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[object] = []
    monkeypatch.setattr(Service, "log_in", lambda self, token: None)
    monkeypatch.setattr(Service, "project", lambda self, name: "p1")
    monkeypatch.setattr(Service, "flavor", lambda self, model: f"{model}-flavor")
    monkeypatch.setattr(Service, "start", lambda self, *given: done.append(given) or "b1")
    monkeypatch.setattr(Service, "wait_for", lambda self, board, tell: tell("on"))
    monkeypatch.setattr(Service, "console", lambda self, board: SECRET)
    monkeypatch.setattr(Service, "remove", lambda self, kind, board: done.append((kind, board)))
    started = avh.open_program
    monkeypatch.setattr(
        avh,
        "open_program",
        lambda run, argv, name, secret: started(run, [sys.executable, "-c", CONSOLE], name, secret),
    )
    scene = Scene(tmp_path, clock=time.monotonic, secrets={"avh_api_token": "mine"})
    namespace = scene.namespace
    namespace.virtual_firmware = "i1"
    namespace.virtual_settings = {"api_endpoint": "https://h/api", "project_name": "p", "model": "rpi4b"}
    action = CallAvh(AvhParameters(method="avh", bootargs=BootArguments(normal="console=ttyS0")))
    run = scene.run(placed(action, section="boot"))
    assert done == [("p1", "lava-42-1", "rpi4b-flavor", "i1", {"bootArgs": "console=ttyS0"})]
    assert namespace.console is not None
    namespace.console.expect(f"joined {len(SECRET)}", run.deadline)
    assert not any(SECRET in str(record.msg) for record in scene.journal.records)
    action.cleanup(run)
    assert (namespace.console, scene.context.consoles) == (None, [])
    assert done[1:] == [("instances", "b1")]


def test_without_a_deployment_there_is_nothing_to_start(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="nothing has been uploaded"):
        Scene(tmp_path).run(placed(CallAvh(AvhParameters(method="avh")), section="boot"))
