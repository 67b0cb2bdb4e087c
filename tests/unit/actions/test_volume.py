# SPDX-License-Identifier: Apache-2.0
"""A board's USB volume, written to without a mount; mtools are played by scripts."""

from __future__ import annotations

from pathlib import Path

import pytest

from executor.actions.volume import CloseVolume, OpenVolume, Volume, VolumeAction, file_name, opened
from executor.errors import InfrastructureError
from executor.testing.pipeline import Scene, placed
from executor.testing.tools import StandIns


class Open(OpenVolume):
    name = "open-it"


class Close(CloseVolume):
    name = "close-it"


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    made = Scene(tmp_path)
    made.context.dev = tmp_path / "dev"
    return made


def test_everything_on_it_can_be_replaced(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = StandIns(tmp_path, monkeypatch).fat(tmp_path / "dev" / "sda", "OLD.TXT", "MB/")
    tree = tmp_path / "tree"
    (tree / "MB").mkdir(parents=True)
    (tree / "MB" / "a.txt").write_text("new")
    (tree / "config file.txt").write_text("x")
    volume = Volume(tmp_path / "dev" / "sda", scene.attempt(placed(Open("/dev/sda"))))
    assert sorted(volume.names()) == ["MB", "OLD.TXT"]
    assert volume.clear() == 2
    assert volume.copy_tree(tree) == 2
    assert (content / "MB" / "a.txt").read_text() == "new"
    volume.copy(tree / "config file.txt", "b.txt", "MB")
    assert (content / "MB" / "b.txt").read_text() == "x"
    volume.flush()


def test_it_is_found_at_the_path_of_the_device_file_and_let_go_of(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    StandIns(tmp_path, monkeypatch).fat(tmp_path / "dev" / "disk/by-label/BOARD", "DETAILS.TXT")
    run = scene.run(placed(Open("/dev/disk/by-label/BOARD")))
    assert opened(run).text("DETAILS.TXT").strip() == "DETAILS.TXT"
    scene.run(placed(Close()))
    with pytest.raises(InfrastructureError, match="no volume of the board has been found"):
        opened(run)


def test_a_board_without_it_is_told(scene: Scene) -> None:
    with pytest.raises(InfrastructureError, match="/dev/disk/by-label/BOARD is not there"):
        scene.run(placed(Open("/dev/disk/by-label/BOARD")))


def test_what_is_no_volume_is_told_in_the_words_of_the_tool(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    StandIns(tmp_path, monkeypatch).make("mdir", says="init :: non DOS media", code=1)
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "sda").touch()
    with pytest.raises(InfrastructureError, match="non DOS media"):
        scene.run(placed(Open("/dev/sda")))


@pytest.mark.parametrize(
    ("given", "name"),
    [("a.hex", "a.hex"), ("../a?b", "_a_b"), (" . ", "image"), ("dir/x", "dir_x"), ("-x:y", "-x_y")],
)
def test_names_are_made_such_that_fat_takes_them(given: str, name: str) -> None:
    assert file_name(given) == name


def test_block_nodes_are_needed_but_no_capability_and_no_mount_of_the_host() -> None:
    needs = VolumeAction().needs()
    assert needs.devices == {"block"}
    assert needs.capabilities == frozenset()
