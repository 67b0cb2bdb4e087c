# SPDX-License-Identifier: Apache-2.0
"""The typed device: constants with their order, consoles, commands; and what an OS means for tests."""

from __future__ import annotations

import re

import pytest

from executor.errors import ConfigurationError
from executor.model.constants import DEFAULTS
from executor.model.deployment import DEPLOYMENTS, deployment
from executor.model.device import Connection, Device
from executor.model.job import Job

DEVICE = Device(
    constants={
        "failure_retry": 3,
        "boot_retry": None,
        "u-boot": {"interrupt-prompt": "stop it"},
        "posix": {"lava_test_sh_cmd": "/bin/ash", "lava_test_results_dir": "/opt/lava-%s"},
    }
)


def test_the_device_wins_over_built_in_values() -> None:
    assert DEVICE.constant("failure_retry") == 3
    assert DEVICE.constant("interrupt-prompt", prefix="u-boot") == "stop it"


def test_the_jobs_context_wins_over_the_device() -> None:
    assert DEVICE.constant("failure_retry", context={"failure_retry": 5}) == 5
    assert DEVICE.constant("failure_retry", context={"failure_retry": None}) == 3


def test_built_in_values_where_the_device_says_nothing() -> None:
    assert DEVICE.constant("interrupt-character", prefix="u-boot") == " "
    assert Device().constant("lava_test_results_dir", prefix="posix") == "/lava-%s"
    assert DEVICE.constant("kernel-start-message", default="x") == "Linux version [0-9]"


def test_null_counts_as_absent() -> None:
    assert DEVICE.constant("boot_retry", default=None) is None
    assert DEVICE.constant("boot_retry", default=2) == 2


@pytest.mark.parametrize("prefix", [None, "u-boot", "unheard-of"])
def test_a_constant_that_is_nowhere_is_the_admins_affair(prefix: str | None) -> None:
    with pytest.raises(ConfigurationError, match="no constants"):
        DEVICE.constant("no-such-thing", prefix=prefix)


def test_a_group_that_is_no_map_does_no_harm() -> None:
    assert Device(constants={"posix": "oops"}).constant("lava_test_sh_cmd", prefix="posix") == "/bin/sh"


def test_built_in_patterns_are_regular_expressions() -> None:
    for group in DEFAULTS.values():
        for pattern in group.get("error-messages", []):
            re.compile(pattern)


@pytest.mark.parametrize(
    "line",
    [
        "Retry count exceeded; starting again",
        "Wrong Image Format for bootm command",
        "** File not found foo **",
    ],
)
def test_built_in_errors_of_u_boot(line: str) -> None:
    assert any(re.search(pattern, line) for pattern in DEFAULTS["u-boot"]["error-messages"])


def test_primary_console() -> None:
    one, two = Connection("a", "x", ["telnet"]), Connection("b", "y", ["primary"])
    assert Device(connections={"a": one, "b": two}).primary is two
    assert Device(connections={"a": one}).primary is one
    assert Device(connections={"a": one, "c": one}).primary is None
    assert Device().primary is None


def test_commands_and_delays() -> None:
    device = Device(commands={"power_on": ["a", "b"]}, character_delays={"test": 5})
    assert device.command("power_on") == ["a", "b"]
    assert device.command("power_off") == []
    assert (device.character_delay("test"), device.character_delay("boot")) == (5, 0)


@pytest.mark.parametrize(
    ("device", "number"),
    [
        (Device(), None),
        (Device(raw={"root_part": 2}), 2),
        (Device(raw={"root_part": 2}, deploy_methods={"image": {"parameters": {"root_part": 1}}}), 1),
        (Device(raw={"root_part": "x"}, deploy_methods={"image": []}), None),
    ],
)
def test_partition_for_the_overlay(device: Device, number: int | None) -> None:
    assert device.root_part == number


def test_media() -> None:
    assert Device(parameters={"media": {"usb": {"stick": {}}}}).media == {"usb": {"stick": {}}}
    assert Device(parameters={"media": None}).media == {}


@pytest.mark.parametrize(
    ("os", "shell", "results", "file"),
    [
        ("debian", "/bin/bash", "/lava-%s", "~/.bashrc"),
        ("oe", "/bin/sh", "/lava-%s", "~/.bashrc"),
        ("apertis", "/bin/sh", "/var/lib/lava-%s", "~/.bashrc"),
        ("android", "/system/bin/sh", "/data/local/tmp/lava-%s", ""),
        ("lede", "/bin/sh", "/tmp/lava-results-%s", ""),
        (None, "/bin/ash", "/opt/lava-%s", "~/.bashrc"),
        ("plan9", "/bin/ash", "/opt/lava-%s", "~/.bashrc"),
    ],
)
def test_deployment(os: str | None, shell: str, results: str, file: str) -> None:
    found = deployment(os, DEVICE, Job(job_name="j"))
    assert (found.shell, found.results_dir, found.shell_file) == (shell, results, file)


def test_the_context_can_move_the_results() -> None:
    job = Job(job_name="j", context={"lava_test_results_dir": "/mnt/lava-%s"})
    assert deployment("debian", DEVICE, job).results_dir == "/mnt/lava-%s"


def test_every_results_directory_takes_the_job_id() -> None:
    assert all("%s" in d.results_dir for d in DEPLOYMENTS.values())
