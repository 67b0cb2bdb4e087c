# SPDX-License-Identifier: Apache-2.0
"""Command lines for a device that is reached by ssh, and the key that is let in."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import pytest

from executor.actions.overlay import SshAuthorize
from executor.actions.sshclient import SshTarget, ssh_target
from executor.errors import ConfigurationError, InfrastructureError
from executor.model.device import Device
from executor.testing.pipeline import Scene, placed


def device(folder: Path | None = None, **options: Any) -> Device:
    raw = {"container": {"tools": [str(folder)]}} if folder is not None else {}
    return Device(deploy_methods={"ssh": options}, raw=raw)


def test_what_is_not_said_has_a_default() -> None:
    assert ssh_target(Device(deploy_methods={"ssh": None})) == SshTarget()
    assert SshTarget("h").ssh()[-2:] == ["-tt", "root@h"]
    assert "-i" not in SshTarget("h").ssh()


def test_an_address_stands_in_brackets_for_scp_only() -> None:
    target = SshTarget("2001:db8::1", "22", "me", "/key")
    assert target.ssh("true")[-2:] == ["me@2001:db8::1", "true"]
    assert target.scp([Path("/a")], "/b")[-2:] == ["/a", "me@[2001:db8::1]:/b"]


def authorize(tmp_path: Path, known: Device, **keys: Any) -> Scene:
    scene = Scene(tmp_path, device=known)
    scene.run(placed(SshAuthorize(), **keys))
    return scene


def test_the_key_of_the_device_is_let_in_where_the_job_asks(tmp_path: Path) -> None:
    (tmp_path / "lab.pub").write_text("ssh-ed25519 AAAA lab\n")
    scene = authorize(tmp_path, device(tmp_path, identity_file="lab"), authorize="ssh")
    path = scene.namespace.overlay_authorized
    assert path is not None
    with tarfile.open(path) as archive:
        (name,) = [m.name for m in archive.getmembers() if m.isfile()]
        file = archive.extractfile(name)
        assert file is not None
        assert (name, file.read()) == ("root/.ssh/authorized_keys", b"ssh-ed25519 AAAA lab\n")
        assert archive.getmember("root/.ssh").mode == 0o700


def test_else_nothing_is_made(tmp_path: Path) -> None:
    assert authorize(tmp_path, device()).namespace.overlay_authorized is None


def test_without_a_key_nobody_can_be_let_in(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="names no ssh key to authorise"):
        authorize(tmp_path, device(), authorize="ssh")
    with pytest.raises(InfrastructureError, match=r"the ssh key lab\.pub of the device"):
        authorize(tmp_path, device(tmp_path, identity_file="lab"), authorize="ssh")
