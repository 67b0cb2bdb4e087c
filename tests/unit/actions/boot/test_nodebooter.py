# SPDX-License-Identifier: Apache-2.0
"""A container that serves what the board boots: planned and checked."""

from __future__ import annotations

from executor.pipeline.planner import validate
from executor.pipeline.world import FarmWorld
from executor.testing import jobs
from executor.testing.boards import board, names
from executor.testing.pipeline import planned

BOOT = {"boot": {"method": "nodebooter", "prompts": ["root@box:~# "]}}


def test_the_plan() -> None:
    assert names(board("boot", "nodebooter"), BOOT) == [
        *("boot-nodebooter", "  run-nodebooter", "  connect-device", "  reset-device", "    pdu-reboot"),
        *("  auto-login-action", "    login-action"),
    ]


def test_a_worker_without_such_containers_refuses_it() -> None:
    made = planned(jobs.job(BOOT), board("boot", "nodebooter"))
    assert any("cannot start containers" in p.message for p in validate(made, FarmWorld()))
