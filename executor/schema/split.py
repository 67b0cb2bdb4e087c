# SPDX-License-Identifier: Apache-2.0
"""One submission for several devices becomes the jobs of its group: a pure function (spec: multinode §2).

It works on the document as it was written, so that each job reads like the submission and old forms are read
as today's where the job itself is parsed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from executor.errors import JobError
from executor.model.job import Role
from executor.model.problem import Path
from executor.schema.blocks import IGNORED
from executor.schema.job import ParsedJob
from executor.schema.multinode import NAME
from executor.schema.rewrite import origin

# What a role says of its jobs as wholes; all else stays with the protocol.
_TOP = ("device_type", "connection", "host_role", "context")
_OF_ROLE = (*_TOP, "count", "timeout", "request", "expect_role")


@dataclass(frozen=True)
class Part:
    """One job of the group. `places`: where what it has stands in the submission."""

    role: str
    sub_id: int
    data: dict[str, Any]
    places: dict[Path, Path] = field(default_factory=dict)

    def origin(self, path: Path) -> Path:
        """A place in this job as a place in the submission, to show problems with their line."""
        return origin(path, self.places)


def split(parsed: ParsedJob, target_group: str) -> list[Part]:
    """The jobs of a submission without errors: roles in order of the document, then by index.

    Raises JobError for a submission that must be refused as a whole.
    """
    job, document = parsed.job, parsed.document
    if job is None or document is None or parsed.errors:
        first = parsed.errors[0].message if parsed.errors else "there is no job"
        raise JobError(f"a submission with errors cannot be split: {first}")
    if job.multinode is None:
        raise JobError(f"the job has no protocols.{NAME}.roles")
    data, group = document.data, job.multinode
    given = data["protocols"][NAME]
    shared = {"target_group": target_group, "group_size": sum(role.count for role in group.roles.values())}
    parts: list[Part] = []
    for role in group.roles.values():
        own = given["roles"][role.name]
        actions, places = _actions(data["actions"], role.name)
        places |= {(key,): ("protocols", NAME, "roles", role.name, key) for key in _TOP}
        for _ in range(role.count):
            member = {**shared, "role": role.name, "sub_id": len(parts), **_member(role, own, given)}
            definition = {
                **{key: value for key, value in data.items() if key not in ("actions", "protocols")},
                **{key: own[key] for key in _TOP if own.get(key) is not None},
                "actions": actions,
                "protocols": {**data["protocols"], NAME: member},
            }
            parts.append(Part(role.name, len(parts), definition, places))
    return parts


def _member(role: Role, own: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """`timeout` limits the calls of a test; how long to wait for the start has a key of its own where both
    are given.
    """
    out = {key: value for key, value in own.items() if key not in _OF_ROLE and value is not None}
    if role.request is not None and role.expect_role is not None:
        out |= {"request": role.request, "expect_role": role.expect_role}
    elif own.get("expect_role") is not None:
        out["expect_role"] = own["expect_role"]
    if "timeout" in given:
        out["timeout"] = given["timeout"]
        if role.timeout is not None:
            out["start_timeout"] = {"seconds": role.timeout}
    elif role.timeout is not None:
        out["timeout"] = own.get("timeout", {"seconds": role.timeout})
    return out


def _actions(actions: list[Any], role: str) -> tuple[list[Any], dict[Path, Path]]:
    """The blocks of a role, repeat blocks with what of them is the role's."""
    kept: list[Any] = []
    places: dict[Path, Path] = {}
    for path, block in _blocks(actions, ("actions",), role):
        [(section, parameters)] = block.items()
        here: Path = ("actions", len(kept), section)
        if section == "repeat":
            inner, inside = _actions(parameters["actions"], role)
            for new, old in inside.items():
                places[(*here, *new)] = (*path, *old)
            kept.append({section: {**parameters, "actions": inner}})
        else:
            kept.append({section: {**parameters, "role": role}})
        places[here] = path
    return kept, places


def _blocks(actions: list[Any], path: Path, role: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    for number, item in enumerate(actions):
        [(section, parameters)] = item.items()
        here: Path = (*path, number, section)
        if section == "actions":
            yield from _blocks(parameters, here, role)
        elif section == "repeat":
            if any(_blocks(parameters["actions"], (), role)):
                yield here, item
        elif section not in IGNORED and role in _roles(parameters.get("role")):
            yield here, item


def _roles(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or ())
