# SPDX-License-Identifier: Apache-2.0
"""What blocks of a job must agree on: namespaces, names of definitions, time (spec: job-format §1, §8)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from executor.model.job import Block
from executor.model.problem import Path, Problem
from executor.model.timeouts import JobTimeouts, read_timeout
from executor.schema.words import nearest

RESERVED = ("common", "docker-test-shell")


def across_blocks(blocks: list[Block]) -> Iterator[Problem]:
    """Namespaces and definition names. Copies of a repeat block are looked at once."""
    once = [b for b in blocks if not b.iteration]
    yield from _namespaces(once)
    yield from _definition_names(once)


def _namespaces(blocks: list[Block]) -> Iterator[Problem]:
    without = [b for b in blocks if "namespace" not in b.parameters]
    named = any(b.parameters.get("namespace") not in (None, *RESERVED) for b in blocks)
    known = {b.namespace for b in blocks}
    for block in blocks:
        for key in ("namespace", "connection-namespace"):
            if block.parameters.get(key) in RESERVED:
                yield Problem(
                    f"the namespace {block.parameters[key]!r} is reserved",
                    path=(*block.path, key),
                    expected="another name",
                )
        used = block.parameters.get("connection-namespace")
        if used is not None and used not in known and used not in RESERVED:
            yield Problem(
                f"no block has the namespace {used!r}",
                path=(*block.path, "connection-namespace"),
                near=nearest(used, known - set(RESERVED)),
            )
    if named:
        for block in without:
            yield Problem(
                f"this {block.section} block has no namespace, others have one",
                path=block.path,
                expected="a namespace on every block, or on none",
            )


def _definition_names(blocks: list[Block]) -> Iterator[Problem]:
    """Names of definitions are suites: unique within what one job runs (spec: job-format §7)."""
    seen: dict[tuple[str, str], Path] = {}
    for block in blocks:
        definitions = block.parameters.get("definitions")
        if block.section != "test" or not isinstance(definitions, list):
            continue
        for number, item in enumerate(definitions):
            name = item.get("name") if isinstance(item, dict) else None
            if not isinstance(name, str):
                continue
            path: Path = (*block.path, "definitions", number, "name")
            for role in _roles(block.parameters.get("role")):
                if (role, name) in seen and seen[role, name] != path:
                    yield Problem(
                        f"two test definitions are called {name!r}",
                        path=path,
                        hint="each name is a suite of its own",
                    )
                    break
                seen[role, name] = path


def _roles(value: Any) -> list[str]:
    if isinstance(value, list):
        return [v for v in value if isinstance(v, str)]
    return [value] if isinstance(value, str) else [""]


def too_long(timeouts: JobTimeouts, blocks: list[Block], refuse: bool) -> Iterator[Problem]:
    """Limits beyond the job's own, each and in sum (spec: job-format §1 check 1)."""
    limit = timeouts.job
    if limit is None:
        return
    severity = "error" if refuse else "warning"
    expected = f"at most {limit} seconds, the timeout of the job"
    for name in ("action", "test", "connection"):
        seconds = getattr(timeouts, name)
        if seconds is not None and seconds > limit:
            yield Problem(_longer(seconds), path=("timeouts", name), expected=expected, severity=severity)
    for group in ("actions", "connections"):
        for name, seconds in getattr(timeouts, group).items():
            if seconds > limit:
                yield Problem(
                    _longer(seconds), path=("timeouts", group, name), expected=expected, severity=severity
                )
    total = 0
    for block in blocks:
        own = _seconds(block.parameters.get("timeout"))
        total += own
        if block.iteration:
            continue
        named = block.parameters.get("timeouts") or {}
        for path, seconds in [
            (("timeout",), own),
            *((("timeouts", name), _seconds(value)) for name, value in named.items()),
        ]:
            if seconds > limit:
                yield Problem(
                    _longer(seconds), path=(*block.path, *path), expected=expected, severity=severity
                )
    if total > limit:
        yield Problem(
            f"the timeouts of all blocks are {total} seconds, the job has {limit}",
            path=("timeouts", "job"),
            severity="warning",
            hint="blocks that use their time up make the job run into its own limit",
        )


def _longer(seconds: int) -> str:
    return f"{seconds} seconds are longer than the job may take"


def _seconds(value: object) -> int:
    seconds, fault = read_timeout(value)
    return 0 if fault else seconds
