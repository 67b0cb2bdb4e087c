# SPDX-License-Identifier: Apache-2.0
"""A board's volume with the real mtools, which the unit tests only play."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from executor.actions.volume import OpenVolume, Volume
from executor.errors import InfrastructureError
from executor.testing.pipeline import Scene, placed


class Open(OpenVolume):
    name = "open-it"


@pytest.fixture
def volume(tmp_path: Path) -> Volume:
    node = tmp_path / "dev/sda"
    node.parent.mkdir()
    subprocess.run(["mformat", "-C", "-i", node, "-f", "2880", "-v", "BOARD", "::"], check=True)
    scene = Scene(tmp_path)
    return Volume(node, scene.attempt(placed(Open("/dev/sda"))))


def test_files_and_trees_are_written_read_and_replaced(volume: Volume, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "MB" / "HBI0262B").mkdir(parents=True)
    (tree / "MB" / "HBI0262B" / "images.txt").write_text("TOTALIMAGES: 5\n")
    (tree / "config file.txt").write_text("TITLE: Board\n")
    for number in range(60):
        (tree / f"file-{number}").write_text(f"{number}\n")
    assert volume.names() == []
    assert volume.copy_tree(tree) == 62
    assert len(volume.names()) == 62
    assert volume.text("config file.txt").strip() == "TITLE: Board"
    volume.copy(tree / "file-1", "mbed.elf", "MB")
    volume.copy(tree / "file-2", "mbed.elf", "MB")
    listing = subprocess.run(["mtype", "-i", volume.node, "::/MB/mbed.elf"], capture_output=True, check=True)
    assert listing.stdout == b"2\n"
    assert volume.clear() == 62
    assert volume.names() == []
    volume.flush()


def test_what_is_no_volume_is_told(volume: Volume) -> None:
    volume.node.write_bytes(bytes(4096))
    with pytest.raises(InfrastructureError, match="mdir failed"):
        volume.names()


def test_a_full_volume_is_told(volume: Volume, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(bytes(4 << 20))
    with pytest.raises(InfrastructureError, match="mcopy failed with code 1: Disk full"):
        volume.copy(tmp_path / "large", "large")
