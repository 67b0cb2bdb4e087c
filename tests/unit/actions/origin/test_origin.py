# SPDX-License-Identifier: Apache-2.0
"""Where definitions come from: directories of the job, links out of them, the ones that are kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from executor.actions.definition import Definition
from executor.actions.origin import GitRepo, InlineRepo, repository_action
from executor.actions.origin import git as module
from executor.actions.origin.base import keep_source
from executor.errors import JobError
from executor.model.job import Block
from executor.model.problem import Problem
from executor.pipeline.planner import PlanError
from executor.pipeline.run import Run
from executor.pipeline.world import IdealWorld
from executor.testing import jobs
from executor.testing.pipeline import Scene, placed

BLOCK = Block(section="test", index=2, parameters={}, path=("actions", 2, "test"))


def given(**keys: Any) -> Definition:
    return Definition(0, jobs.definition(**keys), BLOCK, 1)


def git(**keys: Any) -> Definition:
    entry = {"from": "git", "repository": "https://h/t.git", "path": "smoke.yaml", "name": "smoke", **keys}
    return Definition(3, entry, BLOCK, 1)


def found(definition: Definition) -> list[Problem]:
    return list(placed(repository_action(definition)).validate(IdealWorld()))


def test_values_and_their_defaults() -> None:
    plain = given()
    assert (plain.name, plain.path, plain.repository_text, plain.lava_signal) == (
        "smoke",
        "inline/smoke.yaml",
        "",
        "stdout",
    )
    assert (
        Definition(0, {k: v for k, v in plain.given.items() if k not in ("name", "path")}, BLOCK).name
        == "smoke"
    )
    assert given(params={"A": 1, "B": 2}, parameters={"A": 0, "C": 3}).parameters == {"A": 1, "B": 2, "C": 3}
    assert git(revision=1234567).revision == "1234567"


def test_a_good_definition_has_no_problem() -> None:
    assert found(given()) == found(git()) == []


@pytest.mark.parametrize(
    ("definition", "key", "kind"),
    [
        (given(name="lava"), "name", "Test"),
        (git(path=None), 1, "Job"),
        (git(path="../../etc/passwd"), "path", "Job"),
        (git(path="a/../../b.yaml"), "path", "Job"),
        (git(path="/etc/passwd"), "path", "Job"),
        (given(path="../x.yaml"), "path", "Job"),
        (git(repository="ext::sh -c x"), "repository", "Job"),
        (git(repository="--upload-pack=x"), "repository", "Job"),
        (git(repository="/srv/git/x"), "repository", "Job"),
        (git(branch="--x"), "branch", "Job"),
        (git(revision="-x"), "revision", "Job"),
    ],
)
def test_what_the_parser_lets_pass_is_refused_at_its_place(
    definition: Definition, key: object, kind: str
) -> None:
    (problem,) = found(definition)
    assert problem.path[:4] == ("actions", 2, "test", "definitions")
    assert (problem.path[-1], problem.error_type) == (key, kind)


def test_an_origin_without_an_action_is_refused_at_its_place() -> None:
    with pytest.raises(PlanError) as caught:
        repository_action(git(**{"from": "svn"}))
    assert caught.value.path == ("actions", 2, "test", "definitions", 1, "from")


def test_git_needs_a_network_and_git() -> None:
    needs = GitRepo(git()).needs()
    assert (needs.network, needs.tools) == ("bridge", frozenset({"git"}))
    assert InlineRepo(given()).needs().network == "none"


# -- inline


def test_an_inline_definition_is_written_where_its_path_says(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.run(InlineRepo(given(path="a/b/smoke.yaml")))
    source = scene.namespace.sources[0]
    text = (source.directory / "a/b/smoke.yaml").read_text()
    assert yaml.safe_load(text)["run"]["steps"] == ["true"]
    assert (source.uuid, source.commit_id) == ("42_1", "")


def test_it_is_written_anew_when_the_deploy_is_tried_again(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    for _ in range(2):
        scene.run(InlineRepo(given()))
    assert len(list(scene.namespace.sources[0].directory.rglob("*.yaml"))) == 1


def test_a_namespace_cannot_lead_out_of_the_jobs_directory(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    action = placed(InlineRepo(given()))
    action.namespace = "../../../tmp/x"
    scene.run(action)
    directory = scene.context.namespace("../../../tmp/x").sources[0].directory
    assert directory.resolve().is_relative_to(scene.context.work.resolve())


# -- git


@pytest.fixture
def cloned(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What clones were asked for; each gives a directory with two files."""
    asked: list[dict[str, Any]] = []

    def clone(url: str, target: Path, run: Run, **keys: Any) -> str:
        asked.append({"url": url, **keys})
        (target / ".git").mkdir(parents=True)
        (target / "smoke.yaml").write_text("x")
        return "0123abc"

    monkeypatch.setattr(module, "clone", clone)
    return asked


@pytest.mark.parametrize(
    ("keys", "depth"),
    [
        ({}, 1),
        ({"revision": "0123abc"}, 0),
        ({"shallow": False}, 0),
        ({"revision": "0123abc", "shallow": True}, 1),
        ({"depth": 7}, 7),
    ],
)
def test_how_much_history_is_cloned(
    tmp_path: Path, cloned: list[dict[str, Any]], keys: dict[str, Any], depth: int
) -> None:
    Scene(tmp_path).run(GitRepo(git(**keys)))
    assert cloned[0]["depth"] == depth


@pytest.mark.parametrize(("history", "kept"), [(True, True), (False, False)])
def test_history_goes_when_it_is_not_wanted(
    tmp_path: Path, cloned: list[dict[str, Any]], history: bool, kept: bool
) -> None:
    scene = Scene(tmp_path)
    run = scene.run(GitRepo(git(history=history, branch="main", recursive=True)))
    assert (scene.namespace.sources[3].directory / ".git").exists() is kept
    assert cloned[0]["branch"] == "main"
    assert cloned[0]["recursive"] is True
    assert run.results == {"commit": "0123abc", "repository": "https://h/t.git", "path": "smoke.yaml"}


def test_what_was_cloned_is_kept_and_serves_a_reproduction(
    tmp_path: Path, cloned: list[dict[str, Any]]
) -> None:
    first = Scene(tmp_path / "first")
    first.run(GitRepo(git()))
    kept = first.context.out / "sources" / "common-3.tar.gz"
    pinned = {"definition:common:3": {"path": str(kept), "commit_id": "0123abc"}}
    again = Scene(tmp_path / "again", pinned=pinned)
    again.run(GitRepo(git()))
    source = again.namespace.sources[3]
    assert ((source.directory / "smoke.yaml").read_text(), source.commit_id) == ("x", "0123abc")
    assert len(cloned) == 1


def test_a_kept_source_cannot_write_outside(tmp_path: Path, cloned: list[dict[str, Any]]) -> None:
    tree, scene = tmp_path / "tree", Scene(tmp_path)
    tree.mkdir()
    (tree / "link").symlink_to("/etc")
    keep_source(tree, scene.attempt(InlineRepo(given())), "common", 3)
    kept = str(scene.context.out / "sources/common-3.tar.gz")
    again = Scene(tmp_path / "again", pinned={"definition:common:3": {"path": kept, "commit_id": ""}})
    with pytest.raises(JobError, match="link"):
        again.run(GitRepo(git()))
    assert cloned == []
