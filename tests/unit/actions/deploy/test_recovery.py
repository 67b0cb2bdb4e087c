# SPDX-License-Identifier: Apache-2.0
"""Files for a board in recovery mode."""

from __future__ import annotations

from executor.testing.boards import board, names, problems

DEPLOY = {"deploy": {"to": "recovery", "images": {"fastboot": {"url": "http://h/f.bin"}}}}


def test_the_plan() -> None:
    found = names(board("deploy", "recovery", {"commands": {}}), DEPLOY)
    assert found == ["deploy-recovery-mode", "  download-retry", "    http-download"]


def test_another_board_refuses_it() -> None:
    assert "recovery: the device file has no deploy method" in problems(board("boot", "jlink"), DEPLOY)[0]
