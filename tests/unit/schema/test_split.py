# SPDX-License-Identifier: Apache-2.0
"""A submission becomes the jobs of its group (spec: multinode §2, §4)."""

from __future__ import annotations

import pytest
import yaml

from executor.errors import JobError
from executor.schema.job import ParsedJob, parse_job
from executor.schema.split import Part, split

SUBMISSION = """\
job_name: link
timeouts: {job: 1h}
secrets: {TOKEN: x}
protocols:
  lava-xnbd: {port: auto}
  lava-multinode:
    timeout: 5m
    roles:
      server: {device_type: board, count: 1, essential: true, environment: {MODE: srv}}
      client: {device_type: qemu, count: 2, context: {arch: amd64}, tags: [net], timeout: 10m}
      guest: {connection: ssh, count: 1, host_role: server, expect_role: server}
actions:
- deploy: {to: tmpfs, role: [server, client]}
- repeat:
    count: 2
    actions:
    - boot: {method: q, role: client}
    - test: {definitions: [], role: [server]}
- repeat: {count: 2, actions: [{boot: {method: q, role: client}}]}
- submit: {}
- test:
    role: [client, guest, server]
    definitions: []
"""


def parse(text: str = SUBMISSION) -> ParsedJob:
    parsed = parse_job(text)
    assert [p.message for p in parsed.errors] == []
    return parsed


def parts(text: str = SUBMISSION) -> list[Part]:
    return split(parse(text), "g1")


def test_one_job_for_each_device_in_order() -> None:
    assert [(p.role, p.sub_id) for p in parts()] == [
        ("server", 0),
        ("client", 1),
        ("client", 2),
        ("guest", 3),
    ]


def test_what_stands_on_top_and_what_in_the_protocol() -> None:
    server, client, _, guest = (p.data for p in parts())
    assert (server["device_type"], server["secrets"], "context" in server) == ("board", {"TOKEN": "x"}, False)
    assert (client["device_type"], client["context"]) == ("qemu", {"arch": "amd64"})
    assert (guest["connection"], guest["host_role"], "device_type" in guest) == ("ssh", "server", False)
    assert server["protocols"] == {
        "lava-xnbd": {"port": "auto"},
        "lava-multinode": {
            "target_group": "g1",
            "group_size": 4,
            "role": "server",
            "sub_id": 0,
            "essential": True,
            "environment": {"MODE": "srv"},
            "timeout": "5m",
        },
    }
    assert guest["protocols"]["lava-multinode"]["expect_role"] == "server"


def test_the_limit_of_calls_and_that_of_the_start_are_two() -> None:
    client = parts()[1].data["protocols"]["lava-multinode"]
    assert (client["timeout"], client["start_timeout"]) == ("5m", {"seconds": 600})
    alone = parts(SUBMISSION.replace("    timeout: 5m\n", ""))[1].data["protocols"]["lava-multinode"]
    assert alone["timeout"] == "10m"
    assert "start_timeout" not in alone


def test_each_job_has_the_blocks_of_its_role() -> None:
    server, client, _, guest = (p.data["actions"] for p in parts())
    assert [next(iter(a)) for a in server] == ["deploy", "repeat", "test"]
    assert server[1]["repeat"]["actions"] == [{"test": {"definitions": [], "role": "server"}}]
    assert [next(iter(a)) for a in client] == ["deploy", "repeat", "repeat", "test"]
    assert guest == [{"test": {"definitions": [], "role": "guest"}}]


def test_places_lead_back_to_the_submission() -> None:
    server = parts()[0]
    assert server.origin(("actions", 2, "test", "definitions")) == ("actions", 4, "test", "definitions")
    inside = ("actions", 1, "repeat", "actions", 0, "test", "role")
    assert server.origin(inside) == ("actions", 1, "repeat", "actions", 1, "test", "role")


def test_each_job_is_one_of_a_group() -> None:
    for part in parts():
        again = parse_job(yaml.safe_dump(part.data), scheduled=True)
        assert [p.message for p in again.errors] == []
        assert again.job is not None
        assert again.job.member is not None
        assert (again.job.member.role, again.job.member.group_size) == (part.role, 4)
    assert parse_job(yaml.safe_dump(parts()[0].data)).job.environment == {"MODE": "srv"}  # type: ignore[union-attr]


def test_a_block_may_declare_that_its_role_is_started_by_another() -> None:
    call = "{lava-multinode: {request: lava-start, expect_role: server, timeout: 4m}}"
    text = SUBMISSION.replace(
        "    role: [client, guest, server]", f"    role: [guest]\n    protocols: {call}"
    )
    guest = parts(text.replace("to: tmpfs, role: [server, client]", "to: tmpfs, role: [server]"))[3]
    member = guest.data["protocols"]["lava-multinode"]
    assert (member["request"], member["expect_role"]) == ("lava-start", "server")
    assert member["start_timeout"] == {"seconds": 240}


def test_nothing_is_made_of_a_submission_that_is_refused() -> None:
    with pytest.raises(JobError, match="cannot be split: no role is called 'guets'"):
        split(parse_job(SUBMISSION.replace("client, guest, server", "client, guets, guest, server")), "g")
    with pytest.raises(JobError, match="no protocols.lava-multinode.roles"):
        split(parse_job("job_name: a\ndevice_type: b\nactions: []\n"), "g")


def test_a_group_has_a_size_that_can_be_run() -> None:
    (problem,) = parse_job(SUBMISSION.replace("count: 2, context", "count: 1000000000, context")).errors
    assert problem.message == "a group of 1000000002 jobs"
    assert problem.line == 8
