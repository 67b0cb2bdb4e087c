# SPDX-License-Identifier: Apache-2.0
"""Damaged jobs, held against damaged devices: whatever comes, the answer is a verdict with reasons, never a
traceback and never a fault of ours.

A few hundred by default, 20,000 with HYPOTHESIS_PROFILE=thorough.
"""

from __future__ import annotations

import copy
import os
import random
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from executor.pipeline.check import check_job

THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"
EXAMPLES = settings(
    max_examples=20_000 if THOROUGH else 200,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
pytestmark = pytest.mark.timeout(3600 if THOROUGH else 120)

DATA: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "everything.yaml").read_text(encoding="utf-8"))
DEVICE = DATA["device"]


def blocks() -> list[list[dict[str, Any]]]:
    """A job for each method, the others of its blocks being the usual ones."""
    deploys, boots, tests = DATA["deploy"], DATA["boot"], DATA["test"]
    u_boot = next(block for block in boots if block["method"] == "u-boot")
    return [
        *([{"deploy": block}, {"boot": boots[0]}, {"test": tests[0]}] for block in deploys),
        *([{"deploy": deploys[0]}, {"boot": block}, {"test": tests[0]}] for block in boots),
        *([{"deploy": deploys[0]}, {"boot": u_boot}, {"test": block}] for block in tests),
        *([{"command": block}] for block in DATA["command"]),
    ]


MEMBER = {"lava-multinode": {"role": "r", "target_group": "g"}}
JOBS: list[dict[str, Any]] = [
    {
        "job_name": "a",
        "device_type": "all",
        "timeouts": {"job": {"hours": 1}},
        "context": {"arch": "amd64"},
        "protocols": {"lava-xnbd": {"port": "auto"}, **(MEMBER if number % 7 == 0 else {})},
        "actions": actions,
    }
    for number, actions in enumerate(blocks())
]
JUNK = (
    None,
    True,
    0,
    -1,
    2**70,
    1.5,
    "",
    "x",
    "a b",
    "{0}",
    "{BOOTX}",
    [],
    ["x"],
    [None],
    [[]],
    {},
    {"x": None},
    {"x": {}},
)


def places(node: Any) -> list[tuple[Any, Any]]:
    """(container, key) of everything in a document."""
    items = list(
        node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    )
    return [(node, key) for key, _ in items] + [place for _, value in items for place in places(value)]


def damage(data: Any, chance: random.Random) -> Any:
    """Some keys dropped, some values replaced by others."""
    data = copy.deepcopy(data)
    for _ in range(chance.choice((1, 1, 2, 3))):
        known = places(data)
        if not known:
            break
        container, key = chance.choice(known)
        kind = chance.choice(("drop", "junk", "junk", "swap"))
        if kind == "drop":
            del container[key]
        elif kind == "junk":
            container[key] = copy.deepcopy(chance.choice(JUNK))
        else:
            other, where = chance.choice(known)
            container[key] = copy.deepcopy(other[where])
    return data


@EXAMPLES
@given(st.randoms(use_true_random=False), st.sampled_from(JOBS), st.sampled_from(("job", "device", "both")))
def test_a_verdict_whatever_comes(chance: random.Random, job: dict[str, Any], kind: str) -> None:
    if kind != "device":
        job = damage(job, chance)
    device = DEVICE if kind == "job" else damage(DEVICE, chance)
    done = check_job(yaml.dump(job, Dumper=yaml.CSafeDumper), device, strict=False)  # to get further
    assert [p.message for p in done.problems if p.error_type == "Bug" or not p.message] == []
    assert done.errors or done.planned is not None
