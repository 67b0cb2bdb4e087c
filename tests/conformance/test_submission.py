# SPDX-License-Identifier: Apache-2.0
"""Jobs of the field that are refused or accepted before any device is known.

The data lies outside of the project (`../shared/conformance/cases`, or where CONFORMANCE_CASES says) and is
not part of it; without it these tests are skipped.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from executor.schema.device import parse_device
from executor.schema.job import parse_job

ROOT = Path(__file__).resolve().parents[2]
CASES = Path(os.environ.get("CONFORMANCE_CASES") or ROOT.parent / "shared" / "conformance" / "cases")

LISTED = (Path(__file__).parent / "differences" / "plans.txt").read_text(encoding="utf-8").splitlines()
DIFFERENT = {line.partition("#")[0].strip() for line in LISTED}


def cases(collection: str) -> list[str]:
    """Names of the cases of a collection, [] where there is none."""
    folder = CASES / collection
    return [f"{collection}/{p.name}" for p in sorted(folder.iterdir())] if folder.is_dir() else []


REFUSED, ACCEPTED = cases("invalid/submission"), cases("submission-accepted")
pytestmark = pytest.mark.skipif(not REFUSED + ACCEPTED, reason=f"no conformance cases in {CASES}")


def errors(case: str) -> list[str]:
    text = (CASES / case / "job.yaml").read_text(encoding="utf-8")
    return [f"{p.where}: {p.message}" for p in parse_job(text).errors]


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    assert bool(errors(case)) != (case in DIFFERENT)


@pytest.mark.parametrize("case", ACCEPTED)
def test_accepted(case: str) -> None:
    found = errors(case)
    assert bool(found) == (case in DIFFERENT), found


FAMILIES = [p for p in sorted(CASES.glob("*/*/job.yaml")) if (p.parent / "device.yaml").is_file()]


@pytest.mark.parametrize("job", FAMILIES, ids=lambda p: "/".join(p.parts[-3:-1]))
def test_jobs_of_the_families_are_read_without_a_fault(job: Path) -> None:
    assert parse_job(job.read_text(encoding="utf-8")).errors == []


@pytest.mark.parametrize("job", FAMILIES, ids=lambda p: "/".join(p.parts[-3:-1]))
def test_their_devices_too(job: Path) -> None:
    assert parse_device((job.parent / "device.yaml").read_text(encoding="utf-8")).errors == []
