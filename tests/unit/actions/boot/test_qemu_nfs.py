# SPDX-License-Identifier: Apache-2.0
"""`method: qemu-nfs`: what the guest's kernel is told of its root."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from executor.actions.boot.qemu_nfs import ExecuteQemuNfs
from executor.actions.qemuoptions import Accelerator
from executor.errors import JobError
from executor.model.device import Device
from executor.pipeline.context import NfsRoot
from executor.pipeline.world import IdealWorld
from executor.testing.pipeline import Scene, placed

APPEND = {
    "console": "ttyS0",
    "root": "/dev/nfs",
    "nfsrootargs": "nfsroot={NFS_SERVER_IP}:{NFSROOTFS},tcp",
    "ipargs": "ip=dhcp",
}


def execute(**parameters: Any) -> ExecuteQemuNfs:
    given = {"command": "qemu-system-x86_64", "options": ["-m 256"], "append": APPEND, **parameters}
    made = placed(
        ExecuteQemuNfs(Device(boot_methods={"qemu-nfs": {"parameters": given}}), {}), section="boot"
    )
    assert isinstance(made, ExecuteQemuNfs)
    return made


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("", "console=ttyS0 root=/dev/nfs nfsroot=192.0.2.1:/srv/nfs/42/x,tcp ip=dhcp"),
        (
            "nfsroot={NFS_SERVER_IP}:{nfsrootfs},hard rw",
            "console=ttyS0 root=/dev/nfs nfsroot=192.0.2.1:/srv/nfs/42/x,hard rw ip=dhcp",
        ),
    ],
)
def test_the_kernels_line_names_the_root(tmp_path: Path, arguments: str, line: str) -> None:
    scene, action = Scene(tmp_path), execute()
    scene.artifact("kernel", image_arg="-kernel {kernel}")
    scene.namespace.nfs_root = NfsRoot("192.0.2.1", "/srv/nfs/42/x", None, arguments)
    argv = action.command_line(scene.attempt(action), Accelerator(False))
    assert argv[3:7] == ["-kernel", str(tmp_path / "cache" / "kernel.img"), "-append", line]


def test_without_a_root_there_is_nothing_to_boot(tmp_path: Path) -> None:
    scene, action = Scene(tmp_path), execute()
    with pytest.raises(JobError, match="no NFS root to boot from"):
        action.command_line(scene.attempt(action), Accelerator(False))


def test_a_device_that_does_not_say_how_is_at_fault() -> None:
    (problem,) = execute(append=None).validate(IdealWorld())
    assert problem.error_type == "Configuration"
    assert list(execute().validate(IdealWorld())) == []


def test_the_guest_must_reach_the_server() -> None:
    assert execute(options=["-nic none"]).needs().network == "bridge"
