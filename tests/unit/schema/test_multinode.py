# SPDX-License-Identifier: Apache-2.0
"""Jobs for several devices, as far as parsing goes (spec: multinode §1, §2)."""

from __future__ import annotations

import pytest

from executor.schema.job import ParsedJob, parse_job

HEAD = "job_name: link\ntimeouts: {job: 1h}\n"
SERVER = "server: {device_type: board, count: 1}"
CLIENT = "client: {device_type: qemu, count: 2, context: {arch: amd64}, tags: [net]}"
ACTIONS = "actions:\n- deploy: {to: tmpfs, role: [server]}\n- boot: {method: q, role: client}\n"


def parse(*roles: str, actions: str = ACTIONS, more: str = "") -> ParsedJob:
    return parse_job(
        HEAD
        + "protocols:\n  lava-multinode:\n    timeout: 5m\n    roles:\n"
        + "".join(f"      {role}\n" for role in roles)
        + more
        + actions
    )


def test_a_submission() -> None:
    parsed = parse(SERVER, CLIENT)
    assert not parsed.problems
    assert parsed.job is not None
    group = parsed.job.multinode
    assert group is not None
    assert group.timeout == 300
    client = group.roles["client"]
    assert (client.name, client.count, client.device_type, client.tags) == ("client", 2, "qemu", ["net"])
    assert parsed.job.member is None


def test_a_delayed_start_and_a_connection() -> None:
    parsed = parse(
        SERVER,
        "client: {device_type: q, count: 1, request: lava-start, expect_role: server, timeout: 15m}",
        "guest: {connection: ssh, count: 2, host_role: server, expect_role: server}",
        actions=ACTIONS + "- test: {definitions: [], role: [guest, server]}\n",
    )
    assert not parsed.problems
    assert parsed.job is not None
    assert parsed.job.multinode is not None
    assert parsed.job.multinode.roles["client"].timeout == 900


@pytest.mark.parametrize(
    ("roles", "message"),
    [
        (["server: {count: 1}", CLIENT], "the role 'server' has no device"),
        (
            ["server: {device_type: a, connection: ssh, host_role: client, expect_role: client}", CLIENT],
            "and connection",
        ),
        ([SERVER, "client: {connection: ssh}"], "connection without host_role"),
        ([SERVER, "client: {connection: ssh, host_role: server}"], "host_role without expect_role"),
        ([SERVER, "client: {connection: ssh, expect_role: server}"], "connection without host_role"),
        ([SERVER, "client: {device_type: a, expect_role: sever}"], "no role is called 'sever'"),
        ([SERVER, "client: {device_type: a, expect_role: client}"], "cannot wait for itself"),
        (
            [SERVER.replace("1", "2"), "client: {connection: ssh, host_role: server, expect_role: server}"],
            "the host role 'server' has count 2",
        ),
        (
            [
                "server: {device_type: a, request: lava-start, expect_role: client}",
                "client: {device_type: a, request: lava-start, expect_role: server}",
            ],
            "every role waits",
        ),
        ([SERVER, "client: {device_type: a, device: d, count: 2}"], "2 jobs on the one device 'd'"),
        (
            [SERVER, "client: {connection: ssh, worker: w, host_role: server, expect_role: server}"],
            "worker without",
        ),
        ([SERVER, "client: {device_type: a, count: -1}"], "count cannot be -1"),
        ([SERVER, "client: {device_type: a, uont: 1}"], "unknown key 'uont'"),
        ([SERVER, "client: {device_type: a, request: lava-stop}"], "request cannot be"),
        ([SERVER, CLIENT, "idle: {device_type: a}"], "the role 'idle' has no action"),
        ([SERVER], "no role is called 'client'"),
    ],
)
def test_roles_that_are_wrong(roles: list[str], message: str) -> None:
    errors = parse(*roles).errors
    assert any(message in p.message for p in errors), errors
    assert all(p.line > 0 and p.error_type == "Job" for p in errors)


def test_roles_that_wait_in_a_circle() -> None:
    parsed = parse(
        SERVER,
        "client: {device_type: a, request: lava-start, expect_role: third}",
        "third: {device_type: a, request: lava-start, expect_role: client}",
        actions=ACTIONS + "- test: {definitions: [], role: third}\n",
    )
    [problem] = parsed.errors
    assert "client → third → client" in problem.message


def test_every_block_has_a_role() -> None:
    [problem] = parse(SERVER, CLIENT, actions=ACTIONS + "- test: {definitions: []}\n").errors
    assert (problem.message, problem.line) == ("role is missing", 12)


@pytest.mark.parametrize("key", ["device_type: x", "tags: [a]", "context: {a: b}", "environment: {A: b}"])
def test_what_belongs_to_roles(key: str) -> None:
    [problem] = parse(SERVER, CLIENT, more=key + "\n").errors
    assert "at the top of a multinode job" in problem.message


def test_one_job_of_a_group() -> None:
    parsed = parse_job(
        HEAD + "target: board-1\nprotocols:\n  lava-multinode:\n    target_group: abc\n    role: client\n"
        "    roles: {board-1: client, board-2: server}\n    group_size: 2\n    sub_id: 1\n"
        "    request: lava-start\n    expect_role: server\n    timeout: {minutes: 10}\n    tags: [x]\n"
        "actions:\n- boot: {method: q, role: client}\n"
    )
    assert not parsed.problems
    assert parsed.job is not None
    member = parsed.job.member
    assert member is not None
    assert (member.role, member.group_size, member.sub_id, member.timeout) == ("client", 2, 1, 600)
    assert member.roles == {"board-1": "client", "board-2": "server"}
    assert parsed.job.multinode is None


@pytest.mark.parametrize(
    "value", ["5", "[]", "{}", "{roles: []}", "{roles: {}}", "{roles: {a: 5}}", "{role: a}"]
)
def test_a_protocol_that_is_wrong(value: str) -> None:
    parsed = parse_job(HEAD + f"protocols: {{lava-multinode: {value}}}\nactions: []\n")
    assert parsed.errors
    assert parsed.job is not None
    assert parsed.job.multinode is None


def test_a_protocol_that_nobody_knows() -> None:
    [problem] = parse_job(HEAD + "device_type: x\nactions: []\nprotocols: {lava-multinod: {}}\n").errors
    assert problem.near == "lava-multinode"
