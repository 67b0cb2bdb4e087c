# SPDX-License-Identifier: Apache-2.0
"""The precedence of limits, rule by rule (spec: job-format §3)."""

from __future__ import annotations

from typing import Any

import pytest

from executor.model.device import Device
from executor.model.job import Block, Job
from executor.model.timeouts import DeviceTimeouts, JobTimeouts
from executor.pipeline.action import Action, RetryAction
from executor.pipeline.limits import action_limit, attempts, connection_limit
from executor.testing import jobs
from executor.testing.pipeline import planned


class Leaf(Action):
    name = "bootloader-commands"


class Long(Action):
    name = "dd-image"
    default_timeout = 600


class Retry(RetryAction):
    name = "retry"


def limit(
    action: Action,
    *,
    timeouts: JobTimeouts | None = None,
    device: dict[str, int] | None = None,
    block: dict[str, Any] | None = None,
    parent: Action | None = None,
    section: str = "boot",
) -> int:
    action.section = section
    job = Job(job_name="t", timeouts=timeouts or JobTimeouts())
    made = Block(section=section, index=0, parameters=block) if block is not None else None
    return action_limit(action, parent, made, job, Device(timeouts=DeviceTimeouts(actions=device or {})))


def parent(seconds: int, tries: int) -> Action:
    made = Retry()
    made.limit, made.max_attempts = seconds, tries
    return made


NAME = "bootloader-commands"


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ({}, 30),
        ({"timeouts": JobTimeouts(action=60)}, 60),
        ({"timeouts": JobTimeouts(action=60), "device": {NAME: 70}}, 70),
        ({"device": {NAME: 70}, "block": {"timeout": {"seconds": 80}}}, 80),
        ({"block": {"timeout": {"seconds": 80}}, "parent": parent(90, 1)}, 80),
        ({"block": {"timeout": {"seconds": 80}}, "parent": parent(90, 2)}, 45),
        ({"parent": parent(90, 4), "timeouts": JobTimeouts(actions={NAME: 100})}, 100),
        (
            {
                "timeouts": JobTimeouts(actions={NAME: 100}),
                "block": {"timeouts": {NAME: {"minutes": 2}}, "timeout": {"seconds": 80}},
            },
            120,
        ),
        ({"timeouts": JobTimeouts(actions={NAME: 100}), "block": {"timeouts": {"u-boot-commands": 5}}}, 5),
    ],
)
def test_the_last_rule_that_applies_wins(given: dict[str, Any], seconds: int) -> None:
    assert limit(Leaf(), **given) == seconds


def test_a_class_may_have_a_default_of_its_own_which_the_job_replaces() -> None:
    assert limit(Long()) == 600
    assert limit(Long(), timeouts=JobTimeouts(action=60)) == 60


def test_test_blocks_have_a_default_of_their_own_in_the_seeds_form() -> None:
    timeouts = JobTimeouts(action=60, test=90)
    assert limit(Leaf(), timeouts=timeouts, section="test") == 90
    assert limit(Leaf(), timeouts=timeouts, section="boot") == 60


def test_a_limit_divided_is_never_nothing() -> None:
    assert limit(Leaf(), parent=parent(3, 10)) == 1


def test_nested_retries_divide_twice() -> None:
    boot = jobs.boot(failure_retry=2, timeout={"seconds": 120})
    found = planned(jobs.job(jobs.deploy(), boot, jobs.shell_test()), jobs.device())
    limits = {a.name: (a.limit, a.max_attempts) for a in found.walk() if a.section == "boot"}
    assert limits["boot-image-retry"] == (120, 2)
    assert limits["boot-qemu-image"] == limits["auto-login-action"] == (60, 2)
    assert limits["execute-qemu"] == limits["login-action"] == (30, 1)
    assert limits["expect-shell-connection"] == (60, 1)


def test_a_block_timeout_holds_for_every_action_below() -> None:
    found = planned(
        jobs.job(jobs.deploy(timeout={"minutes": 3}), jobs.boot(), jobs.shell_test()), jobs.device()
    )
    assert {a.limit for a in found.walk() if a.section == "deploy"} == {180}


@pytest.mark.parametrize(
    ("timeouts", "device", "block", "seconds"),
    [
        (JobTimeouts(), {}, {}, 30),
        (JobTimeouts(connection=40), {}, {}, 40),
        (JobTimeouts(connection=40), {NAME: 50}, {}, 50),
        (JobTimeouts(connection=40, connections={NAME: 60}), {NAME: 50}, {}, 60),
        (JobTimeouts(connections={NAME: 60}), {NAME: 50}, {"connection_timeout": {"seconds": 70}}, 70),
    ],
)
def test_limits_of_one_operation_on_the_console(
    timeouts: JobTimeouts, device: dict[str, int], block: dict[str, Any], seconds: int
) -> None:
    known = Device(timeouts=DeviceTimeouts(connections=device))
    given = Block(section="boot", index=0, parameters=block)
    assert connection_limit(Leaf(), given, Job(job_name="t", timeouts=timeouts), known) == seconds


@pytest.mark.parametrize(
    ("block", "constants", "section", "expected"),
    [
        ({}, {}, "boot", (1, False)),
        ({"failure_retry": 3}, {}, "boot", (3, False)),
        ({"repeat": 4}, {}, "test", (4, True)),
        ({}, {"failure_retry": 2}, "deploy", (2, False)),
        ({}, {"failure_retry": "2"}, "deploy", (2, False)),
        ({}, {"failure_retry": 2, "boot_retry": 5}, "boot", (5, False)),
        ({}, {"failure_retry": 2, "boot_retry": 5}, "test", (2, False)),
        ({"failure_retry": 3}, {"boot_retry": 5}, "boot", (3, False)),
    ],
)
def test_attempts_come_from_the_block_then_from_the_device(
    block: dict[str, Any], constants: dict[str, Any], section: str, expected: tuple[int, bool]
) -> None:
    action = Retry()
    action.section = section
    given = Block(section=section, index=0, parameters=block)
    assert attempts(action, given, Device(constants=constants)) == expected


def test_only_retry_actions_are_tried_again() -> None:
    given = Block(section="boot", index=0, parameters={"failure_retry": 3})
    assert attempts(Leaf(), given, Device()) == (1, False)
