# SPDX-License-Identifier: Apache-2.0
"""Starting a guest: its command line, its console, its end. QEMU is a stand-in."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from executor.actions.boot.qemu import ExecuteQemu
from executor.actions.qemuoptions import Accelerator
from executor.errors import ConfigurationError, InfrastructureError
from executor.model import journal
from executor.model.device import Device
from executor.model.job import Job
from executor.pipeline.context import OverlayDisk
from executor.pipeline.planner import Plan
from executor.pipeline.world import IdealWorld
from executor.testing import jobs
from executor.testing.pipeline import Scene, placed, planned

STAND_IN = """\
#!/bin/sh
if test "$1" = --version; then echo "QEMU emulator version 9.9.9 (stand-in)"; exit; fi
echo "booted with $*"
exec sleep 600
"""
TCG = Accelerator(False)


def device(command: str = "qemu-system-x86_64", **parameters: Any) -> Device:
    given = {"command": command, "options": ["-m 256", "-nic none"], **parameters}
    return Device(boot_methods={"qemu": {"parameters": given}}, available_architectures=["amd64"])


def execute(known: Device, **context: Any) -> ExecuteQemu:
    action = placed(ExecuteQemu(known, context), section="boot")
    assert isinstance(action, ExecuteQemu)
    return action


# -- the command line


def test_the_order_is_command_options_extras_images_overlay_disk(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    action = execute(device(extra=["-smp 2", "-name 'a guest'"]))
    scene.artifact("kernel", image_arg="-kernel {kernel} -append 'console=ttyS0 quiet'")
    scene.artifact("rootfs", image_arg="-drive format=raw,file={rootfs}")
    scene.artifact("notes")
    scene.namespace.overlay_disk = OverlayDisk(tmp_path / "o", "uuid", ["-drive", "file=/o"])
    argv = action.command_line(scene.attempt(action), TCG)
    cache = tmp_path / "cache"
    assert argv == [
        "qemu-system-x86_64",
        *["-m", "256", "-nic", "none", "-smp", "2", "-name", "a guest"],
        *["-kernel", str(cache / "kernel.img"), "-append", "console=ttyS0 quiet"],
        *["-drive", f"format=raw,file={cache / 'rootfs.img'}"],
        *["-drive", "file=/o"],
        *["-accel", "tcg"],
    ]


def test_the_firmwares_directory_is_searched(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.artifact("uefi").path = Path("/work/firmware-1")
    action = execute(device())
    assert "-L /work/firmware-1" in " ".join(action.command_line(scene.attempt(action), TCG))


def test_an_image_may_name_another(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.artifact("kernel", image_arg="-kernel {kernel} -dtb {dtb}")
    scene.artifact("dtb")
    action = execute(device())
    assert str(tmp_path / "cache/dtb.img") in action.command_line(scene.attempt(action), TCG)


def test_options_that_are_no_words_are_the_device_files_fault() -> None:
    with pytest.raises(ConfigurationError, match="split into words"):
        execute(device(options=["-name 'x"]))


# -- what it needs


def test_the_container_gets_what_the_guest_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    needs = execute(device()).needs()
    assert (needs.image, needs.network, needs.devices) == ("qemu", "none", frozenset({"kvm"}))
    assert needs.memory == 256 + 256
    assert needs.tools == {"qemu-system-x86_64"}
    assert execute(device(), no_kvm=True).needs().devices == frozenset()
    assert execute(device("qemu-system-arm")).needs().devices == frozenset()


def test_images_may_ask_for_memory_and_a_network_too() -> None:
    images = {"r": {"url": "http://h/r", "image_arg": "-hda {r} -m 2G -nic user"}}
    found = planned(jobs.job(jobs.deploy(images=images), jobs.boot()), jobs.device())
    assert (found.needs.memory, found.needs.network) == (2048 + 256, "bridge")


# -- validation


class Bare(IdealWorld):
    def tool(self, name: str) -> str:
        return f"{name} is not installed"


def test_what_can_be_seen_before_anything_runs() -> None:
    (missing,) = execute(device()).validate(Bare())
    assert (missing.error_type, "qemu-system-x86_64" in missing.message) == ("Infrastructure", True)
    (nothing,) = execute(Device(boot_methods={"qemu": {}})).validate(IdealWorld())
    assert nothing.error_type == "Configuration"
    (foreign,) = execute(device(), arch="mips").validate(IdealWorld())
    assert (foreign.error_type, foreign.hint) == ("Job", "it can: amd64")
    assert list(execute(device(), arch="amd64").validate(IdealWorld())) == []


def warnings(found: Plan) -> list[str]:
    return [p.message for a in found.walk() for p in a.validate(IdealWorld()) if p.severity == "warning"]


def test_an_image_that_brings_qemu_is_told_to_be_of_no_use() -> None:
    found = planned(jobs.job(jobs.deploy(), jobs.boot(docker={"image": "x"})), jobs.device())
    assert any("docker" in text for text in warnings(found))


# -- a guest


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "qemu-system-x86_64"
    program.parent.mkdir()
    program.write_text(STAND_IN)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")


def scene_of(tmp_path: Path, **worker: Any) -> Scene:
    return Scene(tmp_path, job=Job(job_name="t"), device=device(), clock=time.monotonic, **worker)


@pytest.mark.usefixtures("stand_in")
def test_a_guests_console_is_the_namespaces_and_ends_with_the_cleanup(tmp_path: Path) -> None:
    scene = scene_of(tmp_path, accelerator="tcg", accelerator_reason="/dev/kvm is missing")
    action = execute(device())
    run = scene.run(action)
    console = scene.namespace.console
    assert console is not None
    console.expect("booted with -m 256", run.deadline)
    assert run.results["qemu_version"] == "9.9.9"
    assert run.results["accelerator"] == "tcg"
    assert "accelerator: tcg (/dev/kvm is missing)" in scene.journal.messages(journal.INFO)
    recording = scene.context.out / "console-common-0.raw"
    assert b"booted with" in recording.read_bytes()
    assert recording.stat().st_mode & 0o777 == 0o600
    action.cleanup(run)
    assert not console.alive
    assert (scene.namespace.console, scene.context.consoles) == (None, [])
    action.cleanup(run)


@pytest.mark.usefixtures("stand_in")
def test_another_boot_ends_the_guest_of_before(tmp_path: Path) -> None:
    scene = scene_of(tmp_path)
    action = execute(device())
    scene.run(action)
    first = scene.namespace.console
    assert first is not None
    run = scene.run(action)
    assert not first.alive
    assert (scene.namespace.boots, len(scene.context.consoles)) == (2, 1)
    action.cleanup(run)


def test_a_qemu_that_does_not_start_is_the_labs_fault(tmp_path: Path) -> None:
    scene = scene_of(tmp_path)
    with pytest.raises(InfrastructureError, match="QEMU does not start"):
        scene.run(execute(device("qemu-system-nothing")))
    assert scene.namespace.console is None


def test_cleanup_copes_with_a_run_that_never_was(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    action = execute(device())
    action.cleanup(scene.attempt(action))
