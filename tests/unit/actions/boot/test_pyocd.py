# SPDX-License-Identifier: Apache-2.0
"""pyOCD, of today and of old."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from executor.actions.boot.pyocd import FlashPyocd
from executor.errors import InfrastructureError, JobError
from executor.schema.device import parse_device
from executor.testing.boards import ID, board, names
from executor.testing.pipeline import Scene, placed
from executor.testing.tools import StandIns

BOOT = {"boot": {"method": "pyocd"}}


def options(command: str | None = "pyocd", *words: str, **more: Any) -> dict[str, Any]:
    return {"parameters": {"command": command, "options": list(words), **more}}


def flash(given: dict[str, Any]) -> FlashPyocd:
    device = parse_device(board("boot", "pyocd", given)).device
    assert device is not None
    action = FlashPyocd(device)
    placed(action, section="boot")
    return action


def test_the_console_comes_after_the_flash_unless_the_device_says_otherwise() -> None:
    common = [
        "boot-pyocd-image",
        "  boot-pyocd-image",
        "    reset-device",
        "      pdu-reboot",
        "    wait-device-boardid",
    ]
    assert names(board("boot", "pyocd", options()), BOOT) == [
        *common,
        "    flash-pyocd",
        "    connect-device",
    ]
    early = options(connect_before_flash=True)
    assert names(board("boot", "pyocd", early), BOOT) == [*common, "    connect-device", "    flash-pyocd"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (options("pyocd", "load", "-t cortex-m"), ["pyocd", "load", "-t", "cortex-m", "-u", ID, "/i.hex"]),
        (options(None, "-t k64f"), ["pyocd", "load", "-t", "k64f", "-u", ID, "/i.hex"]),
        (options("pyocd-flashtool", "-t k64f"), ["pyocd-flashtool", "-t", "k64f", "-b", ID, "/i.hex"]),
    ],
)
def test_the_command_line_fits_the_program(given: dict[str, Any], expected: list[str]) -> None:
    assert flash(given).command_line(Path("/i.hex")) == expected


def test_each_image_is_flashed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools = StandIns(tmp_path, monkeypatch)
    tools.make("pyocd", says="0001234 I Erased 4096 bytes (1 sector), programmed 4096 bytes (1 page)")
    scene = Scene(tmp_path)
    scene.artifact("boot", b"1", url="http://h/a.bin")
    scene.artifact("app", b"2", url="http://h/b.hex")
    run = scene.run(flash(options()))
    assert [Path(call[-1]).name for call in tools.calls("pyocd")] == ["a.bin", "b.hex"]
    assert run.results == {"boot": "a.bin", "app": "b.hex"}


def test_a_probe_that_is_not_there_is_told_in_the_programs_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "0000321 C No connected probe matches unique ID '0240AB' [__main__]"
    StandIns(tmp_path, monkeypatch).make("pyocd", says=text, code=1)
    scene = Scene(tmp_path)
    with pytest.raises(JobError, match="no image"):
        scene.run(flash(options()))
    scene.artifact("boot", b"1", url="http://h/a.bin")
    with pytest.raises(InfrastructureError, match="No connected probe matches"):
        scene.run(flash(options()))
