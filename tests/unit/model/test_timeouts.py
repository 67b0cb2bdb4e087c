# SPDX-License-Identifier: Apache-2.0
"""Timeouts in every written form (spec: job-format §3)."""

from __future__ import annotations

from typing import Any

import pytest

from executor.errors import JobError
from executor.model.timeouts import (
    DEFAULT_SECONDS,
    DeviceTimeouts,
    JobTimeouts,
    action_name,
    is_timeout,
    parse_skip,
    parse_timeout,
)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ({"minutes": 5}, 300),
        ({"days": 1, "hours": 1, "minutes": 1, "seconds": 1}, 90061),
        ({"minutes": 2, "skip": True}, 120),
        ({"minutes": 0}, DEFAULT_SECONDS),
        ({"skip": True}, DEFAULT_SECONDS),
        ({}, DEFAULT_SECONDS),
        ("2m", 120),
        ("90s", 90),
        ("1h", 3600),
        (" 1 d ", 86400),
        ("45", 45),
        (45, 45),
        (0, DEFAULT_SECONDS),
    ],
)
def test_forms(value: object, seconds: int) -> None:
    assert parse_timeout(value) == seconds
    assert is_timeout(value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "None"),
        (True, "True"),
        ([1], "no timeout"),
        (1.5, "no timeout"),
        ("soon", "'soon'"),
        ("1.5m", "no timeout"),
        ("2m30s", "no timeout"),
        (-1, "negative"),
        ({"minutes": -1}, "negative"),
        ({"minutes": "5"}, "whole number"),
        ({"minutes": True}, "whole number"),
        ({"minutes": 1.5}, "whole number"),
        ({"minuts": 5}, "did you mean 'minutes'"),
        ({5: 5}, "unknown unit 5"),
        ({"skip": "yes"}, "true or false"),
        ({"days": 400}, "year"),
        (10**30, "year"),
    ],
)
def test_what_is_no_timeout(value: object, message: str) -> None:
    with pytest.raises(JobError, match="bad timeout") as caught:
        parse_timeout(value)
    assert message in caught.value.message
    assert not is_timeout(value)


def test_skip() -> None:
    assert parse_skip({"minutes": 1, "skip": True})
    assert not parse_skip({"minutes": 1, "skip": False})
    assert not parse_skip("1m")
    assert not parse_skip(None)


@pytest.mark.parametrize(
    ("old", "name"),
    [
        ("download_retry", "download-retry"),
        ("uboot-retry", "uboot-commands"),
        ("uboot_retry", "uboot-commands"),
        ("uboot-overlay", "bootloader-overlay"),
        ("u-boot-commands", "bootloader-commands"),
        ("u-boot-interrupt", "bootloader-interrupt"),
        ("lava-test-shell", "lava-test-shell"),
    ],
)
def test_names_of_actions(old: str, name: str) -> None:
    assert action_name(old) == name


def read(data: object) -> JobTimeouts:
    timeouts, problems = JobTimeouts.read(data)
    assert not problems
    return timeouts


def test_all_places_of_a_job() -> None:
    timeouts = read(
        {
            "job": {"minutes": 15},
            "action": {"minutes": 5},
            "test": "3m",
            "connection": {"seconds": 60},
            "queue": {"hours": 1},
            "actions": {"http-download": {"minutes": 2}},
            "connections": {"lava_test_shell": {"minutes": 1}},
            "extract-nfsrootfs": {"seconds": 50},
        }
    )
    assert (timeouts.job, timeouts.action, timeouts.test, timeouts.connection, timeouts.queue) == (
        900,
        300,
        180,
        60,
        3600,
    )
    assert timeouts.actions == {"http-download": 120, "extract-nfsrootfs": 50}
    assert timeouts.connections == {"lava-test-shell": 60}


def test_nothing_said() -> None:
    assert read(None) == read({}) == JobTimeouts()
    assert JobTimeouts().job is None


def test_names_nested_below_action() -> None:
    timeouts = read({"action": {"http-download": {"minutes": 2}}})
    assert timeouts.action is None
    assert timeouts.actions == {"http-download": 120}


def test_names_and_units_mixed_below_action() -> None:
    timeouts = read({"action": {"minutes": 1, "http_download": {"minutes": 2}}})
    assert timeouts.action == 60
    assert timeouts.actions == {"http-download": 120}


@pytest.mark.parametrize("order", [1, -1])
def test_todays_name_wins_over_an_old_one_in_any_order(order: int) -> None:
    named = [("uboot-retry", {"seconds": 45}), ("uboot-commands", {"seconds": 90})]
    assert read({"actions": dict(named[::order])}).actions == {"uboot-commands": 90}


@pytest.mark.parametrize(
    ("data", "path"),
    [
        ([], ("timeouts",)),
        ({"job": "soon"}, ("timeouts", "job")),
        ({"action": {"minuts": 3}}, ("timeouts", "action")),
        ({"action": {"x": {"minuts": 3}}}, ("timeouts", "action", "x")),
        ({"actions": []}, ("timeouts", "actions")),
        ({"actions": {"x": None}}, ("timeouts", "actions", "x")),
        ({"actions": {5: {"minutes": 1}}}, ("timeouts", "actions", 5)),
        ({"flat-name": 1.5}, ("timeouts", "flat-name")),
        ({5: {"minutes": 1}}, ("timeouts", 5)),
    ],
)
def test_faults_of_a_job_have_a_path(data: object, path: tuple[Any, ...]) -> None:
    timeouts, problems = JobTimeouts.read(data)
    assert [(p.path, p.error_type) for p in problems] == [(path, "Job")]
    assert timeouts == JobTimeouts()


@pytest.mark.parametrize(
    ("slip", "near"), [("acton", "action"), ("connectoin", "connection"), ("jobs", "job")]
)
def test_a_slip_in_a_general_name_is_pointed_out(slip: str, near: str) -> None:
    timeouts, [problem] = JobTimeouts.read({slip: {"minutes": 1}})
    assert (problem.severity, problem.near) == ("warning", near)
    assert timeouts.actions == {slip: 60}


def test_device() -> None:
    timeouts, problems = DeviceTimeouts.read(
        {
            "actions": {"dd-image": {"minutes": 10}},
            "connections": {"uboot-retry": {"seconds": 45}},
            "http_download": {"minutes": 5},
        }
    )
    assert not problems
    assert timeouts.actions == {"dd-image": 600, "http-download": 300}
    assert timeouts.connections == {"uboot-commands": 45}


def test_faults_of_a_device_are_the_admins() -> None:
    _, problems = DeviceTimeouts.read({"actions": {"x": "soon"}, "connections": 5})
    assert [p.error_type for p in problems] == ["Configuration"] * 2
