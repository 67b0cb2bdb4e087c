# SPDX-License-Identifier: Apache-2.0
"""From U-Boot's prompt into fastboot; the board is a script."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from executor.actions.fastboot.uboot import UBootEnterFastboot, settings
from executor.errors import InfrastructureError
from executor.model.device import Device
from executor.model.job import Job
from executor.pipeline.world import IdealWorld
from executor.testing.console import FakeClock, Hear, Say, ScriptedConsole, ScriptedPort, Step
from executor.testing.pipeline import Scene, placed

BOOT = {"bootloader_prompt": "=>", "interrupt_prompt": "Hit any key", "interrupt_char": " "}


def board(*commands: str, **parameters: Any) -> Device:
    """A device whose deploy method says `parameters` of U-Boot."""
    given = {"fastboot": {"commands": list(commands)}, **parameters}
    return Device(
        deploy_methods={"u-boot": {"parameters": given}}, boot_methods={"u-boot": {"parameters": BOOT}}
    )


def entered(tmp_path: Path, device: Device, *script: Step) -> str:
    """What was typed."""
    clock = FakeClock()
    scene = Scene(tmp_path, device=device, clock=clock)
    port = ScriptedPort(clock, script)
    scene.namespace.console = ScriptedConsole(port, scene.journal)  # type: ignore[arg-type]
    action = placed(UBootEnterFastboot(device, Job(job_name="t")))
    action.after(scene.attempt(action))
    return port.typed


def test_the_last_command_does_not_come_back(tmp_path: Path) -> None:
    typed = entered(
        tmp_path, board("mmc dev 0", "fastboot 0"), Hear("mmc dev 0"), Say("\r\nmmc0 is current\r\n=> ")
    )
    assert typed.splitlines() == ["mmc dev 0", "fastboot 0"]


def test_what_u_boot_complains_about_ends_it(tmp_path: Path) -> None:
    script = (Hear("mmc dev 9"), Say("\r\nERROR: Failed to allocate 1 bytes\r\n=> "))
    with pytest.raises(InfrastructureError, match="Failed to allocate"):
        entered(tmp_path, board("mmc dev 9", "fastboot 0"), *script)


def test_the_deploy_method_wins_where_it_says_something() -> None:
    found, commands = settings(
        board("fastboot 0", bootloader_prompt="", interrupt_prompt="stop"), Job(job_name="t")
    )
    assert (found.prompt, found.interrupt_prompt, found.interrupt) == ("=>", "stop", " ")
    assert commands == ["fastboot 0"]


def test_a_device_that_does_not_say_how_is_the_admins_fault() -> None:
    (problem,) = placed(UBootEnterFastboot(board(), Job(job_name="t"))).validate(IdealWorld())
    assert (problem.error_type, "fastboot" in problem.message) == ("Configuration", True)
    found = placed(UBootEnterFastboot(Device(), Job(job_name="t"))).validate(IdealWorld())
    assert [p.severity for p in found] == ["warning", "error"]
