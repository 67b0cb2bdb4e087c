# SPDX-License-Identifier: Apache-2.0
"""Images for NXP's uuu."""

from __future__ import annotations

from typing import Any

from executor.testing import jobs
from executor.testing.boards import board, names, problems


def deploy(**images: Any) -> dict[str, Any]:
    return {"deploy": {"to": "uuu", "os": "debian", "images": images}}


BOOTLOADER = {"url": "http://h/imx-boot.bin"}


def test_the_plan_with_a_test() -> None:
    device = board("boot", "uuu", {"options": {}})
    boot = {"boot": {"method": "minimal", "prompts": ["# "]}}
    block = deploy(boot=BOOTLOADER, system={"url": "http://h/rootfs.wic", "root_partition": 1})
    found = names(device, block, boot, jobs.shell_test())
    top = [name for name in found[: found.index("minimal-boot")] if name.startswith("  ") and name[2] != " "]
    assert top == [
        *("  lava-overlay", "  download-retry", "  download-retry", "  apply-overlay-image"),
        "  deploy-device-env",
    ]


def test_a_bootloader_must_be_among_them() -> None:
    assert problems(board("boot", "uuu"), deploy(system=BOOTLOADER)) == ["images has no boot"]


def test_the_device_lists_it_as_a_boot_method() -> None:
    [text] = problems(board("deploy", "uuu"), deploy(boot=BOOTLOADER))
    assert "uuu: the device file has no boot method 'uuu'" in text
