# SPDX-License-Identifier: Apache-2.0
"""Device files of boards, which differ in few places, and what is planned for them."""

from __future__ import annotations

from typing import Any

from executor.testing import jobs
from executor.testing.pipeline import planned

ID = "0240AB"  # serial number of the board


def board(
    section: str, method: str, options: Any = None, *, power: bool = True, **keys: Any
) -> dict[str, Any]:
    """A device file with one method of a section, `to: tmpfs`, boot `minimal` and a console; `keys` are
    top-level keys.
    """
    commands: dict[str, Any] = {
        "connections": {"uart0": {"connect": "telnet ser 7001", "tags": ["primary", "telnet"]}}
    }
    if power:
        commands |= {"hard_reset": "pdu reset 7", "power_off": "pdu off 7"}
    methods: dict[str, dict[str, Any]] = {"deploy": {"image": None}, "boot": {"minimal": None}}
    methods[section][method] = options
    return {
        "hostname": "board-01",
        "device_type": "board",
        "board_id": ID,
        "commands": commands,
        "constants": {},
        "parameters": {},
        "actions": {name: {"methods": found} for name, found in methods.items()},
        **keys,
    }


def names(device: dict[str, Any], *blocks: dict[str, Any]) -> list[str]:
    """Names of all planned actions but `finalize`, deeper ones indented. Raises AssertionError."""
    made = planned(jobs.job(*blocks), device)
    assert made.errors == [], [problem.message for problem in made.errors]  # noqa: S101
    every = [action for top in made.actions if top.section != "finalize" for action in top.walk()]
    return ["  " * action.level.count(".") + action.name for action in every]


def problems(device: dict[str, Any], *blocks: dict[str, Any]) -> list[str]:
    """What planning and validation object to, in an ideal world."""
    from executor.pipeline.planner import validate

    made = planned(jobs.job(*blocks), device)
    return [problem.message for problem in (*made.problems, *validate(made))]
