# SPDX-License-Identifier: Apache-2.0
"""`from: file`: what is asked of the agent, which alone sees the files."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import pytest

from executor.actions.definition import Definition
from executor.actions.origin import FileRepo
from executor.errors import JobError
from executor.model.job import Block
from executor.pipeline.world import IdealWorld
from executor.testing.pipeline import Scene, placed

BLOCK = Block(section="test", index=2, parameters={}, path=("actions", 2, "test"))


def definition(repository: str = "/srv/tests", **keys: Any) -> Definition:
    entry = {"from": "file", "repository": repository, "path": "smoke.yaml", "name": "smoke", **keys}
    return Definition(0, {key: value for key, value in entry.items() if value is not None}, BLOCK, 1)


def tree(name: str = "smoke.yaml", kind: bytes = tarfile.REGTYPE, link: str = "") -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, link
        tar.addfile(info)
    return made.getvalue()


@pytest.mark.parametrize("repository", ["/srv/tests", "file:///srv/tests"])
def test_a_directory_comes_from_the_agent(tmp_path: Path, repository: str) -> None:
    scene = Scene(tmp_path)
    scene.agent.files["file:///srv/tests"] = tree()
    scene.run(FileRepo(definition(repository)))
    assert (scene.namespace.sources[0].directory / "smoke.yaml").is_file()
    (asked,) = scene.agent.asked
    assert asked.tree
    assert FileRepo(definition()).needs().mounts == {"cache", "work"}


def test_a_link_out_of_it_is_refused(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.agent.files["file:///srv/tests"] = tree("a", tarfile.SYMTYPE, "../../etc/passwd")
    with pytest.raises(JobError, match="out of the tree"):
        scene.run(FileRepo(definition()))


def test_a_yaml_file_needs_no_path() -> None:
    assert definition("file:///srv/a/smoke-1.yaml", path=None).path == "smoke-1.yaml"
    assert list(placed(FileRepo(definition("/srv/a/smoke.yml", path=None))).validate(IdealWorld())) == []


@pytest.mark.parametrize(
    ("repository", "path", "words"),
    [
        ("tests", "a.yaml", "no absolute path"),
        ("file:tests", "a.yaml", "no absolute path"),
        ("http://h/x", "a.yaml", "no absolute path"),
        ("/srv/tests", None, "path is missing"),
        ("/srv/tests", "../a.yaml", "leads out"),
    ],
)
def test_what_cannot_be_is_refused_at_its_place(repository: str, path: str | None, words: str) -> None:
    (problem,) = placed(FileRepo(definition(repository, path=path))).validate(IdealWorld())
    assert words in problem.message
    assert problem.path[:5] == ("actions", 2, "test", "definitions", 1)
