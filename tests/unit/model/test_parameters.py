# SPDX-License-Identifier: Apache-2.0
"""Rules of common parameters that depend on several keys (spec: job-format §2, §4, §5, §6)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from executor.model.job import (
    AutoLogin,
    BootParameters,
    DeployParameters,
    PersistentNfs,
    Resource,
    TransferOverlay,
)
from executor.schema.check import check, convert

URL = {"url": "http://h/f"}


def faults(cls: type[msgspec.Struct], data: dict[str, Any]) -> list[tuple[str, str]]:
    return [(".".join(map(str, p.path)), p.message) for p in check(cls, data)]


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"md5sum": "D41D8CD98F00B204E9800998ECF8427E"},
        {"sha256sum": "0" * 64, "sha512sum": "f" * 128},
        {"prefix": "rootfs/"},
        {"overlays": {"lava": True}, "format": "ext4", "partition": 0, "sparse": False},
        {"overlays": {"extra": {"url": "u", "format": "file", "path": "/etc/x"}}},
        {"compression": "zstd", "archive": "tar", "headers": {"A": "b"}},
    ],
)
def test_resources(more: dict[str, Any]) -> None:
    assert faults(Resource, URL | more) == []


@pytest.mark.parametrize(
    ("more", "path", "message"),
    [
        ({"md5sum": "abc"}, "md5sum", "md5sum cannot be 'abc'"),
        ({"sha256sum": "g" * 64}, "sha256sum", "sha256sum cannot be"),
        ({"prefix": "/rootfs/"}, "prefix", "prefix cannot be"),
        ({"prefix": "rootfs"}, "prefix", "prefix cannot be"),
        ({"overlays": {"extra": True}}, "overlays.extra", "overlay extra is true"),
        (
            {"overlays": {"extra": {"url": "u", "format": "file", "path": "/a/../b"}}},
            "overlays.extra.path",
            "path cannot be",
        ),
        (
            {"overlays": {"extra": {"url": "u", "format": "file", "path": "etc/x"}}},
            "overlays.extra.path",
            "path cannot be",
        ),
        ({"partition": -1}, "partition", "partition cannot be"),
        ({"compression": "gzip"}, "compression", "compression cannot be"),
        ({"reboot": "now"}, "reboot", "reboot cannot be"),
    ],
)
def test_resources_that_are_wrong(more: dict[str, Any], path: str, message: str) -> None:
    [(found, said)] = faults(Resource, URL | more)
    assert found == path
    assert said.startswith(message)


def test_persistent_nfs() -> None:
    assert faults(PersistentNfs, {"address": "host:/srv", "install_overlay": False}) == []
    assert faults(PersistentNfs, {"address": "/srv"}) == [("address", "address has no server")]


def test_a_deploy_is_not_repeated() -> None:
    assert faults(DeployParameters, {"to": "tftp", "repeat": 2}) == [
        ("repeat", "a deploy block cannot be repeated")
    ]
    assert faults(DeployParameters, {"to": "tftp", "failure_retry": 2}) == []


LOGIN = {"login_prompt": "login:", "username": "root"}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"password": "x"}, "password without password_prompt"),
        ({"password_prompt": "Password:"}, "password_prompt without password"),
        ({"login_commands": []}, "login_commands is empty"),
        ({"username": ""}, "username is empty"),
    ],
)
def test_logins_that_are_wrong(more: dict[str, Any], message: str) -> None:
    assert [m for _, m in faults(AutoLogin, LOGIN | more)] == [message]


def test_a_login() -> None:
    login = convert(AutoLogin, LOGIN | {"password": "", "password_prompt": "P:", "login_commands": ["su"]})
    assert (login.password, login.login_commands) == ("", ["su"])


def test_transfer_of_the_overlay() -> None:
    assert faults(TransferOverlay, {"unpack_command": "tar"}) == [("", "download_command is missing")]
    assert faults(TransferOverlay, {"unpack_command": "tar", "transfer_method": "zmodem"}) == []
    assert faults(TransferOverlay, {"unpack_command": "tar", "download_command": "wget"}) == []


def test_a_boot_block_has_all_keys_of_blocks() -> None:
    given = {
        "method": "qemu",
        "prompts": ["#"],
        "connection-namespace": "n",
        "timeouts": {"login-action": "2m"},
        "parameters": {"kernel-start-message": ""},
        "soft_reboot": ["reboot"],
    }
    boot = convert(BootParameters, given)
    assert (boot.connection_namespace, boot.prompts, boot.reset) == ("n", ["#"], None)
