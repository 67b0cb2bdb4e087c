# SPDX-License-Identifier: Apache-2.0
"""A tree, images of it in every geometry, and an overlay: made once a module."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from executor.testing.images import OVERLAY, make_image, make_tree
from executor.testing.tarballs import write_tar


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is in the images before."""
    top = tmp_path_factory.mktemp("tree")
    make_tree(top)
    return top


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, tree: Path) -> Callable[[str], Path]:
    """Images by the name of their geometry; not to be written to."""
    folder = tmp_path_factory.mktemp("images")

    def make(name: str) -> Path:
        path = folder / f"{name}.img"
        if not path.exists():
            make_image(path, name, tree)
        return path

    return make


@pytest.fixture
def tar(tmp_path: Path) -> Path:
    """The overlay."""
    return write_tar(tmp_path / "overlay.tar.gz", OVERLAY, "gz")
