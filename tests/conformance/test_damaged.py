# SPDX-License-Identifier: Apache-2.0
"""Jobs and devices of the field, damaged: keys dropped, values of another type, a device of another job. The
answer may be yes or no, but it is one: no traceback, and never our own fault.

The data lies outside of the project (`../shared/conformance/cases`, or where CONFORMANCE_CASES says) and is
not part of it; without it these tests are skipped. HYPOTHESIS_PROFILE=thorough damages each case more often.
"""

from __future__ import annotations

import copy
import os
import random
from pathlib import Path
from typing import Any

import pytest
import yaml

from executor.pipeline.check import check_job

ROOT = Path(__file__).resolve().parents[2]
CASES = Path(os.environ.get("CONFORMANCE_CASES") or ROOT.parent / "shared" / "conformance" / "cases")
FOUND = sorted(p.parent for p in CASES.rglob("device.yaml") if (p.parent / "job.yaml").is_file())
THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"
TIMES = 200 if THOROUGH else 3
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
    [],
    ["x"],
    [None],
    [[]],
    {},
    {"x": None},
    {"x": {}},
)

pytestmark = [
    pytest.mark.skipif(not FOUND, reason=f"no conformance cases in {CASES}"),
    pytest.mark.timeout(3600 if THOROUGH else 120),
]


def load(path: Path) -> Any:
    return yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)  # noqa: S506  # a safe loader


def name(case: Path) -> str:
    return case.relative_to(CASES).as_posix()


def places(node: Any) -> list[tuple[Any, Any]]:
    """(container, key) of everything in a document."""
    items = list(
        node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    )
    return [(node, key) for key, _ in items] + [place for _, value in items for place in places(value)]


def damage(data: Any, chance: random.Random) -> Any:
    data = copy.deepcopy(data)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        known = places(data)
        if not known:
            return data
        container, key = chance.choice(known)
        if chance.random() < 0.5:
            del container[key]
        elif chance.random() < 0.7:
            container[key] = copy.deepcopy(chance.choice(JUNK))
        else:
            other, where = chance.choice(known)
            container[key] = copy.deepcopy(other[where])
    return data


def judge(job: Any, device: Any) -> None:
    text = yaml.dump(job, Dumper=yaml.CSafeDumper)
    done = check_job(text, device, strict=bool(len(text) % 2))
    wrong = [p.message for p in done.problems if p.error_type == "Bug" or not p.message]
    assert wrong == []


@pytest.mark.parametrize("case", FOUND, ids=name)
def test_damaged(case: Path) -> None:
    chance = random.Random(name(case))  # noqa: S311  # the same damage each time
    job, device = load(case / "job.yaml"), load(case / "device.yaml")
    for _ in range(TIMES):
        kind = chance.choice(("job", "device", "both"))
        judge(
            job if kind == "device" else damage(job, chance),
            device if kind == "job" else damage(device, chance),
        )


@pytest.mark.parametrize("case", FOUND, ids=name)
def test_the_device_of_another_job(case: Path) -> None:
    chance = random.Random(name(case))  # noqa: S311  # the same devices each time
    family = [c for c in FOUND if c.parent == case.parent and c != case] or FOUND
    for pool in (family, FOUND):
        for other in chance.sample(pool, min(len(pool), TIMES)):
            judge(load(case / "job.yaml"), load(other / "device.yaml"))
