# SPDX-License-Identifier: Apache-2.0
"""The device's own commands, with the job's images in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from executor.actions.deploy.flasher import DeployFlasher, FlasherParameters
from executor.errors import InfrastructureError, JobError
from executor.model.job import Resource
from executor.schema.device import parse_device
from executor.testing import jobs
from executor.testing.boards import board, names, problems
from executor.testing.pipeline import Scene, placed
from executor.testing.tools import StandIns

COMMANDS = ["sdmux host", 'flash --boot "{BOOT}" {URL}', "sdmux dut"]
IMAGES = {"boot": {"url": "http://h/boot.img"}, "url": {"url": "http://h/{KEY}.gz", "download": False}}
DEPLOY = {"deploy": {"to": "flasher", "os": "debian", "images": IMAGES}}


def device(*commands: str) -> dict[str, Any]:
    return board("deploy", "flasher", {"commands": list(commands)}, static_info=[{"KEY": "v1"}])


def action(*commands: str) -> DeployFlasher:
    parsed = parse_device(device(*commands)).device
    assert parsed is not None
    images = {label: Resource(**given) for label, given in IMAGES.items()}  # type: ignore[arg-type]
    made = DeployFlasher(FlasherParameters(to="flasher", images=images), parsed)
    placed(made)
    return made


def test_the_plan_with_a_test_and_without() -> None:
    begin = ["deploy-flasher-retry", "  deploy-flasher"]
    assert names(device(*COMMANDS), DEPLOY) == [*begin, "    download-retry", "      http-download"]
    boot = {"boot": {"method": "minimal", "prompts": ["# "]}}
    tested = names(device(*COMMANDS), DEPLOY, boot, jobs.shell_test())
    assert [name for name in tested if name.startswith("    ") and name[4] != " "][:4] == [
        *("    lava-overlay", "    download-retry", "    deploy-device-env", "    pdu-reboot")
    ]


def test_the_commands_run_in_order_with_paths_and_urls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = StandIns(tmp_path, monkeypatch)
    tools.make("sdmux")
    tools.make("flash", says="ok")
    scene = Scene(tmp_path / "with a space")
    scene.artifact("boot", b"1", url="http://h/boot.img")
    made = action(*COMMANDS)
    made.after(scene.attempt(made))
    assert tools.calls("sdmux") == [["host"], ["dut"]]
    [[option, boot, url]] = tools.calls("flash")
    assert (option, Path(boot).name, url) == ("--boot", "boot.img", "http://h/v1.gz")


def test_the_first_failure_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools = StandIns(tmp_path, monkeypatch)
    tools.make("sdmux", says="no such mux", code=2)
    scene = Scene(tmp_path)
    made = action("sdmux host", "sdmux dut")
    with pytest.raises(InfrastructureError, match="sdmux failed with code 2: no such mux"):
        made.after(scene.attempt(made))
    assert len(tools.calls("sdmux")) == 1


def test_a_placeholder_without_an_image_is_named(tmp_path: Path) -> None:
    made = action("flash {KERNEL}")
    with pytest.raises(JobError, match=r"\{KERNEL\}"):
        made.after(Scene(tmp_path).attempt(made))


def test_what_cannot_run_is_told_at_validation() -> None:
    assert problems(device(), DEPLOY) == ["the device file has no commands for flasher"]
    assert "cannot be split" in problems(device('flash "x'), DEPLOY)[0]
    [warning] = problems(device("mount /dev/sda /mnt"), DEPLOY)
    assert "mount needs a privilege" in warning


def test_its_programs_are_what_the_container_must_have() -> None:
    needs = action(*COMMANDS).needs()
    assert needs.tools == {"sdmux", "flash"}
    assert needs.capabilities == frozenset()
