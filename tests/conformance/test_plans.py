# SPDX-License-Identifier: Apache-2.0
"""Plans of the field: the same verdict, class of error, names, limits and attempts.

The data lies outside of the project (`../shared/conformance/cases`, or where CONFORMANCE_CASES says) and is
not part of it; without it these tests are skipped. A case that asks for a method which does not exist is
skipped as well, with its name. Deliberate differences stand in differences/plans.txt, which `check
--differences` reads too.
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
from executor.pipeline.method import SECTIONS, builtin_registry

ROOT = Path(__file__).resolve().parents[2]
CASES = Path(os.environ.get("CONFORMANCE_CASES") or ROOT.parent / "shared" / "conformance" / "cases")

# Nodes that only group, and may be there or not.
GROUPING = {"download-retry", "lava-test-retry", "boot-image-retry", "lava-create-overlay"}
ALIASES = {"monitor": "qemu", "kvm": "qemu"}
ORIGINS = {"git", "inline"}


def differences() -> dict[str, str]:
    """Cases in which we decide otherwise, each with the reason."""
    found = {}
    text = (Path(__file__).parent / "differences" / "plans.txt").read_text(encoding="utf-8")
    for line in text.splitlines():
        case, _, reason = line.partition("#")
        if case.strip():
            found[case.strip()] = reason.strip()
    return found


DIFFERENT = differences()


def cases() -> list[Path]:
    """Folders with a job and a device."""
    if not CASES.is_dir():
        return []
    return sorted(p.parent for p in CASES.rglob("device.yaml") if (p.parent / "job.yaml").is_file())


ALL = cases()
pytestmark = pytest.mark.skipif(not ALL, reason=f"no conformance cases in {CASES}")


def label(case: Path) -> str:
    """The path of a case, as the list of differences has it."""
    return case.relative_to(CASES).as_posix()


def load(path: Path) -> Any:
    return yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)  # noqa: S506  # a safe loader


def missing(job: Any) -> set[str]:
    """Methods that the job asks for and that do not exist."""
    known = {section: {m.name for m in builtin_registry().of(section)} for section in SECTIONS}
    found: set[str] = set()
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


PLANNED = [c for c in ALL if (c / "expected.yaml").is_file() and not label(c).startswith("invalid/")]
REFUSED = [case for case in ALL if case not in PLANNED]


def compare(found: Checked, expected: Any) -> Iterator[str]:
    """In what a plan differs from the expected one."""
    yield from (f"refused: {p.where}: {p.message}" for p in found.errors)
    if found.errors or found.planned is None:
        return
    want, have = dict(flat(expected["pipeline"])), dict(flat(as_data(found.planned)))
    wanted, had = ([n["name"] for n in t.values() if n["name"] not in GROUPING] for t in (want, have))
    if wanted != had:
        yield f"names {had}, not {wanted}"
    for path in want.keys() & have.keys():
        mine, theirs = have[path], want[path]
        if mine["timeout"] != seconds(theirs["timeout"]):
            yield f"{path}: timeout {mine['timeout']}, not {seconds(theirs['timeout'])}"
        if mine["max_retries"] != theirs["max_retries"]:
            yield f"{path}: attempts {mine['max_retries']}, not {theirs['max_retries']}"


def judge(case: Path, found: list[str]) -> None:
    """A listed case must differ, any other must not."""
    if label(case) in DIFFERENT:
        assert found, "it does not differ any more: take it off the list"
    else:
        assert found == []


@pytest.mark.parametrize("case", PLANNED, ids=label)
def test_planned_with_the_same_names_limits_and_attempts(case: Path) -> None:
    judge(case, list(compare(checked(case), load(case / "expected.yaml"))))


@pytest.mark.parametrize("case", REFUSED, ids=label)
def test_refused_with_the_same_class_of_error(case: Path) -> None:
    meta = load(case / "meta.yaml")
    kind = str(meta["expect"].get("error_class") or "").removesuffix("Error").replace("LAVABug", "Bug")
    found = checked(case)
    good = kind in {p.error_type for p in found.errors}
    judge(case, [] if good else [f"not {kind}: {[p.message for p in found.problems]}"])


def test_each_difference_has_its_reason() -> None:
    assert all(DIFFERENT.values())


def test_differences_are_few_and_name_cases_that_exist() -> None:
    known = {"/".join(p.parts[-2:]) for p in CASES.glob("*/*")}
    known |= {"/".join(p.parts[-3:]) for p in CASES.glob("invalid/*/*")}
    if DIFFERENT.keys() & known:  # none of them: these are other cases
        assert DIFFERENT.keys() <= known
        assert len(DIFFERENT) <= len(ALL) / 20
