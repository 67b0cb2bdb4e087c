# SPDX-License-Identifier: Apache-2.0
"""The test shell in a job of a group (spec: multinode, action-pipeline §2)."""

from __future__ import annotations

from typing import Any

from executor.pipeline.check import Checked, check_job
from executor.pipeline.world import LocalWorld
from executor.testing import jobs

MEMBER: dict[str, Any] = {"lava-multinode": {"role": "client", "target_group": "g", "group_size": 2}}


def checked(test: dict[str, Any] | None = None, **keys: Any) -> Checked:
    blocks = (jobs.deploy(), jobs.boot(), jobs.shell_test(**(test or {})))
    return check_job(jobs.job(*blocks, **keys), jobs.device())


def names(found: Checked) -> list[str]:
    assert [p.message for p in found.errors] == []
    assert found.planned is not None
    return [a.name for a in found.planned.walk() if a.section == "test"]


def test_a_member_has_one_action_that_is_never_tried_again() -> None:
    found = checked({"failure_retry": 3, "timeout": {"minutes": 3}}, protocols=MEMBER)
    assert names(found) == ["multinode-test"]
    assert found.planned is not None
    (action,) = [a for a in found.planned.walk() if a.section == "test"]
    assert (action.limit, action.max_attempts) == (180, 1)


def test_other_jobs_have_the_usual_one() -> None:
    assert names(checked()) == ["lava-test-retry", "lava-test-shell"]


def test_without_anybody_who_carries_messages_it_does_not_start() -> None:
    job = jobs.job(jobs.deploy(), jobs.boot(), jobs.shell_test(), protocols=MEMBER)
    messages = [p.message for p in check_job(job, jobs.device(), world=LocalWorld()).errors]
    assert any("cannot run by itself" in message for message in messages)


def test_names_that_no_action_has_are_told() -> None:
    call = {"action": "exceute-qemu", "request": "lava-sync", "messageID": "m"}
    boot = jobs.boot(protocols={"lava-multinode": [call]}, timeouts={"logn-action": {"minutes": 1}})
    found = check_job(
        jobs.job(
            jobs.deploy(), boot, jobs.shell_test(), protocols=MEMBER, timeouts={"actions": {"all": "1m"}}
        ),
        jobs.device(),
    )
    assert found.errors == []
    told = {p.message.split(",")[0]: p.near for p in found.warnings if "has that name" in p.message}
    # Limits at the top are for the jobs of all roles, so those are not told.
    assert told == {"timeout for 'logn-action'": "login-action", "a call in 'exceute-qemu'": "execute-qemu"}
