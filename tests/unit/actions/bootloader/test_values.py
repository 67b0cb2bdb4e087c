# SPDX-License-Identifier: Apache-2.0
"""The values of placeholders: files at the servers, addresses in memory, the command that boots."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from executor.actions.bootloader import values
from executor.actions.bootloader.kernel import Start, start_of
from executor.model.device import Device
from executor.model.worker import Worker
from executor.pipeline.context import Artifact, Namespace, NfsRoot

BOOTZ = {"kernel": "0x82000000", "ramdisk": "0x83000000", "dtb": "0x88000000"}


def namespace(**served: str) -> Namespace:
    made = Namespace("common")
    for label, name in served.items():
        made.artifacts[label] = Artifact(label, Path("/x"), served=name)
    return made


def test_files_are_named_as_the_server_has_them() -> None:
    given = namespace(kernel="42/a/kernel/zImage", initrd="42/a/initrd/i.gz", dtbo10="k", dtbo9="n")
    given.nfs_root, given.extra_files = NfsRoot("10.0.0.2", "/srv/nfs/42"), "42/a/extra_files"
    assert values.of_files(given) == {
        "KERNEL": "42/a/kernel/zImage",
        "RAMDISK": "42/a/initrd/i.gz",
        "INITRD": "42/a/initrd/i.gz",
        "DTBO0": "n",
        "DTBO1": "k",
        "NFSROOTFS": "/srv/nfs/42",
        "NFS_SERVER_IP": "10.0.0.2",
        "EXTRA_FILES_DIR": "42/a/extra_files",
    }


def test_the_tftp_server_may_have_an_address_of_its_own() -> None:
    assert values.of_worker(Worker("42", dispatcher_ip="10.0.0.1")) == {
        "SERVER_IP": "10.0.0.1",
        "LAVA_DISPATCHER_IP": "10.0.0.1",
        "LAVA_JOB_ID": "42",
        "JOB_ID": "42",
    }
    assert (
        values.of_worker(Worker("42", dispatcher_ip="10.0.0.1", tftp_ip="10.0.0.9"))["SERVER_IP"]
        == "10.0.0.9"
    )


@pytest.mark.parametrize(
    ("header", "files", "address", "command"),
    [
        ("u-boot", {"RAMDISK": "r"}, "0x83000000", "bootz 0x82000000 0x83000000 0x88000000"),
        ("raw", {"RAMDISK": "r"}, "0x83000000", "bootz 0x82000000 0x83000000:${initrd_size} 0x88000000"),
        (None, {"RAMDISK": "r"}, "-", "bootz 0x82000000 - 0x88000000"),
        ("u-boot", {}, "-", "bootz 0x82000000 - 0x88000000"),
    ],
)
def test_how_the_ramdisk_is_handed_over(
    header: str | None, files: dict[str, str], address: str, command: str
) -> None:
    device = Device(deploy_parameters={"add_header": header})
    known = values.of_memory(Start("bootz", BOOTZ), device, files)
    assert (known["RAMDISK_ADDR"], known["BOOTX"]) == (address, command)


def test_a_trusted_environment_starts_in_place_of_the_kernel() -> None:
    table = {**BOOTZ, "tee": "0x90000000"}
    known = values.of_memory(Start("bootm", table), Device(), {"TEE": "tee.bin"})
    assert known["BOOTX"] == "bootm 0x90000000 - 0x88000000"
    assert "TEE_ADDR" not in values.of_memory(Start("bootm", BOOTZ), Device(), {})


def test_overlays_get_room() -> None:
    known = values.of_memory(
        Start("bootz", {**BOOTZ, "dtbo": "0x9"}), Device(parameters={"dtb_base_resize": 4}), {}
    )
    assert {k: known[k] for k in ("DTBO_ADDR", "DTB_BASE_ADDR", "DTB_BASE_RESIZE")} == {
        "DTBO_ADDR": "0x9",
        "DTB_BASE_ADDR": "0x88000000",
        "DTB_BASE_RESIZE": "4",
    }


@pytest.mark.parametrize(
    ("kernel_type", "boot_type", "parameters", "expected"),
    [
        ("zimage", "", {"bootz": BOOTZ}, Start("bootz", BOOTZ)),
        ("zimage", "", {"zimage": BOOTZ}, Start("bootz", BOOTZ)),
        ("image", "", {"bootm": BOOTZ}, Start("bootm", BOOTZ)),
        ("uimage", "", {"bootz": BOOTZ}, Start("bootm", None)),
        ("", "booti", {"booti": BOOTZ}, Start("booti", BOOTZ)),
        ("image", "booti", {"bootm": BOOTZ}, Start("booti", None)),
        ("", "", {"bootm": BOOTZ}, Start()),
        ("zimage", "", {}, Start("bootm", None)),
    ],
)
def test_what_starts_a_kernel(
    kernel_type: str, boot_type: str, parameters: dict[str, Any], expected: Start
) -> None:
    assert start_of(kernel_type, boot_type, Device(parameters=parameters)) == expected
