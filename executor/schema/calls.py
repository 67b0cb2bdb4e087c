# SPDX-License-Identifier: Apache-2.0
"""Protocol calls that a block ties to its actions (spec: job-format §9, multinode §7)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from executor.model.parameters import Text, TimeoutValue
from executor.model.problem import Path, Problem
from executor.schema.check import check
from executor.schema.words import nearest, shown

REQUESTS = ("lava-send", "lava-sync", "lava-wait", "lava-wait-all", "lava-start")
MAX_MESSAGE = 65534  # bytes as JSON
_KEY = re.compile(r"\w+\Z")


class Call(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A call of `lava-multinode`."""

    request: Annotated[Text, Meta(description="lava-send, lava-sync, lava-wait, lava-wait-all or lava-start")]
    action: Annotated[Text | None, Meta(description="made when this action starts; else by the block")] = None
    message_id: Annotated[Text | None, Meta(description="what the other members call it too")] = (
        msgspec.field(default=None, name="messageID")
    )
    message: Annotated[
        dict[str, Any], Meta(description="what is sent, or with $ what is taken from the answer")
    ] = {}
    role: Annotated[Text | None, Meta(description="lava-wait-all: only the members of this role")] = None
    roles: Annotated[list[Text], Meta(description="lava-start: only these roles are started")] = []
    expect_role: Annotated[Text | None, Meta(description="lava-start: wait for this role first")] = None
    timeout: TimeoutValue | None = None

    @staticmethod
    def rules(data: dict[str, Any], path: Path) -> Iterator[Problem]:
        request = data["request"]
        if request not in REQUESTS:
            yield Problem(
                f"request cannot be {request!r}",
                "Test",
                (*path, "request"),
                "one of " + ", ".join(REQUESTS),
                nearest(request, REQUESTS),
            )
        elif request != "lava-start" and "messageID" not in data:
            yield Problem(f"messageID is missing in {request}", path=path, expected="messageID: a name")
        for key in data.get("message", {}):
            if not _KEY.match(key):
                yield Problem(
                    f"{key!r} is no key of a message",
                    path=(*path, "message", key),
                    expected="letters, digits, _",
                )
        size = len(json.dumps(data.get("message", {}), default=str))
        if size > MAX_MESSAGE:
            yield Problem(
                f"the message has {size} bytes", path=(*path, "message"), expected=f"at most {MAX_MESSAGE}"
            )


class PortCall(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A call of `lava-xnbd`."""

    request: Literal["set_port"]
    action: Annotated[Text | None, Meta(description="such as nbd-deploy")] = None
    timeout: TimeoutValue | None = None


PROTOCOLS: dict[str, type[msgspec.Struct]] = {"lava-multinode": Call, "lava-xnbd": PortCall}


def check_calls(protocols: object, path: Path, job: dict[str, Any], *, strict: bool) -> Iterator[Problem]:
    """What is wrong with the `protocols` of a block, given those of the job."""
    if not isinstance(protocols, dict):
        return  # told by the check of the block
    for name, calls in protocols.items():
        here: Path = (*path, name)
        if name not in PROTOCOLS:
            severity = "error" if strict else "warning"
            near = nearest(name, PROTOCOLS)
            yield Problem(f"unknown protocol {name!r}", path=here, near=near, severity=severity)
            continue
        if not isinstance(calls, list):
            yield Problem(f"{name} is {shown(calls)}", path=here, expected="a list of calls")
            continue
        if name not in job:
            yield Problem(
                f"the job itself has no protocols.{name}, so these calls are never made",
                path=here,
                severity="warning",
            )
        for number, call in enumerate(calls):
            yield from check(PROTOCOLS[name], call, (*here, number), strict=strict)
