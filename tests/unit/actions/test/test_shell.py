# SPDX-License-Identifier: Apache-2.0
"""One run of the test shell, against a board that plays the runner."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from executor.actions.test.shell import TestShell, overlay_home
from executor.errors import JobError, TestError, TestTimeout
from executor.model import journal
from executor.pipeline.context import Namespace, OverlayDisk
from executor.testing.board import Board
from executor.testing.console import Shell
from executor.testing.hostdevice import define
from executor.testing.pipeline import placed

RUNNER = r"lava-test-runner /lava-42/(\d) "


def signals(*lines: str, run: str = "0_smoke 42_1.1") -> str:
    return "".join(
        f"<{line}>\n"
        for line in (
            f"LAVA_SIGNAL_STARTRUN {run}",
            *(f"LAVA_SIGNAL_{line}" for line in lines),
            f"LAVA_SIGNAL_ENDRUN {run}",
            "LAVA_TEST_RUNNER EXIT",
        )
    )


def checked(match: Any) -> str:
    """The answer to a checked command that went well: its markers, as printf makes them."""
    word = match[1]
    return f"<begin:{word}>\n<end:{word}:0>\n"


def board(tmp_path: Path, output: str, *, name: str = "common") -> Board:
    """A device with an overlay of one definition, whose runner prints `output`."""
    made = Board(
        tmp_path,
        Shell(answers={r"<%s:(lava-exec-\d+)>": checked, RUNNER: output}),
        section="test",
        echo=False,
    )
    home = made.scene.context.namespace(name)
    home.results_dir, home.overlay = "/lava-42", tmp_path / "overlay.tar.gz"
    home.definitions[0] = define("smoke", uuid="42_1.1")
    made.scene.namespace.prompts = ["/ # "]
    return made


def test_results_are_booked_as_they_come(tmp_path: Path) -> None:
    device = board(
        tmp_path, signals("TESTCASE TEST_CASE_ID=a RESULT=pass", "TESTCASE TEST_CASE_ID=b RESULT=fail")
    )
    device.run(TestShell(0, [0]))
    assert device.cases("0_smoke") == {"a": "pass", "b": "fail"}
    assert device.cases("lava") == {"0_smoke": "pass"}
    assert device.scene.context.cases == {"pass": 1, "fail": 1}


def test_a_call_to_other_members_outside_of_a_group_ends_the_test(tmp_path: Path) -> None:
    device = board(tmp_path, "<LAVA_SIGNAL_STARTRUN 0_smoke 42_1.1>\n<LAVA_MULTI_NODE> <LAVA_WAIT ready>\n")
    with pytest.raises(TestError, match="lava-wait.*not part of a group"):
        device.run(TestShell(0, [0]))
    assert device.cases("lava") == {"0_smoke": "fail"}


def test_without_a_deploy_there_is_nothing_to_run(tmp_path: Path) -> None:
    device = board(tmp_path, "", name="elsewhere")
    with pytest.raises(JobError, match="no overlay was made"):
        device.run(TestShell(0, [0]))


def test_silence_ends_with_the_actions_limit_and_names_the_definition(tmp_path: Path) -> None:
    device = board(tmp_path, "<LAVA_SIGNAL_STARTRUN 0_smoke 42_1.1>\n")
    with pytest.raises(TestTimeout, match="after 60 seconds in 0_smoke"):
        device.run(TestShell(0, [0]))
    assert "\x03" in device.port.typed  # Ctrl-C


# -- other namespaces


def test_feedback_of_a_namespace_without_a_console_is_an_error_in_the_log_only(tmp_path: Path) -> None:
    device = board(tmp_path, signals("TESTFEEDBACK common", "TESTFEEDBACK lxc"))
    device.run(TestShell(0, [0]))
    assert any("feedback from common" in text for text in device.scene.journal.messages(journal.DEBUG))
    (error,) = device.scene.journal.messages(journal.ERROR)
    assert error == "feedback from 'lxc': no such namespace with a console; there is common"


def test_a_block_uses_the_console_and_the_prompts_of_the_namespace_that_it_names(tmp_path: Path) -> None:
    device = board(tmp_path, signals(), name="other")
    device.scene.context.namespace("other").definitions[0] = define("smoke", uuid="42_1.1")
    action = TestShell(0, [0])
    action.namespace = "other"
    device.run(action, **{"connection-namespace": "common"})
    (record,) = [r for r in device.scene.journal.results() if r["definition"] == "lava"]
    assert (record["case"], record["result"], record["namespace"]) == ("0_smoke", "pass", "other")


@pytest.mark.parametrize(
    ("own", "other", "expected"),
    [
        ("overlay", "", "own"),
        ("", "overlay", "other"),
        ("overlay", "overlay", "own"),
        ("overlay", "disk", "other"),
        ("disk", "overlay", "own"),
    ],
)
def test_the_overlay_is_that_of_the_device_behind_the_console(
    tmp_path: Path, own: str, other: str, expected: str
) -> None:
    device = Board(tmp_path, section="test")
    for name, kind in (("own", own), ("other", other)):
        _bring(device.scene.context.namespace(name), kind, tmp_path)
    action = TestShell(0, [0])
    action.namespace = "own"
    action.section = "test"
    run = device.scene.attempt(placed(action, **{"connection-namespace": "other"}))
    assert overlay_home(run).name == expected


def _bring(namespace: Namespace, kind: str, tmp_path: Path) -> None:
    if kind:
        namespace.overlay = tmp_path / "overlay.tar.gz"
    if kind == "disk":
        namespace.overlay_disk = OverlayDisk(tmp_path / "disk", "uuid", [])
