# SPDX-License-Identifier: Apache-2.0
"""Rendered device files become a type and devices; what stands in the way is named. Templates are in
tests/integration/test_lab_import.py, since they are rendered by a process of their own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from executor.master.configs import load_configs
from executor.master.lab.files import write_files
from executor.master.lab.importer import Import, Options, plan_import
from executor.master.render import render
from executor.testing import jobs


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    folder = tmp_path / "lab"
    folder.mkdir()
    for number in (1, 2):
        place(folder, f"board-{number}", commands={"connect": f"telnet ser 700{number}"}, memory=number)
    return folder


def place(folder: Path, name: str, **keys: Any) -> None:
    data = {**jobs.device(**keys), "hostname": name, "device_type": "board"}
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(data), encoding="utf-8")


def done(lab: Path, options: Options | None = None) -> Import:
    return plan_import([lab], [], lab.parent / "configs", options)


def said(found: Import) -> list[str]:
    return [problem.message for problem in found.problems]


def test_what_is_common_becomes_the_type(lab: Path) -> None:
    found = done(lab)
    assert said(found) == []
    assert [(f.path, f.status) for f in found.files] == [
        ("types/board.yaml", "new"),
        ("devices/board-1.yaml", "new"),
        ("devices/board-2.yaml", "new"),
    ]
    text = {f.path: yaml.safe_load(f.text) for f in found.files}
    assert text["devices/board-1.yaml"] == {
        "extends": "board",
        "commands": {"connect": "telnet ser 7001"},
        "memory": 1,
    }
    assert text["types/board.yaml"]["actions"] == jobs.device()["actions"]
    assert not (lab.parent / "configs").exists()


def test_what_is_written_is_the_device_again_and_nothing_is_written_twice(lab: Path) -> None:
    target = lab.parent / "configs"
    assert len(write_files(done(lab).files, target)) == 3
    configs = load_configs(target)
    assert configs.problems == []
    made = render(configs.devices["board-2"], {})
    assert made == {
        **jobs.device(),
        "hostname": "board-2",
        "device_type": "board",
        "commands": {"connect": "telnet ser 7002"},
        "memory": 2,
    }
    again = done(lab)
    assert {f.status for f in again.files} == {"same"}
    assert write_files(again.files, target) == []


def test_a_file_that_differs_is_not_replaced_unless_told(lab: Path) -> None:
    target = lab.parent / "configs"
    write_files(done(lab).files, target)
    mine = target / "devices" / "board-1.yaml"
    mine.write_text(mine.read_text() + "tags: [mine]\n")
    (target / "types" / "board.yaml").write_text(
        "# a remark\n" + (target / "types" / "board.yaml").read_text()
    )
    found = done(lab)
    assert {f.path: f.status for f in found.files}["devices/board-1.yaml"] == "differs"
    assert {f.path: f.status for f in found.files}["types/board.yaml"] == "same"
    assert write_files(found.files, target) == []
    assert [f.path for f in write_files(found.files, target, replace=True)] == ["devices/board-1.yaml"]
    assert "mine" not in mine.read_text()


def test_what_the_admin_says_stands_in_each_device(lab: Path) -> None:
    found = done(lab, Options("", "rack1", ("fast",), host_network=True, tools=("/opt/lab",)))
    data = yaml.safe_load(found.files[1].text)
    assert (data["worker"], data["tags"]) == ("rack1", ["fast"])
    assert data["container"] == {"network": "host", "tools": ["/opt/lab"]}
    assert said(found) == []


@pytest.mark.parametrize(
    ("name", "text", "message", "line"),
    [
        ("a.yaml", "hostname: a\nactions: [\n", "not valid YAML", 2),
        ("a.yaml", "", "the device file is empty", 0),
        ("a.yaml", "- a\n", "the device file is a list", 1),
        ("a.yaml", "hostname: ../../a\ndevice_type: b\nactions: {}\n", "cannot be the name of a device", 0),
        ("a.yaml", "hostname: a\ndevice_type: ../b\nactions: {}\n", "cannot be the name of a device type", 0),
        ("a.yaml", "hostname: board-1\ndevice_type: b\nactions: {}\n", "board-1 stands in", 0),
    ],
)
def test_faults_have_their_file(lab: Path, name: str, text: str, message: str, line: int) -> None:
    (lab / name).write_text(text)
    found = done(lab)
    errors = [p for p in found.errors if message in p.message]
    assert [(Path(p.file).name, p.line) for p in errors] in ([(name, line)], [("board-1.yaml", line)])
    assert "devices/a.yaml" not in {f.path for f in found.files}
    assert len([f for f in found.files if f.path.startswith("devices/board")]) >= 1


def test_faults_of_a_device_itself_are_warnings(lab: Path) -> None:
    place(lab, "board-3", constants={"failure_retry": "often"})
    found = done(lab)
    assert [(p.severity, p.message, p.line > 0) for p in found.problems] == [
        ("warning", "failure_retry is the text 'often'", True)
    ]


def test_keys_that_mean_something_else_here_are_told(lab: Path) -> None:
    place(lab, "board-3", tags="x")
    assert said(done(lab)) == ["tags means something else in device-configs and is left out"]


def test_a_file_that_does_not_say_its_type(tmp_path: Path) -> None:
    place(tmp_path, "board-3")
    file = tmp_path / "board-3.yaml"
    file.write_text(file.read_text().replace("device_type: board", "device_type: ''"))
    found = plan_import([file], [], tmp_path)
    assert [p.severity for p in found.problems] == ["warning"]
    assert [f.path for f in found.files] == ["types/board-3.yaml", "devices/board-3.yaml"]
    found = plan_import([file], [], tmp_path, Options("board"))
    assert (said(found), found.files[0].path) == ([], "types/board.yaml")


def test_a_file_that_is_not_there_and_one_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("")
    found = plan_import([tmp_path / "no.yaml", tmp_path / "a.txt"], [], tmp_path)
    assert said(found) == [
        "there is no such file or directory",
        "is neither a template nor a rendered device file",
    ]


def test_a_huge_file_is_not_read(lab: Path) -> None:
    (lab / "a.yaml").write_text("#" * (1 << 20) + "x")
    assert said(done(lab)) == ["larger than 1 MiB"]
