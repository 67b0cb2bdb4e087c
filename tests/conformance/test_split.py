# SPDX-License-Identifier: Apache-2.0
"""Submissions for several devices of the field, and the jobs that each becomes.

The data lies outside of the project (`../shared/conformance/cases`, or where CONFORMANCE_CASES says) and is
not part of it; without it these tests are skipped. Deliberate differences stand in differences/plans.txt.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from executor.schema.job import parse_job
from executor.schema.split import split

ROOT = Path(__file__).resolve().parents[2]
CASES = Path(os.environ.get("CONFORMANCE_CASES") or ROOT.parent / "shared" / "conformance" / "cases")
FOLDER = CASES / "multinode-split"
NAMES = sorted(path.name for path in FOLDER.iterdir()) if FOLDER.is_dir() else []
LISTED = (Path(__file__).parent / "differences" / "plans.txt").read_text(encoding="utf-8").splitlines()
DIFFERENT = {line.partition("#")[0].strip() for line in LISTED}

pytestmark = pytest.mark.skipif(not NAMES, reason=f"no cases in {FOLDER}")


def load(path: Path) -> dict[str, Any]:
    data: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return data


def plain(part: dict[str, Any]) -> dict[str, Any]:
    """Without what only we say: the start has a limit of its own."""
    part["protocols"]["lava-multinode"].pop("start_timeout", None)
    return part


@pytest.mark.parametrize("name", NAMES)
def test_refused_or_split_into_the_same_jobs(name: str) -> None:
    meta = load(FOLDER / name / "meta.yaml")
    parsed = parse_job((FOLDER / name / "job.yaml").read_text(encoding="utf-8"), scheduled=True)
    errors = [f"{p.where}: {p.message}" for p in parsed.errors]
    if meta["expect"]["overall"] != "pass":
        assert bool(errors) != (f"multinode-split/{name}" in DIFFERENT)
        return
    assert errors == []
    want = [part for role in load(FOLDER / name / "expected.yaml")["roles"].values() for part in role]
    have = [plain(part.data) for part in split(parsed, meta["target_group"])]
    key = "multinode-split/" + name
    assert (sorted(have, key=number) == sorted(want, key=number)) != (key in DIFFERENT)


def number(part: dict[str, Any]) -> int:
    return int(part["protocols"]["lava-multinode"]["sub_id"])


@pytest.mark.parametrize("name", NAMES)
def test_each_job_can_be_read_and_its_places_lead_back(name: str) -> None:
    parsed = parse_job((FOLDER / name / "job.yaml").read_text(encoding="utf-8"))
    if parsed.errors:
        return
    assert parsed.document is not None
    for part in split(parsed, "group"):
        again = parse_job(yaml.safe_dump(part.data), scheduled=True)
        assert [p.message for p in again.errors] == []
        assert again.job is not None
        assert again.job.member is not None
        for block in again.job.blocks:
            assert parsed.document.mark(part.origin(block.path)) != (0, 0)
            assert block.parameters["role"] == part.role
