# SPDX-License-Identifier: Apache-2.0
"""An installation in a real QEMU: a kernel out of an ISO image, answers in its ramdisk, a disk that boots.

The installer is a shell script and what it installs is a boot sector; everything around them is real.
"""

from __future__ import annotations

import io
import os
import shutil
import tarfile
import time
from pathlib import Path

import pytest

from executor.actions.boot.qemu_iso import ExecuteInstaller, MonitorInstaller, RebootIntoInstalled
from executor.actions.deploy.iso_installer import (
    Iso,
    PrepareEmptyImage,
    PrepareQemuCommands,
    PullInstallerFiles,
)
from executor.errors import JobError
from executor.model import journal
from executor.model.deadline import Deadline
from executor.model.device import Device
from executor.model.job import Job
from executor.pipeline.action import Action
from executor.pipeline.run import Run
from executor.testing.iso import write_iso
from executor.testing.pipeline import Scene, placed
from executor.tools.image.ramdisk import append

ROOT = Path(__file__).resolve().parents[2]
ASSETS = Path(os.environ.get("LAVA_EXEC_ASSETS") or ROOT / ".lava-exec" / "assets") / "amd64"
pytestmark = pytest.mark.skipif(
    not (ASSETS / "vmlinuz").exists() or shutil.which("qemu-system-x86_64") is None,
    reason="no guest of `make assets`, or no QEMU here",
)

SECONDS = 240
INSTALLER = r"""#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /sbin /usr/bin /usr/sbin /cdrom
/bin/busybox --install -s
mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs devtmpfs /dev 2>/dev/null
for round in 1 2 3; do
    modprobe -a -q -b $(find /sys/devices -name modalias -exec cat {} + | sort -u) isofs 2>/dev/null
done
. /preseed.cfg || echo "Installation step failed: no answers"
tries=50
until mount -t iso9660 -o ro /dev/sr0 /cdrom 2>/dev/null || [ $tries = 0 ]; do
    tries=$((tries-1)); sleep 0.2
done
echo "installing $what for $(sed 's/.*--- //' /proc/cmdline)"
dd if=/cdrom/$what of=/dev/sda bs=512 2>/dev/null && sync || echo "Installation step failed: $what"
reboot -f
"""
# cli; ds = 0; print the text at 0x7c16 to the first serial port; halt
SECTOR = bytes.fromhex("fa31c08ed8be167cac84c07406baf803eeebf5f4ebfd") + b"\r\ninstalled login: \0"


def cd(scene: Scene) -> Path:
    """An installer's medium."""
    archive = scene.context.work / "init.tar"
    with tarfile.open(archive, "w") as tar:
        info = tarfile.TarInfo("init")
        info.size, info.mode = len(INSTALLER.encode()), 0o755
        tar.addfile(info, io.BytesIO(INSTALLER.encode()))
    work, target = scene.context.work, scene.context.work / "initrd"
    append(
        ASSETS / "initramfs.cpio.gz",
        [archive],
        target,
        workdir=work,
        new=("init",),
        deadline=Deadline.after(60),
    )
    return write_iso(
        scene.context.work / "cd.iso",
        {
            "install.amd/vmlinuz": (ASSETS / "vmlinuz").read_bytes(),
            "install.amd/initrd.gz": target.read_bytes(),
            "boot.bin": SECTOR.ljust(510, b"\0") + b"\x55\xaa",
        },
    )


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    options = ["-nographic", "-m 256", "-nic none", "-monitor none"]
    method = {"parameters": {"command": "qemu-system-x86_64", "options": options}}
    device = Device(boot_methods={"qemu": method})
    made = Scene(tmp_path, job=Job(job_name="t"), device=device, clock=time.monotonic)
    made.artifact("iso", image_arg="-drive file={iso},index=2,media=cdrom,readonly=on").path = cd(made)
    return made


def step(scene: Scene, action: Action) -> Run:
    action.limit = SECONDS
    return scene.run(placed(action, section="boot"))


def install(scene: Scene, answers: bytes) -> Run:
    """Up to the end of the installation."""
    scene.artifact("preseed", answers)
    inside = Iso(installation_size="8M", kernel="/install.amd/vmlinuz", initrd="/install.amd/initrd.gz")
    device = scene.context.device
    for action in (
        PrepareEmptyImage("8M"),
        PullInstallerFiles(inside),
        PrepareQemuCommands(device, "amd64"),
        ExecuteInstaller(device, {}),
    ):
        step(scene, action)
    return step(scene, MonitorInstaller())


def test_what_was_installed_is_booted(scene: Scene) -> None:
    run = install(scene, b"what=boot.bin\n")
    assert any(
        "installing boot.bin for console=ttyS0" in text for text in scene.journal.messages(journal.TARGET)
    )
    assert "the installer is done" in scene.journal.messages(journal.INFO)
    booted = RebootIntoInstalled(scene.context.device, {})
    step(scene, booted)
    assert scene.namespace.console is not None
    scene.namespace.console.expect("installed login: ", run.deadline)
    booted.cleanup(run)


def test_an_installer_that_fails_is_quoted(scene: Scene) -> None:
    with pytest.raises(JobError, match="the installer stopped: Installation step failed"):
        install(scene, b"what=nothing\n")
    ExecuteInstaller(scene.context.device, {}).cleanup(
        scene.attempt(placed(MonitorInstaller(), section="boot"))
    )
