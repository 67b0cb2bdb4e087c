# SPDX-License-Identifier: Apache-2.0
"""Jobs for several devices: roles of a submission, or one job's place in its group (spec: multinode)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from executor.model.job import Block, Member, Multinode, Role
from executor.model.problem import Path, Problem
from executor.model.timeouts import read_timeout
from executor.schema.check import check
from executor.schema.document import MemberDocument, MultinodeDocument, Xnbd
from executor.schema.words import nearest, shown

NAME = "lava-multinode"
FORBIDDEN = ("device_type", "tags", "context", "environment")  # these belong to roles
MAX_GROUP = 500  # jobs
_PATH: Path = ("protocols", NAME)
_PROTOCOLS = (NAME, "lava-xnbd")


@dataclass
class Multinodes:
    """What `protocols` says. `named`: lava-multinode stands there, right or wrong."""

    submission: Multinode | None = None
    member: Member | None = None
    problems: list[Problem] = field(default_factory=list)
    named: bool = False
    environment: dict[str, Any] = field(default_factory=dict)  # of the member's role

    def check(self, data: dict[Any, Any], blocks: list[Block]) -> Iterator[Problem]:
        """How the rest of the job fits a submission for several devices."""
        if self.submission is None:
            return
        for key in FORBIDDEN:
            if key in data:
                yield Problem(
                    f"{key} at the top of a multinode job", path=(key,), hint="give it to each role"
                )
        roles = self.submission.roles
        _declared_starts(roles, blocks)
        yield from _roles(self.submission)
        busy: set[str] = set()
        for block in blocks:
            given = block.parameters.get("role")
            names = [given] if isinstance(given, str) else given
            if not names:
                yield Problem("role is missing", path=block.path, expected="role: one of " + ", ".join(roles))
                continue
            busy.update(names)
            for name in names:
                if name not in roles:
                    yield Problem(
                        f"no role is called {name!r}", path=(*block.path, "role"), near=nearest(name, roles)
                    )
        if blocks:
            for name in roles:
                if name not in busy:
                    yield Problem(f"the role {name!r} has no action", path=(*_PATH, "roles", name))


def read_multinode(protocols: dict[str, Any], *, strict: bool = True) -> Multinodes:
    """The protocols of a job, typed and checked."""
    out = Multinodes()
    for name, value in protocols.items():
        path: Path = ("protocols", name)
        if name == "lava-xnbd":
            out.problems += check(Xnbd, value, path, strict=strict)
        elif name == NAME:
            out.named = True
            _read(out, value, strict)
        else:
            severity = "error" if strict else "warning"
            near = nearest(name, _PROTOCOLS)
            out.problems.append(
                Problem(f"unknown protocol {name!r}", path=path, near=near, severity=severity)
            )
    return out


def _read(out: Multinodes, value: Any, strict: bool) -> None:
    if not isinstance(value, dict):
        out.problems.append(Problem(f"{NAME} is {shown(value)}", path=_PATH, expected="a map with roles"))
        return
    if "target_group" in value or isinstance(value.get("role"), str):
        problems = check(MemberDocument, value, _PATH, strict=strict)
        out.problems += problems
        if not problems:
            fields = {k: v for k, v in value.items() if k in Member.__struct_fields__}
            out.member = Member(
                **fields | {key: _seconds(value, key) for key in ("timeout", "start_timeout")}
            )
            out.environment = dict(value.get("environment") or {})
        return
    problems = check(MultinodeDocument, value, _PATH, strict=strict)
    out.problems += problems
    if any(p.severity == "error" for p in problems):
        return
    roles = {}
    for name, given in value["roles"].items():
        fields = {k: v for k, v in given.items() if k in Role.__struct_fields__}
        roles[name] = Role(
            **fields | {"name": name, "timeout": _seconds(given), "count": given.get("count", 1)}
        )
    out.submission = Multinode(roles=roles, timeout=_seconds(value))


def _seconds(data: dict[str, Any], key: str = "timeout") -> int | None:
    return read_timeout(data[key])[0] if key in data else None


def _declared_starts(roles: dict[str, Role], blocks: list[Block]) -> None:
    """[S] A block may say for its roles that they wait for a start signal (spec: multinode §4)."""
    for block in blocks:
        for call in calls_of(block, NAME):
            if call.get("request") != "lava-start" or not isinstance(call.get("expect_role"), str):
                continue
            given = block.parameters.get("role")
            for name in [given] if isinstance(given, str) else given or ():
                if name in roles and roles[name].request is None:
                    own = roles[name]
                    roles[name] = msgspec.structs.replace(
                        own,
                        request="lava-start",
                        expect_role=own.expect_role or call["expect_role"],
                        timeout=own.timeout if own.timeout is not None else _seconds(call),
                    )


def calls_of(block: Block, protocol: str) -> list[dict[str, Any]]:
    """The calls of a protocol that a block ties to its actions."""
    protocols = block.parameters.get("protocols")
    calls = protocols.get(protocol) if isinstance(protocols, dict) else None
    return [call for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []


def _roles(multinode: Multinode) -> Iterator[Problem]:
    roles = multinode.roles
    size = sum(role.count for role in roles.values())
    if size > MAX_GROUP:
        yield Problem(f"a group of {size} jobs", path=(*_PATH, "roles"), expected=f"at most {MAX_GROUP}")
    for role in roles.values():
        path: Path = (*_PATH, "roles", role.name)
        yield from _kind(role, path)
        yield from _partners(role, roles, path)
    delayed = [r for r in roles.values() if r.request == "lava-start" and r.expect_role]
    if delayed and len(delayed) == len(roles):
        yield Problem("every role waits for the start signal of another", path=(*_PATH, "roles"))
    elif cycle := _cycle({r.name: r.expect_role or "" for r in delayed}):
        yield Problem(f"roles wait for each other: {' → '.join(cycle)}", path=(*_PATH, "roles", cycle[0]))


def _kind(role: Role, path: Path) -> Iterator[Problem]:
    if role.device_type and role.connection:
        yield Problem(
            f"the role {role.name!r} has device_type and connection", path=path, expected="one of them"
        )
    if not role.device_type and not role.connection:
        yield Problem(
            f"the role {role.name!r} has no device", path=path, expected="device_type or connection"
        )
    if role.connection and not role.host_role:
        yield Problem("connection without host_role", path=(*path, "connection"), expected="host_role")
    if role.count < 0:
        yield Problem(
            f"count cannot be {role.count}", path=(*path, "count"), expected="a whole number from 0"
        )
    for key in ("device", "worker"):
        if getattr(role, key) and (role.connection or not role.device_type):
            yield Problem(f"{key} without device_type", path=(*path, key))
    if role.device and role.count > 1:
        yield Problem(
            f"{role.count} jobs on the one device {role.device!r}", path=(*path, "count"), expected="1"
        )


def _partners(role: Role, roles: dict[str, Role], path: Path) -> Iterator[Problem]:
    if role.host_role and not role.expect_role:
        yield Problem("host_role without expect_role", path=(*path, "host_role"))
    if role.expect_role and not role.host_role and not role.device_type:
        yield Problem("expect_role without host_role", path=(*path, "expect_role"))
    for key in ("host_role", "expect_role"):
        name = getattr(role, key)
        if name is not None and name not in roles:
            yield Problem(f"no role is called {name!r}", path=(*path, key), near=nearest(name, roles))
    if role.expect_role == role.name:
        yield Problem("a role cannot wait for itself", path=(*path, "expect_role"))
    host = roles.get(role.host_role or "")
    if host is not None and host.count != 1:
        yield Problem(
            f"the host role {host.name!r} has count {host.count}", path=(*path, "host_role"), expected="1"
        )


def _cycle(waits: dict[str, str]) -> list[str]:
    """Names of a circle in who waits for whom, [] when there is none."""
    for start in waits:
        seen = [start]
        while (following := waits.get(seen[-1])) is not None:
            if following in seen:
                return [*seen[seen.index(following) :], following]
            seen.append(following)
    return []
