# SPDX-License-Identifier: Apache-2.0
"""A submission for several devices, checked as its jobs will be (spec: multinode §1, §2)."""

from __future__ import annotations

from typing import Any

import pytest

from executor.errors import ConfigurationError, ExitCode, UsageError
from executor.model.job import Role
from executor.pipeline.group import GroupChecked, check_group, shared_device
from executor.testing import jobs

ROLES = {"alpha": {"device_type": "qemu", "count": 1}, "beta": {"device_type": "qemu", "count": 2}}


def text(*blocks: dict[str, Any], roles: dict[str, Any] | None = None) -> str:
    both = [{section: {"role": ["alpha", "beta"], **given}} for b in blocks for section, given in b.items()]
    written = jobs.job(*both, protocols={"lava-multinode": {"roles": roles or ROLES}})
    return written.replace("device_type: qemu\njob_name", "job_name")


def checked(written: str) -> GroupChecked:
    return check_group(written, lambda role: (jobs.device(), f"device of {role.name}"))


def test_a_plan_for_each_role() -> None:
    done = checked(text(jobs.deploy(), jobs.boot(), jobs.shell_test()))
    assert [p.message for p in done.errors] == []
    assert [(one.role.name, one.role.count, one.device) for one in done.roles] == [
        ("alpha", 1, "device of alpha"),
        ("beta", 2, "device of beta"),
    ]
    for one in done.roles:
        assert one.checked.planned is not None
        assert "multinode-test" in [action.name for action in one.checked.planned.walk()]
    assert done.exit_code == ExitCode.OK


def test_what_is_wrong_in_several_jobs_is_told_once_with_its_place() -> None:
    done = checked(text(jobs.deploy(), jobs.boot(promts=["# "])))
    (problem,) = done.errors
    assert (problem.message, problem.near) == ("unknown key 'promts'", "prompts")
    assert problem.path == ("actions", 1, "boot", "promts")
    assert problem.line > 0
    assert done.exit_code == ExitCode.JOB_ERROR


def test_a_context_belongs_to_its_role() -> None:
    roles = {**ROLES, "beta": {**ROLES["beta"], "context": {"archh": "arm64"}}}
    done = checked(text(jobs.deploy(), jobs.boot(), jobs.shell_test(), roles=roles))
    (problem,) = [p for p in done.problems if "archh" in p.message]
    assert problem.path == ("protocols", "lava-multinode", "roles", "beta", "context", "archh")
    assert problem.near == "arch"


def test_one_that_cannot_be_split_has_no_plans() -> None:
    done = checked(text(jobs.deploy(), roles={"alpha": {"count": 1}, "beta": ROLES["beta"]}))
    assert done.roles == []
    assert "the role 'alpha' has no device" in [p.message for p in done.errors]


def test_a_role_without_a_device_is_the_callers_to_refuse() -> None:
    def nothing(role: Role) -> tuple[dict[str, Any], str]:
        raise UsageError(f"no device for {role.name}")

    with pytest.raises(UsageError, match="no device for alpha"):
        check_group(text(jobs.deploy()), nothing)


def test_a_guest_sees_its_hosts_device_without_power_and_consoles() -> None:
    seen = []
    roles = {**ROLES, "beta": {"connection": "ssh", "count": 1, "host_role": "alpha", "expect_role": "alpha"}}

    def find(role: Role) -> tuple[dict[str, Any], str]:
        seen.append(role.name)
        return jobs.device(commands={"power_on": "pdu on", "connect": "telnet a"}), role.name

    done = check_group(text(jobs.deploy(), jobs.boot(), jobs.shell_test(), roles=roles), find)
    assert seen == ["alpha", "alpha"]
    guest = done.roles[1].checked.device_data
    assert "commands" not in guest
    assert guest["actions"]["boot"]["methods"] == jobs.device()["actions"]["boot"]["methods"]


def test_a_host_without_actions() -> None:
    with pytest.raises(ConfigurationError, match="no actions"):
        shared_device({"hostname": "a"})
