# SPDX-License-Identifier: Apache-2.0
"""Plans of the field: the same verdict, class of error, names, limits and attempts.

The data lies outside of the project (`../shared/conformance/cases`, or where CONFORMANCE_CASES says) and is
not part of it; without it these tests are skipped. A case that asks for a method which does not exist is
skipped as well, with its name.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from executor.pipeline.check import Checked, check_job
from executor.pipeline.describe import as_data
from executor.pipeline.method import builtin_registry

ROOT = Path(__file__).resolve().parents[2]
CASES = Path(os.environ.get("CONFORMANCE_CASES") or ROOT.parent / "shared" / "conformance" / "cases")

# Nodes that only group, and may be there or not.
GROUPING = {"download-retry", "lava-test-retry", "boot-image-retry", "lava-create-overlay"}
ALIASES = {"monitor": "qemu", "kvm": "qemu"}
ORIGINS = {"git", "inline"}

# Where we decide otherwise, and why: the verdict of whole cases …
DIFFERENT: dict[str, str] = {}
# … and names of actions, by case.
NAMES: dict[str, str] = {}


def cases() -> list[Path]:
    """Folders with a job and a device."""
    if not CASES.is_dir():
        return []
    return sorted(p.parent for p in CASES.glob("*/*/device.yaml") if (p.parent / "job.yaml").is_file())


ALL = cases()
pytestmark = pytest.mark.skipif(not ALL, reason=f"no conformance cases in {CASES}")


def label(case: Path) -> str:
    return "/".join(case.parts[-2:])


def load(path: Path) -> Any:
    return yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)  # noqa: S506  # a safe loader


def missing(job: Any) -> set[str]:
    """Methods that the job asks for and that do not exist."""
    known = {
        section: {m.name for m in builtin_registry().of(section)} for section in ("deploy", "boot", "test")
    }
    found = {"a group of jobs"} if "lava-multinode" in (job.get("protocols") or {}) else set()
    for block in job.get("actions") or []:
        for section, given in block.items() if isinstance(block, dict) else ():
            found.update(_missing(section, given or {}, known))
    return found


def _missing(section: str, given: dict[str, Any], known: dict[str, set[str]]) -> Iterator[str]:
    if section == "deploy" and given.get("to") not in known[section]:
        yield f"to: {given.get('to')}"
    elif (
        section == "boot" and ALIASES.get(str(given.get("method")), given.get("method")) not in known[section]
    ):
        yield f"method: {given.get('method')}"
    elif section == "test":
        yield from sorted({"interactive", "monitors", "services", "docker"} & set(given) - known[section])
        yield from (
            f"from: {d.get('from')}" for d in given.get("definitions") or () if d.get("from") not in ORIGINS
        )
    elif section not in known:
        yield section


def checked(case: Path) -> Checked:
    job = (case / "job.yaml").read_text(encoding="utf-8")
    if found := missing(yaml.load(job, yaml.CSafeLoader)):  # noqa: S506
        pytest.skip(f"not there yet: {', '.join(sorted(found))}")
    return check_job(job, (case / "device.yaml").read_text(encoding="utf-8"))


def flat(tree: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Every node with its path; nodes of the same name below one parent are numbered."""
    seen: Counter[str] = Counter()
    for node in tree or []:
        seen[node["name"]] += 1
        here = (*path, f"{node['name']}#{seen[node['name']]}")
        yield here, node
        yield from flat(node.get("pipeline"), here)


def seconds(value: Any) -> Any:
    return value.get("seconds") if isinstance(value, dict) else value


PLANNED = [case for case in ALL if (case / "expected.yaml").is_file()]
REFUSED = [case for case in ALL if case not in PLANNED]


@pytest.mark.parametrize("case", PLANNED, ids=label)
def test_planned_with_the_same_names_limits_and_attempts(case: Path) -> None:
    found = checked(case)
    if label(case) in DIFFERENT:
        assert found.errors, "it is planned after all: take it off the list"
        return
    assert [f"{p.where}: {p.message}" for p in found.errors] == []
    assert found.planned is not None
    want, have = dict(flat(load(case / "expected.yaml")["pipeline"])), dict(flat(as_data(found.planned)))
    if label(case) not in NAMES:
        assert [n["name"] for n in have.values() if n["name"] not in GROUPING] == [
            n["name"] for n in want.values() if n["name"] not in GROUPING
        ]
    for path in want.keys() & have.keys():
        mine, theirs = have[path], want[path]
        assert (path, mine["timeout"]) == (path, seconds(theirs["timeout"]))
        assert (path, mine["max_retries"]) == (path, theirs["max_retries"])


@pytest.mark.parametrize("case", REFUSED, ids=label)
def test_refused_with_the_same_class_of_error(case: Path) -> None:
    meta = load(case / "meta.yaml")
    kind = str(meta.get("error_class") or "").removesuffix("Error").replace("LAVABug", "Bug")
    found = checked(case)
    if label(case) in DIFFERENT:
        return
    assert kind in {p.error_type for p in found.errors}, [p.message for p in found.problems]


def test_differences_name_cases_that_exist() -> None:
    assert {*DIFFERENT, *NAMES} <= {label(case) for case in ALL}
