# SPDX-License-Identifier: Apache-2.0
"""The overlay in an image that is written to a board: see tests of `inject` for what it does to images."""

from __future__ import annotations

from pathlib import Path

import pytest

from executor.actions.overlayimage import ApplyOverlayImage
from executor.errors import JobError
from executor.model.job import Resource
from executor.testing.pipeline import Scene, placed


def test_an_image_that_cannot_take_it_is_the_jobs_fault(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.artifact("image", b"no file system", url="http://h/disk.img")
    action = ApplyOverlayImage("image", Resource(url="http://h/disk.img", root_partition=1))
    with pytest.raises(JobError, match="image"):
        scene.run(placed(action))
    assert action.label == "image"
    assert not scene.namespace.overlay_applied
