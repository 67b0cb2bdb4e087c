# SPDX-License-Identifier: Apache-2.0
"""`from: bzr`, with a stand-in that notes its arguments."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from executor.actions import vcs
from executor.actions.definition import Definition
from executor.actions.origin import BzrRepo
from executor.actions.origin.bzr import branch, check_bzr_url
from executor.errors import InfrastructureError, JobError
from executor.model.job import Block
from executor.pipeline.world import IdealWorld, LocalWorld
from executor.testing.pipeline import Scene, placed

BLOCK = Block(section="test", index=2, parameters={}, path=("actions", 2, "test"))
URL = "https://bzr.example.org/tests/trunk"
BZR = """\
#!/bin/sh
echo "$*" >> "$BZR_CALLS"
case $1 in
branch) test "$4" != https://bzr.example.org/gone || exit 3; mkdir "$5"; touch "$5/smoke.yaml";;
update) test "$3" != --revision=99 || exit 3;;
revno) echo 17;;
esac
"""


def definition(**keys: Any) -> Definition:
    entry = {"from": "bzr", "repository": URL, "path": "smoke.yaml", "name": "smoke", **keys}
    return Definition(0, entry, BLOCK, 1)


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(vcs, "PAUSE", 0.0)
    program = tmp_path / "bin" / "brz"
    program.parent.mkdir()
    program.write_text(BZR)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("BZR_CALLS", str(tmp_path / "calls"))
    return tmp_path / "calls"


def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path / "scene", clock=time.monotonic)


def test_a_branch_is_got_and_its_revision_told(tmp_path: Path, calls: Path) -> None:
    made = scene(tmp_path)
    run = made.run(BzrRepo(definition(revision=17)))
    source = made.namespace.sources[0]
    assert (source.commit_id, run.results["commit"]) == ("17", "17")
    assert (source.directory / "smoke.yaml").exists()
    assert calls.read_text().splitlines() == [
        f"branch --quiet -- {URL} {source.directory}",
        f"update --quiet --revision=17 {source.directory}",
        f"revno --tree {source.directory}",
    ]
    assert (made.context.out / "sources/common-0.tar.gz").is_file()


def test_a_revision_that_is_not_there_is_the_jobs_fault(tmp_path: Path, calls: Path) -> None:
    with pytest.raises(JobError, match="failed with code 3"):
        scene(tmp_path).run(BzrRepo(definition(revision=99)))


def test_the_network_is_given_six_chances(tmp_path: Path, calls: Path) -> None:
    made = scene(tmp_path)
    with pytest.raises(InfrastructureError, match="cannot branch https://bzr.example.org/gone"):
        made.run(BzrRepo(definition(repository="https://bzr.example.org/gone")))
    assert len(calls.read_text().splitlines()) == 6


def test_a_tool_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (problem,) = placed(BzrRepo(definition())).validate(LocalWorld())
    assert problem.error_type == "Infrastructure"
    assert "brz is not installed" in problem.message
    run = Scene(tmp_path / "scene").attempt(BzrRepo(definition()))
    with pytest.raises(InfrastructureError, match="brz is not installed") as caught:
        branch(URL, tmp_path / "t", run)
    assert "Debian package brz" in caught.value.hint


@pytest.mark.parametrize(
    "url", [URL, "lp:project", "lp:~user/project/branch", "bzr://h/x", "bzr+ssh://me@h/x", "sftp://h/x"]
)
def test_urls_of_these_kinds(url: str) -> None:
    check_bzr_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "-Ossl.x=y",
        "--x",
        "/srv/x",
        "x",
        "file:///x",
        "ext::sh",
        "https://-x/y",
        "bzr+ssh://me:pw@h/x",
        "https://[x",
        "a b",
        "",
    ],
)
def test_everything_else_is_refused(url: str) -> None:
    with pytest.raises(JobError) as caught:
        check_bzr_url(url)
    assert "pw" not in caught.value.message


@pytest.mark.parametrize(
    ("keys", "key"),
    [({"branch": "x"}, "branch"), ({"revision": "-x"}, "revision"), ({"repository": "x"}, "repository")],
)
def test_problems_stand_at_their_key(keys: dict[str, Any], key: str) -> None:
    (problem,) = placed(BzrRepo(definition(**keys))).validate(IdealWorld())
    assert problem.path[-1] == key
