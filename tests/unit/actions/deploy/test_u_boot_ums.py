# SPDX-License-Identifier: Apache-2.0
"""An image for U-Boot's mass storage mode."""

from __future__ import annotations

from executor.testing import jobs
from executor.testing.boards import board, names

DEPLOY = {
    "deploy": {"to": "u-boot-ums", "os": "oe", "image": {"url": "http://h/disk.img", "root_partition": 1}}
}
BOOT = {"boot": {"method": "minimal", "prompts": ["# "]}}


def test_the_image_alone() -> None:
    found = names(board("deploy", "u-boot-ums"), DEPLOY)
    assert found == ["uboot-ums-deploy", "  download-retry", "    http-download"]


def test_the_overlay_goes_into_it_where_a_test_needs_it() -> None:
    found = names(board("deploy", "u-boot-ums"), DEPLOY, BOOT, jobs.shell_test())
    top = [name for name in found[: found.index("minimal-boot")] if name.startswith("  ") and name[2] != " "]
    assert top == ["  download-retry", "  lava-overlay", "  apply-overlay-image", "  deploy-device-env"]
