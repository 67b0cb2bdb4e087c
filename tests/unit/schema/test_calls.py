# SPDX-License-Identifier: Apache-2.0
"""Protocol calls of blocks (spec: job-format §9, §12, multinode §7)."""

from __future__ import annotations

import pytest

from executor.model.problem import Problem
from executor.schema.job import parse_job

HEAD = """\
job_name: a
timeouts: {job: 1h}
device_type: q
protocols: {lava-multinode: {role: client, target_group: g}}
actions:
- boot:
    method: q
    protocols:
"""


def problems(calls: str, head: str = HEAD, *, strict: bool = True) -> list[Problem]:
    return parse_job(f"{head}      {calls}\n", strict=strict).problems


@pytest.mark.parametrize(
    "calls",
    [
        "lava-multinode: [{action: boot-q, request: lava-send, messageID: m, message: {a: b}, timeout: 3m}]",
        "lava-multinode: {request: lava-sync, messageID: m}",
        "lava-multinode: {api: lava-wait, id: ipv4, key: ipaddr}",
        "lava-multinode: {api: lava-start, roles: [client]}",
        "lava-multinode: {request: lava-wait-all, messageID: m, role: server}",
    ],
)
def test_forms(calls: str) -> None:
    assert problems(calls) == []


@pytest.mark.parametrize(
    ("calls", "message", "kind"),
    [
        ("lava-multinode: [{messageID: m}]", "request is missing", "Job"),
        ("lava-multinode: {request: lava-send}", "messageID is missing in lava-send", "Job"),
        ("lava-multinode: {request: aggregate, messageID: m}", "request cannot be 'aggregate'", "Test"),
        ("lava-multinode: {request: lava-send, messageID: m, message: {a-b: c}}", "'a-b' is no key", "Job"),
        ("lava-multinode: {request: lava-send, messageID: m, mesage: {}}", "unknown key 'mesage'", "Job"),
        ("lava-multinode: {request: lava-sync, messageID: m, timeout: soon}", "timeout cannot be", "Job"),
        ("lava-multinode: [lava-sync]", "item 1 of lava-multinode is the text 'lava-sync'", "Job"),
        ("lava-multinode: lava-sync", "lava-multinode is the text 'lava-sync'", "Job"),
        ("lava-multinodes: []", "unknown protocol 'lava-multinodes'", "Job"),
        ("lava-xnbd: {request: get_port}", "request cannot be", "Job"),
    ],
)
def test_refused(calls: str, message: str, kind: str) -> None:
    found = [p for p in problems(calls) if p.severity == "error"]
    assert [(message in p.message, p.error_type, p.line > 7) for p in found] == [(True, kind, True)]


def test_a_message_has_a_size() -> None:
    (problem,) = problems(
        f"lava-multinode: {{request: lava-send, messageID: m, message: {{a: {'x' * 65534}}}}}"
    )
    assert "at most 65534" in problem.expected


def test_calls_without_a_group_are_never_made() -> None:
    head = HEAD.replace("protocols: {lava-multinode: {role: client, target_group: g}}\n", "")
    (problem,) = problems("lava-multinode: {request: lava-sync, messageID: m}", head)
    assert problem.severity == "warning"
    assert "never made" in problem.message


def test_unknown_keys_only_warn_where_that_is_asked_for() -> None:
    calls = "lava-multinode: {request: lava-send, messageID: m, mesage: {}}"
    assert [p.severity for p in problems(calls, strict=False)] == ["warning"]
