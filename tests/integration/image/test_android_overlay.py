# SPDX-License-Identifier: Apache-2.0
"""The tests' overlay into a sparse image of Android's, as a board would see it after flashing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from executor.actions.fastboot.overlay import ApplyOverlaySparseImage
from executor.model.job import Resource
from executor.testing.images import check, soon
from executor.testing.pipeline import Scene
from executor.tools.image.android import to_plain, to_sparse


@pytest.mark.parametrize("name", ["ext4", "ext2-1k"])
def test_a_board_gets_the_image_with_the_tests(
    tmp_path: Path, made: Callable[[str], Path], tree: Path, tar: Path, name: str
) -> None:
    scene = Scene(tmp_path)
    scene.namespace.overlay = tar
    artifact = scene.artifact("system")
    to_sparse(made(name), artifact.path, deadline=soon())
    original = artifact.path
    original.chmod(0o444)
    before = original.read_bytes()
    scene.run(ApplyOverlaySparseImage("system", Resource(url="http://h/system.img")))
    assert original.read_bytes() == before
    assert artifact.path != original
    board = tmp_path / "board"
    to_plain(artifact.path, board, deadline=soon())
    check(board, tree, tmp_path / "now")
