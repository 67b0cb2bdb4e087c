# SPDX-License-Identifier: Apache-2.0
"""Installing in QEMU: what the installer is given, how its end is known, what is booted afterwards."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from executor.actions.boot.qemu_iso import ExecuteInstaller, MonitorInstaller, RebootIntoInstalled
from executor.actions.deploy import iso_installer
from executor.actions.deploy.iso_installer import INITRD, KERNEL, PrepareEmptyImage, PrepareQemuCommands
from executor.actions.qemuoptions import Accelerator
from executor.errors import InfrastructureError, JobError
from executor.model.device import Device
from executor.pipeline.check import Checked, check_job
from executor.pipeline.context import OverlayDisk
from executor.testing import jobs
from executor.testing.console import FakeClock, Hang, Say, ScriptedConsole, ScriptedPort, Step
from executor.testing.pipeline import Scene, placed
from executor.tools.image.cpio import list_cpio

TCG = Accelerator(False)
EMPTY_CPIO = b"070701" + b"0" * 32 + b"00000001" + b"0" * 48 + b"0000000b" + b"0" * 8 + b"TRAILER!!!\0\0\0\0"


def device(**boot_options: str) -> Device:
    parameters = {"command": "qemu-system-x86_64", "options": ["-m 256"], "boot_options": boot_options}
    return Device(boot_methods={"qemu": {"parameters": parameters}})


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """After the downloads and `pull-installer-files`; qemu-img is a stand-in that makes the file."""
    tool = tmp_path / "bin" / "qemu-img"
    tool.parent.mkdir()
    tool.write_text('#!/bin/sh\ntest -e "$5" && exit 1\necho "$6" > "$5"\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:{os.environ['PATH']}")
    made = Scene(tmp_path, clock=time.monotonic)
    made.run(PrepareEmptyImage("4G"))
    made.artifact("preseed", b"d-i debian-installer/locale string en_US\n")
    made.artifact("iso", image_arg="-drive file={iso},index=2,media=cdrom,readonly")
    made.artifact(KERNEL, b"kernel")
    made.artifact(INITRD, EMPTY_CPIO)
    return made


def prepare(scene: Scene, arch: str = "amd64", **boot_options: str) -> None:
    scene.run(PrepareQemuCommands(device(**boot_options), arch))


def test_the_installer_gets_its_answers_in_the_ramdisk(scene: Scene) -> None:
    prepare(scene)
    action = placed(ExecuteInstaller(device(), {}), section="boot")
    argv = action.command_line(scene.attempt(action), TCG)  # type: ignore[attr-defined]
    assert argv[:3] == ["qemu-system-x86_64", "-m", "256"]
    assert any("media=cdrom" in word for word in argv)
    assert "-no-reboot" in argv
    initrd = Path(argv[argv.index("-initrd") + 1])
    assert [entry.name for entry in list_cpio(initrd)] == ["preseed.cfg"]
    append = argv[argv.index("-append") + 1]
    assert append.split(" --- ") == [
        "auto=true priority=critical DEBIAN_FRONTEND=text console=ttyS0",
        "console=ttyS0",
    ]


def test_the_console_is_the_devices(scene: Scene) -> None:
    prepare(scene, console="ttyS1,115200")
    assert scene.namespace.installer is not None
    assert "console=ttyS1,115200" in scene.namespace.installer.arguments[-1]


@pytest.mark.parametrize(
    ("arch", "bus", "console"), [("amd64", "ide", "ttyS0"), ("arm64", "virtio", "ttyAMA0")]
)
def test_the_disk_is_on_a_bus_that_the_machine_has(scene: Scene, arch: str, bus: str, console: str) -> None:
    prepare(scene, arch)
    installer = scene.namespace.installer
    assert installer is not None
    assert f"if={bus},index=0" in installer.drive[1]
    assert installer.arguments[-1].endswith(f"console={console}")


def test_what_was_installed_boots_without_the_installer(scene: Scene) -> None:
    prepare(scene)
    scene.namespace.overlay_disk = OverlayDisk(Path("/o"), "uuid", ["-drive", "file=/o"])
    action = placed(RebootIntoInstalled(device(), {}), section="boot")
    argv = action.command_line(scene.attempt(action), TCG)  # type: ignore[attr-defined]
    assert scene.namespace.installer is not None
    assert argv == [
        "qemu-system-x86_64", "-m", "256", *scene.namespace.installer.drive, "-drive", "file=/o",
        "-accel", "tcg",
    ]  # fmt: skip


def test_a_second_attempt_begins_with_an_empty_disk(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    emptied: list[int] = []
    monkeypatch.setattr("executor.actions.boot.qemu_iso.empty", lambda *_: emptied.append(1))
    monkeypatch.setattr("executor.actions.boot.qemu.ExecuteQemu.run", lambda *_: None)
    prepare(scene)
    action = placed(ExecuteInstaller(device(), {}), section="boot")
    run = scene.attempt(action)
    action.run(run)
    assert emptied == []
    run.outer = 2
    action.run(run)
    assert emptied == [1]
    assert scene.namespace.installer is not None
    iso_installer.empty(scene.namespace.installer, run)  # the stand-in fails where there is one already


def test_a_boot_without_an_installer_is_the_jobs_fault(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    action = placed(RebootIntoInstalled(device(), {}), section="boot")
    with pytest.raises(JobError, match="no installer to boot"):
        action.command_line(scene.attempt(action), TCG)  # type: ignore[attr-defined]


# -- the installer at work


def watched(tmp_path: Path, *script: Step) -> None:
    clock = FakeClock()
    scene = Scene(tmp_path, clock=clock)
    scene.namespace.console = ScriptedConsole(ScriptedPort(clock, script), scene.journal)  # type: ignore[arg-type]
    scene.run(placed(MonitorInstaller(), section="boot"))


def test_the_end_of_qemu_is_the_end_of_the_installation(tmp_path: Path) -> None:
    watched(tmp_path, Say("Installing GRUB boot loader\r\n", after=20), Hang("qemu exited with code 0"))


@pytest.mark.parametrize(
    ("script", "error", "words"),
    [
        ([Hang("qemu was killed by SIGKILL")], InfrastructureError, "SIGKILL"),
        ([Say("!! ERROR: Installation step failed\r\n")], JobError, "the installer stopped"),
        ([Say("Kernel panic - not syncing: VFS\r\n---[ end Kernel panic\r\n")], JobError, "panic"),
        ([], TimeoutError, "step failed"),
    ],
)
def test_other_endings_are_failures(
    tmp_path: Path, script: list[Step], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        watched(tmp_path, *script)


# -- the blocks


def checked(**iso: Any) -> Checked:
    given = {
        "installation_size": "2G",
        "kernel": "/install.amd/vmlinuz",
        "initrd": "/install.amd/initrd.gz",
        **iso,
    }
    images = {
        "iso": {"url": "http://h/cd.iso", "image_arg": "-cdrom {iso}"},
        "preseed": {"url": "http://h/p.cfg"},
    }
    deploy = {"deploy": {"to": "iso-installer", "os": "debian_installer", "images": images, "iso": given}}
    boot = {"boot": {"method": "qemu-iso", "media": "img", "prompts": ["root@debian:"]}}
    return check_job(jobs.job(deploy, boot, jobs.shell_test()), jobs.device())


def test_the_plan_of_an_installation() -> None:
    done = checked()
    assert done.errors == []
    assert done.planned is not None
    assert [child.name for child in done.planned.actions[0].children] == [
        "prepare-empty-image", "download-retry", "download-retry", "pull-installer-files",
        "prepare-qemu-commands", "lava-overlay", "apply-overlay-guest", "deploy-device-env",
    ]  # fmt: skip
    assert [child.name for child in done.planned.actions[1].children] == [
        "execute-installer-command", "monitor-installer-connection", "reboot-into-installed",
        "auto-login-action", "expect-shell-connection", "export-device-env",
    ]  # fmt: skip
    assert done.planned.needs.image == "qemu"


@pytest.mark.parametrize(
    ("key", "value"), [("installation_size", "2 GB"), ("installation_size", "0G"), ("kernel", "")]
)
def test_what_cannot_be_is_refused(key: str, value: str) -> None:
    (problem,) = checked(**{key: value}).errors
    assert problem.path[-1] == key
