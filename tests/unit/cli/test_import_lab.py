# SPDX-License-Identifier: Apache-2.0
"""`import`: shows what it would write, writes when told, names what stands in the way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from executor.testing import jobs

from .conftest import Cli


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    folder = tmp_path / "lab"
    folder.mkdir()
    data = jobs.device(commands={"connect": "telnet localhost 7001"}, hostname="board-1", device_type="board")
    (folder / "board-1.yaml").write_text(yaml.safe_dump(data))
    return folder


def test_a_dry_run_shows_and_writes_nothing(cli: Cli, lab: Path, tmp_path: Path) -> None:
    result = cli("import", lab, "--into", tmp_path / "configs", "-v")
    assert result.exit_code == 0, result.stderr
    assert "types/board.yaml" in result.stdout
    assert "extends: board" in result.stdout
    assert "network  telnet localhost 7001" in result.stdout
    assert "nothing written (use --write)" in result.stderr
    assert not (tmp_path / "configs").exists()


def test_written_once(cli: Cli, lab: Path, tmp_path: Path) -> None:
    args = ("import", lab, "--into", tmp_path / "configs", "--write", "--worker", "rack1")
    assert "2 written" in cli(*args).stderr
    device = tmp_path / "configs" / "devices" / "board-1.yaml"
    assert yaml.safe_load(device.read_text())["worker"] == "rack1"
    assert "0 new files, 2 unchanged" in cli(*args).stderr


def test_what_stands_in_the_way_is_named_and_kept(cli: Cli, lab: Path, tmp_path: Path) -> None:
    args = ("import", lab, "--into", tmp_path / "configs", "--write")
    cli(*args)
    device = tmp_path / "configs" / "devices" / "board-1.yaml"
    device.write_text(device.read_text() + "tags: [mine]\n")
    result = cli(*args)
    assert result.exit_code == 3
    assert "differs  devices/board-1.yaml" in result.stdout
    assert "1 differ from what is there" in result.stderr
    assert "mine" in device.read_text()
    assert cli(*args, "--replace").exit_code == 0
    assert "mine" not in device.read_text()


def test_for_programs(cli: Cli, lab: Path, tmp_path: Path) -> None:
    (lab / "bad.yaml").write_text("hostname: [\n")
    result = cli("import", lab, "--into", tmp_path / "configs", "--format", "json")
    assert result.exit_code == 3
    data = json.loads(result.stdout)
    assert [(f["path"], f["status"], f["written"]) for f in data["files"]] == [
        ("types/board.yaml", "new", False),
        ("devices/board-1.yaml", "new", False),
    ]
    assert data["devices"][0]["needs"][0]["kind"] == "network"
    assert [(p["line"], Path(p["file"]).name) for p in data["problems"]] == [(1, "bad.yaml")]


def test_usage(cli: Cli, lab: Path) -> None:
    assert cli("import").exit_code == 64
    assert cli("import", lab, "--replace").exit_code == 64
