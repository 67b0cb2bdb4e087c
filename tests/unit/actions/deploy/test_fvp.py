# SPDX-License-Identifier: Apache-2.0
"""Images for a model."""

from __future__ import annotations

from pathlib import Path

from executor.actions.deploy.fvp import FvpDeploy, FvpParameters
from executor.model.job import Resource
from executor.testing import jobs
from executor.testing.boards import board, names
from executor.testing.pipeline import Scene, placed

ROOTFS = {"url": "http://h/r.img", "format": "ext4", "partition": 1, "overlays": {"lava": True}}
DEPLOY = {
    "deploy": {"to": "fvp", "os": "oe", "images": {"bl1": {"url": "http://h/bl1.bin"}, "rootfs": ROOTFS}}
}


def test_the_overlay_goes_into_the_image_that_asks_for_it() -> None:
    boot = {"boot": {"method": "minimal", "prompts": ["# "]}}
    found = names(board("deploy", "fvp"), DEPLOY, boot, jobs.shell_test())
    top = found[: found.index("minimal-boot")]
    assert top[0] == "fvp-deploy"
    assert top[-5:] == [
        *("  download-retry", "    http-download", "  download-retry", "    http-download"),
        "    append-overlays",
    ]


def test_a_model_gets_files_that_it_may_write_to(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    shared = scene.artifact("bl1", b"boot", url="http://h/bl1.bin").path
    action = FvpDeploy(FvpParameters(to="fvp", images={"bl1": Resource(url="http://h/bl1.bin")}))
    run = scene.attempt(placed(action))
    action.after(run)
    own = scene.namespace.artifacts["bl1"]
    assert (own.path.name, own.shared) == ("bl1.bin", False)
    own.path.write_bytes(b"changed")
    assert shared.read_bytes() == b"boot"
