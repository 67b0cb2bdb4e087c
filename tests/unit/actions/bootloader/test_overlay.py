# SPDX-License-Identifier: Apache-2.0
"""`bootloader-overlay` and what it is made of: command sets, a disk of the device, scripts by TFTP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from executor.actions.boot.depthcharge import DepthchargeOverlay, DepthchargeParameters
from executor.actions.boot.u_boot import UBootParameters
from executor.actions.bootloader.kernel import planned_kernel_type
from executor.actions.bootloader.media import UBootFromMedia
from executor.actions.bootloader.overlay import BootloaderOverlay
from executor.actions.bootloader.script import IPXE
from executor.actions.bootloader.settings import Bootloader
from executor.errors import JobError
from executor.model import journal
from executor.model.device import Device
from executor.model.job import BootParameters
from executor.pipeline.context import NfsRoot
from executor.pipeline.planner import Site
from executor.pipeline.world import IdealWorld
from executor.schema.job import parse_job
from executor.testing import jobs
from executor.testing.pipeline import Scene, placed

NFS = [
    "dhcp",
    "tftp {KERNEL_ADDR} {KERNEL}",
    "tftp {RAMDISK_ADDR} {RAMDISK}",
    "setenv bootargs 'nfsroot={NFS_SERVER_IP}:{NFSROOTFS},tcp'",
    "{BOOTX}",
]
USB = ["load usb 0:{ROOT_PART} {KERNEL_ADDR} {KERNEL}", "setenv bootargs 'root={ROOT}'", "{BOOTX}"]
DEVICE = Device(
    boot_methods={"u-boot": {"nfs": {"commands": NFS}}},
    deploy_parameters={"add_header": "u-boot"},
    parameters={
        "bootz": {"kernel": "0x82", "ramdisk": "0x83", "dtb": "0x88"},
        "media": {"usb": {"UUID-required": True, "stick": {"uuid": "usb-x", "device_id": 0}}},
    },
)
LOADER = Bootloader("u-boot", {"nfs": {"commands": NFS}, "usb": {"commands": USB}}, prompt="=> ")


def scene(path: Path, *, device: Device = DEVICE) -> Scene:
    made = Scene(path, device=device, dispatcher_ip="10.0.0.1")
    made.artifact("kernel", served="42/k/zImage")
    made.namespace.kernel_type = "zimage"
    return made


def parameters(commands: Any, **more: Any) -> UBootParameters:
    return UBootParameters(method="u-boot", commands=commands, **more)


def overlay(commands: Any, loader: Bootloader = LOADER, **more: Any) -> BootloaderOverlay:
    action = placed(BootloaderOverlay(loader, parameters(commands, **more)), section="boot")
    assert isinstance(action, BootloaderOverlay)
    return action


def test_a_set_of_the_device_is_filled_in(tmp_path: Path) -> None:
    made = scene(tmp_path)
    made.namespace.nfs_root = NfsRoot("10.0.0.2", "/srv/nfs/42/a")
    made.run(overlay("nfs"))
    assert made.namespace.bootloader_commands == [
        "dhcp",
        "tftp 0x82 42/k/zImage",
        "setenv bootargs 'nfsroot=10.0.0.2:/srv/nfs/42/a,tcp'",
        "bootz 0x82 - 0x88",
    ]
    assert made.namespace.substitutions["{SERVER_IP}"] == "10.0.0.1"
    assert made.namespace.substitutions["{BOOTX}"] == "bootz 0x82 - 0x88"
    assert "left out, there is no RAMDISK: tftp {RAMDISK_ADDR} {RAMDISK}" in made.journal.messages(
        journal.DEBUG
    )


def test_the_jobs_own_commands(tmp_path: Path) -> None:
    made = scene(tmp_path)
    made.run(overlay(["setenv ip {SERVER_IP}", "{BOOTX}"]))
    assert made.namespace.bootloader_commands == ["setenv ip 10.0.0.1", "bootz 0x82 - 0x88"]


def test_a_ramdisk_without_a_header_is_not_loaded(tmp_path: Path) -> None:
    made = scene(tmp_path, device=Device(parameters=DEVICE.parameters))
    made.artifact("ramdisk", served="42/r/initrd")
    made.run(overlay("nfs"))
    assert not any("42/r/initrd" in line for line in made.namespace.bootloader_commands)
    (tmp_path / "other").mkdir()
    made = scene(tmp_path / "other")
    made.artifact("ramdisk", served="42/r/initrd")
    made.run(overlay("nfs"))
    assert "tftp 0x83 42/r/initrd" in made.namespace.bootloader_commands


def test_a_kernel_whose_type_nobody_says(tmp_path: Path) -> None:
    made = scene(tmp_path)
    made.namespace.kernel_type = ""
    with pytest.raises(JobError, match="type of the kernel is not known"):
        made.run(overlay("nfs"))
    made.run(overlay("nfs", type="bootz"))
    assert made.namespace.bootloader_commands[-1] == "bootz 0x82 - 0x88"


def test_values_of_an_earlier_boot_do_not_stay_but_those_of_the_deploy_do(tmp_path: Path) -> None:
    made = scene(tmp_path)
    made.namespace.substitutions = {"{NBDSERVERIP}": "10.0.0.3", "{RAMDISK}": "old"}
    made.run(overlay(["echo {NBDSERVERIP}", "echo {RAMDISK}"]))
    assert made.namespace.bootloader_commands == ["echo 10.0.0.3"]
    assert "{RAMDISK}" not in made.namespace.substitutions


# -- before anything runs


@pytest.mark.parametrize(
    ("action", "kind", "words"),
    [
        (overlay("nsf"), "Job", "no command set 'nsf'"),
        (overlay(["a", ["b"]]), "Job", "command 2 is not text"),
        (overlay("nfs", Bootloader("u-boot", LOADER.options)), "Configuration", "no bootloader_prompt"),
    ],
)
def test_what_is_objected_to(action: BootloaderOverlay, kind: str, words: str) -> None:
    errors = [p for p in action.validate(IdealWorld()) if p.severity == "error"]
    assert [(p.error_type, words in p.message) for p in errors] == [(kind, True)]


def test_the_jobs_own_commands_are_warned_about() -> None:
    (problem,) = overlay(["a"]).validate(IdealWorld())
    assert problem.severity == "warning"


# -- a disk of the device


def media(**more: Any) -> UBootFromMedia:
    action = UBootFromMedia(parameters("usb", kernel="/boot/zImage", kernel_type="zimage", **more))
    return placed(action, section="boot")  # type: ignore[return-value]


def test_paths_on_a_disk_win_over_names_at_the_server(tmp_path: Path) -> None:
    made = scene(tmp_path)
    action = media(root_uuid="UUID=12", boot_part=1)
    action.medium = DEVICE.media["usb"]["stick"]
    made.run(action)
    made.run(overlay("usb", kernel_type="zimage"))
    assert made.namespace.bootloader_commands == [
        "load usb 0:1 0x82 /boot/zImage",
        "setenv bootargs 'root=UUID=12'",
        "bootz 0x82 - 0x88",
    ]
    made.run(placed(UBootFromMedia(parameters("nfs")), section="boot"))
    assert made.namespace.media == {}


@pytest.mark.parametrize(
    ("part", "medium", "expected"),
    [(1, {"device_id": 0}, "0:1"), ("0:2", {"device_id": 1}, "0:2"), (3, None, "3")],
)
def test_the_partition_with_its_disk(part: int | str, medium: dict[str, int] | None, expected: str) -> None:
    action = media(boot_part=part)
    action.medium = medium
    assert action.values()["ROOT_PART"] == expected


def test_a_disk_needs_root_and_partition() -> None:
    action = media()
    action.uuid_required = True
    assert [p.message for p in action.validate(IdealWorld())] == [
        "root_uuid is missing",
        "boot_part is missing",
    ]
    action.medium = {"boot_part": 2}
    action.uuid_required = False
    assert list(action.validate(IdealWorld())) == []
    assert list(UBootFromMedia(parameters("nfs")).validate(IdealWorld())) == []


def site(boot: dict[str, Any], deploy: dict[str, Any], device: Device = DEVICE) -> Site:
    found = parse_job(jobs.job({"deploy": deploy}, {"boot": {"method": "u-boot", **boot}})).job
    assert found is not None
    return Site(found, device, found.blocks[1], UBootFromMedia(parameters("usb")), ())


@pytest.mark.parametrize(
    ("label", "errors", "pair"),
    [
        ("stick", ["root_uuid is missing"], "0:1"),
        ("lost", ["the device file does not describe the disk"], "1"),
    ],
)
def test_the_disk_is_the_one_that_the_deploy_has_written(label: str, errors: list[str], pair: str) -> None:
    boot = {"commands": "usb", "kernel": "/k", "boot_part": 1}
    action = media(boot_part=1, **({"root_uuid": "x"} if label == "lost" else {}))
    list(action.plan(site(boot, {"to": "usb", "device": label, "image": "http://h/i"})))
    found = [p.message for p in action.validate(IdealWorld())]
    assert len(found) == len(errors)
    assert all(message.startswith(error) for message, error in zip(found, errors, strict=True))
    assert action.values()["ROOT_PART"] == pair


def test_the_only_disk_needs_no_name() -> None:
    action = media(boot_part=1, root_uuid="x")
    list(action.plan(site({"commands": "usb", "kernel": "/k"}, {"to": "usb", "image": "http://h/i"})))
    assert action.medium == {"uuid": "usb-x", "device_id": 0}


def test_the_kernels_type_is_that_of_the_last_deploy() -> None:
    given = site({"commands": "nfs"}, {"to": "tftp", "kernel": {"url": "http://h/k", "type": "zimage"}})
    assert given.block is not None
    assert planned_kernel_type(given.job, given.block) == "zimage"
    assert planned_kernel_type(given.job, given.job.blocks[0]) == ""


# -- scripts


def test_commands_as_a_script_of_ipxe(tmp_path: Path) -> None:
    made = scene(tmp_path)
    given = BootParameters(method="ipxe", commands=["kernel tftp://{SERVER_IP}/{KERNEL}", "boot"])
    made.run(placed(BootloaderOverlay(Bootloader("ipxe"), given, script=IPXE), section="boot"))
    assert made.namespace.bootloader_commands == ["dhcp net0", "chain tftp://10.0.0.1/42/k/script.ipxe"]
    script = made.namespace.artifacts["kernel"].path.parent / "script.ipxe"
    assert script.read_text() == "#!ipxe\nkernel tftp://10.0.0.1/42/k/zImage\nboot\n"


def test_a_script_needs_a_server(tmp_path: Path) -> None:
    given = BootParameters(method="ipxe", commands=["boot"])
    with pytest.raises(JobError, match="TFTP"):
        Scene(tmp_path).run(placed(BootloaderOverlay(Bootloader("ipxe"), given, script=IPXE), section="boot"))


@pytest.mark.parametrize(
    ("suffix", "ramdisk", "expected"), [(".itb", "42/r/i", ""), ("", "42/r/i", "42/r/i"), ("", "", "")]
)
def test_the_command_line_of_depthcharge_is_a_file(
    tmp_path: Path, suffix: str, ramdisk: str, expected: str
) -> None:
    made = scene(tmp_path)
    kernel = made.namespace.artifacts["kernel"]
    kernel.path = kernel.path.with_suffix(suffix)
    if ramdisk:
        made.artifact("ramdisk", served=ramdisk)
    line = "tftpboot {SERVER_IP} {DEPTHCHARGE_KERNEL} {CMDLINE} {DEPTHCHARGE_RAMDISK}"
    loader = Bootloader(
        "depthcharge", {"nfs": {"cmdline": "ip={SERVER_IP}", "commands": [line]}}, prompt="dpch:"
    )
    given = DepthchargeParameters(method="depthcharge", commands="nfs", extra_kernel_args="quiet")
    made.run(placed(DepthchargeOverlay(loader, given), section="boot"))
    assert made.namespace.bootloader_commands == [f"tftpboot 10.0.0.1 42/k/zImage 42/k/cmdline {expected}"]
    assert (kernel.path.parent / "cmdline").read_text() == "ip=10.0.0.1 quiet"
