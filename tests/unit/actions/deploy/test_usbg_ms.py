# SPDX-License-Identifier: Apache-2.0
"""An image as a USB stick of the board: shown by the device's commands, and taken away again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from executor.actions.deploy.usbg_ms import UsbgMsEnable
from executor.errors import InfrastructureError
from executor.schema.device import parse_device
from executor.testing.boards import board, names, problems
from executor.testing.pipeline import Scene, placed
from executor.testing.tools import StandIns

OPTIONS = {"enable": ["gadget on {IMAGE}"], "disable": ["gadget off"]}
DEPLOY = {"deploy": {"to": "usbg-ms", "image": {"url": "http://h/disk.img"}}}


def enable() -> UsbgMsEnable:
    device = parse_device(board("deploy", "usbg-ms", OPTIONS)).device
    assert device is not None
    action = UsbgMsEnable(device)
    placed(action)
    return action


def test_the_plan() -> None:
    assert names(board("deploy", "usbg-ms", OPTIONS), DEPLOY) == [
        *("usbg-ms", "  download-retry", "    http-download", "  usbg-ms-enable")
    ]


def test_what_was_shown_is_taken_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools = StandIns(tmp_path, monkeypatch)
    tools.make("gadget")
    scene = Scene(tmp_path)
    scene.artifact("image", b"1", url="http://h/disk.img")
    action = enable()
    run = scene.run(action)
    action.cleanup(run)
    [shown, hidden] = tools.calls("gadget")
    assert (shown[0], Path(shown[1]).name) == ("on", "disk.img")
    assert hidden == ["off"]


def test_a_failure_is_told_and_taking_away_once_more_does_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    StandIns(tmp_path, monkeypatch).make("gadget", says="no gadget", code=1)
    scene = Scene(tmp_path)
    scene.artifact("image", b"1", url="http://h/disk.img")
    action = enable()
    run = scene.attempt(action)
    with pytest.raises(InfrastructureError, match="no gadget"):
        action.run(run)
    action.cleanup(run)
    assert any("no gadget" in text for text in scene.journal.messages("warning"))


@pytest.mark.parametrize("options", [{"enable": ["x"]}, {**OPTIONS, "more": ["y"]}, None])
def test_the_device_file_has_both_and_nothing_else(options: Any) -> None:
    assert "must have enable and disable" in problems(board("deploy", "usbg-ms", options), DEPLOY)[0]
