# SPDX-License-Identifier: Apache-2.0
"""`method: schroot`: into a change root of the host that an earlier boot has reached."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from executor.actions.boot.schroot import SchrootLogin, SchrootParameters
from executor.model.device import Device
from executor.pipeline.check import check_job
from executor.pipeline.world import IdealWorld
from executor.testing import jobs
from executor.testing.board import Board
from executor.testing.console import Shell
from executor.testing.pipeline import placed

PROMPT = r"\(unstable\)root@host"


def login(name: str = "unstable", **options: Any) -> SchrootLogin:
    known = Device(boot_methods={"schroot": {"name": ["unstable", "sid"], **options}})
    parameters = SchrootParameters(method="schroot", schroot=name, prompts=[PROMPT])
    action = placed(SchrootLogin(parameters, known), section="boot")
    assert isinstance(action, SchrootLogin)
    return action


@pytest.mark.parametrize(
    ("command", "typed"), [(None, "schroot"), ("/usr/local/bin/schroot", "/usr/local/bin/schroot")]
)
def test_the_change_roots_prompt_is_the_one_from_now_on(
    tmp_path: Path, command: str | None, typed: str
) -> None:
    board = Board(tmp_path, Shell("(unstable)root@host:~# "))
    board.scene.namespace.prompts = ["root@host"]
    board.run(login(command=command))
    assert board.port.typed == f"{typed} -c unstable\n"
    assert board.scene.namespace.prompts == [PROMPT]


def test_a_change_root_that_the_device_does_not_have() -> None:
    (problem,) = login("woody").validate(IdealWorld())
    assert (problem.message, problem.hint) == (
        "the device has no change root 'woody'",
        "it has unstable, sid",
    )


def test_a_name_is_a_name() -> None:
    known = jobs.device()
    known["actions"]["boot"]["methods"] = {"schroot": None}
    block = {"boot": {"method": "schroot", "schroot": "a; reboot", "prompts": ["# "]}}
    assert "schroot cannot be 'a; reboot'" in str(check_job(jobs.job(block), known).errors)
