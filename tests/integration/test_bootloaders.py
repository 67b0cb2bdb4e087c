# SPDX-License-Identifier: Apache-2.0
"""Real bootloaders in QEMU: their countdowns, their echo, their complaints."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from executor.console.ports import ProcessPort
from executor.errors import InfrastructureError
from executor.model import journal
from executor.model.deadline import Deadline
from executor.pipeline.engine import Engine, Outcome
from executor.testing import jobs
from executor.testing.pipeline import Scene, planned

FIRMWARE = Path("/usr/lib/u-boot/qemu_arm64/u-boot.bin")
IPXE = Path("/usr/lib/ipxe/qemu/pxe-virtio.rom")  # QEMU loads it by itself
GUEST = Path(__file__).resolve().parents[2] / ".lava-exec" / "assets" / "arm64"
NETWORK = "-netdev user,id=n,tftp={tftp} -device {card},netdev=n"
QUIET = "-display none -monitor none -serial stdio"

u_boot = pytest.mark.skipif(
    not (FIRMWARE.is_file() and shutil.which("qemu-system-aarch64")),
    reason="needs qemu-system-arm and u-boot-qemu",
)
ipxe = pytest.mark.skipif(
    not (IPXE.exists() and shutil.which("qemu-system-x86_64")), reason="needs qemu-system-x86 and ipxe-qemu"
)


def board(connect: str, **methods: Any) -> dict[str, Any]:
    """A board that gets its power from the one who connects."""
    tags = ["primary", "shell"]
    device = jobs.device(commands={"connections": {"serial": {"connect": connect, "tags": tags}}})
    device["actions"]["boot"]["methods"] = methods
    return device


def boot(tmp_path: Path, *commands: str, loader: str = "u-boot", **block: Any) -> tuple[Scene, Outcome]:
    """Run a job that types `commands`; its TFTP server has one file, `script`."""
    tftp = tmp_path / "tftp"
    tftp.mkdir()
    (tftp / "script").write_text("#!ipxe\necho by script\n")
    if loader == "u-boot":
        network = NETWORK.format(tftp=tftp, card="virtio-net-device")
        machine = f"qemu-system-aarch64 -M virt -cpu cortex-a57 -m 256 {QUIET} -bios {FIRMWARE}"
        parameters = {"bootloader_prompt": "=> ", "interrupt_char": " "}
    else:
        network = NETWORK.format(tftp=tftp, card="virtio-net-pci,bootindex=1")
        machine = "qemu-system-x86_64 -M q35 -accel tcg -m 256 -nographic -monitor none -serial stdio"
        parameters = {"bootloader_prompt": "iPXE>"}
    device = board(f"{machine} {network}", **{loader: {"parameters": parameters}})
    given = block or {"method": "bootloader", "bootloader": loader, "reset_device": False}
    job = jobs.job({"boot": {**given, "commands": list(commands), "timeout": {"minutes": 3}}})
    plan = planned(job, device)
    assert plan.errors == []
    scene = Scene(tmp_path, job=plan.job, device=plan.device, clock=time.monotonic)
    return scene, Engine(plan, scene.context).run()


def text(scene: Scene) -> str:
    return "\n".join(str(line) for line in scene.journal.messages(journal.TARGET))


@u_boot
def test_u_boot_is_stopped_and_answers(tmp_path: Path) -> None:
    scene, outcome = boot(tmp_path, "setenv greeting hello", "echo ${greeting} from {LAVA_JOB_ID}", "version")
    assert outcome.error is None
    assert "hello from 42" in text(scene)
    assert "U-Boot 20" in text(scene)
    assert scene.journal.messages(journal.WARNING) == []


@u_boot
def test_a_file_by_tftp(tmp_path: Path) -> None:
    commands = ["setenv autoload no", "dhcp", "tftpboot 0x41000000 script", "echo size ${filesize}"]
    scene, outcome = boot(tmp_path, *commands)
    assert outcome.error is None
    assert "size 16" in text(scene)


@u_boot
def test_a_file_that_the_server_does_not_have(tmp_path: Path) -> None:
    scene, outcome = boot(tmp_path, "setenv autoload no", "dhcp", "tftpboot 0x41000000 nothing", "version")
    assert isinstance(outcome.error, InfrastructureError)
    assert "'tftpboot 0x41000000 nothing'" in outcome.error.message
    assert "not found" in outcome.error.message.lower()
    assert outcome.action == "bootloader-commands"
    assert "version" not in scene.journal.messages(journal.INPUT)


@u_boot
def test_characters_that_are_lost_on_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, lost = ProcessPort.write, []

    def lossy(port: ProcessPort, data: bytes, deadline: Deadline) -> None:
        if data == b"echo one two" and not lost:
            lost.append(data)
            data = b"echo ne two"
        write(port, data, deadline)

    monkeypatch.setattr(ProcessPort, "write", lossy)
    scene, outcome = boot(tmp_path, "echo one two", "version")
    assert outcome.error is None
    (warning,) = scene.journal.messages(journal.WARNING)
    assert "characters were lost" in str(warning)
    said = text(scene).splitlines()
    assert "one two" in said
    assert "ne two" not in said


@u_boot
def test_a_kernel_that_is_none(tmp_path: Path) -> None:
    scene, outcome = boot(tmp_path, "booti 0x41000000 - 0x42000000", method="u-boot", reset=False)
    assert isinstance(outcome.error, InfrastructureError)
    assert "booti" in outcome.error.message
    assert "Bad Linux ARM64 Image magic" in text(scene)


@u_boot
def test_a_second_attempt_after_a_reset(tmp_path: Path) -> None:
    """The first attempt misses its file; the reset before the second one brings it."""
    tftp, monitor = tmp_path / "tftp", tmp_path / "monitor"
    tftp.mkdir()
    reset = tmp_path / "reset.py"
    reset.write_text(
        "import pathlib, socket, sys, time\n"
        "monitor, count, file = sys.argv[1:]\n"
        "for _ in range(600):\n"  # the board has just been switched on
        "    if pathlib.Path(monitor).exists(): break\n"
        "    time.sleep(0.05)\n"
        "number = len(pathlib.Path(count).read_text()) if pathlib.Path(count).exists() else 0\n"
        "pathlib.Path(count).write_text('x' * (number + 1))\n"
        "if number: pathlib.Path(file).write_text('late')\n"
        "with socket.socket(socket.AF_UNIX) as s:\n"
        "    s.connect(monitor); s.recv(100); s.sendall(b'system_reset\\n'); s.recv(100)\n"
    )
    machine = "qemu-system-aarch64 -M virt -cpu cortex-a57 -m 256 -display none -serial stdio"
    network = NETWORK.format(tftp=tftp, card="virtio-net-device")
    connect = f"{machine} -monitor unix:{monitor},server,nowait -bios {FIRMWARE} {network}"
    device = board(connect, **{"u-boot": {"parameters": {"bootloader_prompt": "=> "}}})
    device["commands"]["hard_reset"] = f"{sys.executable} {reset} {monitor} {tmp_path}/count {tftp}/late"
    block = {
        "method": "u-boot",
        "failure_retry": 2,
        "timeout": {"minutes": 4},
        "commands": ["setenv autoload no", "dhcp", "tftpboot 0x41000000 late", "echo size ${filesize}"],
        "parameters": {"bootloader-final-message": "size 4"},
    }
    plan = planned(jobs.job({"boot": block}), device)
    scene = Scene(tmp_path, job=plan.job, device=plan.device, clock=time.monotonic)
    outcome = Engine(plan, scene.context).run()
    assert outcome.error is None
    warnings = [str(line) for line in scene.journal.messages(journal.WARNING)]
    assert any("uboot-action failed: 1 of 2 attempts" in line and "not found" in line for line in warnings)


@u_boot
@pytest.mark.skipif(not (GUEST / "vmlinuz").is_file(), reason=f"no guest in {GUEST}: run `make assets`")
def test_linux_by_tftp_from_reset_to_a_test(tmp_path: Path) -> None:
    tftp = tmp_path / "tftp"
    tftp.mkdir()
    network = NETWORK.format(tftp=tftp, card="virtio-net-device")
    machine = f"qemu-system-aarch64 -M virt -cpu cortex-a57 -m 1024 {QUIET} -bios {FIRMWARE} {network}"
    tree = tmp_path / "virt.dtb"
    dump = machine.replace("-M virt", f"-M virt,dumpdtb={tree}")
    subprocess.run(shlex.split(dump), check=True, timeout=30)
    commands = [
        "setenv autoload no",
        "dhcp",
        "setenv serverip {SERVER_IP}",
        "tftpboot {KERNEL_ADDR} {KERNEL}",
        "tftpboot {DTB_ADDR} {DTB}",
        "tftpboot {TEE_ADDR} {TEE}",
        "tftpboot {RAMDISK_ADDR} {RAMDISK}",
        "setenv initrd_size ${filesize}",
        "setenv bootargs 'console=ttyAMA0,115200n8'",
        "{BOOTX}",
    ]
    device = board(
        machine, **{"u-boot": {"parameters": {"bootloader_prompt": "=> "}, "ramdisk": {"commands": commands}}}
    )
    device["parameters"] = {"booti": {"kernel": "0x41000000", "ramdisk": "0x49000000", "dtb": "0x48000000"}}
    device["actions"]["deploy"] = {"parameters": {"add_header": "raw"}, "methods": {"tftp": None}}
    deploy = {
        "to": "tftp",
        "os": "oe",
        "kernel": {"url": "http://h/Image", "type": "image"},
        "ramdisk": {"url": "http://h/initramfs.cpio.gz", "compression": "gz"},
        "dtb": {"url": "http://h/virt.dtb"},
    }
    start = {"method": "u-boot", "commands": "ramdisk", "reset": False, "prompts": ["/ # "]}
    minutes = {"timeout": {"minutes": 6}}
    plan = planned(
        jobs.job(
            {"deploy": deploy},
            {"boot": {**start, **minutes}},
            jobs.shell_test(**minutes),
            timeouts={"job": {"minutes": 15}, "connection": {"minutes": 3}},
        ),
        device,
    )
    scene = Scene(tmp_path, job=plan.job, device=plan.device, clock=time.monotonic, dispatcher_ip="10.0.2.2")
    scene.context.tftp = tftp
    files = {"Image": GUEST / "vmlinuz", "initramfs.cpio.gz": GUEST / "initramfs.cpio.gz", "virt.dtb": tree}
    scene.agent.files = {f"http://h/{name}": path.read_bytes() for name, path in files.items()}
    outcome = Engine(plan, scene.context).run()
    assert outcome.error is None
    assert re.search(r"booti 0x41000000 0x49000000:\$\{initrd_size\} 0x48000000", text(scene))
    assert "{TEE}" not in text(scene)
    (smoke,) = [r for r in scene.journal.messages(journal.RESULTS) if r["case"] == "0_smoke"]
    assert smoke["result"] == "pass"


@ipxe
def test_ipxe_is_stopped_and_loads_a_script(tmp_path: Path) -> None:
    long = "echo ${greeting} from {LAVA_JOB_ID} with more than fits into one line of a terminal that has 80"
    commands = ["dhcp net0", "set greeting hello", long, "chain tftp://10.0.2.2/script"]
    scene, outcome = boot(tmp_path, *commands, loader="ipxe")
    assert outcome.error is None
    assert "hello from 42 with more than fits" in text(scene)
    assert "by script" in text(scene)
