# SPDX-License-Identifier: Apache-2.0
"""`install: git-repos` and `bzr-repos`: where they land, and where they may not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from executor.actions import repositories as module
from executor.actions.repositories import bring
from executor.errors import JobError, TestError
from executor.pipeline.action import Action
from executor.pipeline.run import Run
from executor.testing.pipeline import Scene
from executor.testshell.definition import parse_definition
from executor.testshell.placed import PlacedDefinition

TEXT = """\
metadata: {format: Lava-Test Test Definition 1.0, name: smoke}
params: {WHERE: tools, URL: 'https://h/from-parameter.git', BRANCH: topic}
run: {steps: [true]}
install:
"""


def definition(install: str, **fields: Any) -> PlacedDefinition:
    parsed = parse_definition(TEXT.replace("[true]", "['true']") + install, "smoke.yaml")
    return PlacedDefinition(index=0, name="smoke", uuid="u", definition=parsed, **fields)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, str]]:
    """(url, name of the directory, branch) of what was got."""
    found: list[tuple[str, str, str]] = []

    def clone(url: str, target: Path, run: Run, *, branch: str = "") -> str:
        found.append((url, target.name, branch))
        for history in (".git", ".bzr"):
            (target / history).mkdir(parents=True)
        (target / "file").touch()
        return "0123abc"

    monkeypatch.setattr(module, "clone", clone)
    monkeypatch.setattr(module, "branch", clone)
    return found


@pytest.fixture
def run(tmp_path: Path) -> Run:
    class Install(Action):
        name = "test-install-overlay"

    return Scene(tmp_path / "scene").attempt(Install())


def test_they_land_beside_the_definition_without_history(
    tmp_path: Path, run: Run, asked: list[tuple[str, str, str]]
) -> None:
    install = """
  git-repos:
  - https://h/plain.git
  - {url: URL, branch: BRANCH, destination: WHERE}
  - {url: 'https://h/never.git', skip_by_default: true}
  bzr-repos: ['lp:project']
"""
    brought = bring(definition(install), tmp_path, run)
    assert asked == [
        ("https://h/plain.git", "plain", ""),
        ("https://h/from-parameter.git", "tools", "topic"),
        ("lp:project", "project", ""),
    ]
    assert brought == dict.fromkeys(("plain", "tools", "project"), "0123abc")
    assert sorted(p.name for p in (tmp_path / "plain").iterdir()) == [".bzr", "file"]
    assert sorted(p.name for p in (tmp_path / "project").iterdir()) == [".git", "file"]


@pytest.mark.parametrize(
    ("skip", "left"),
    [(["git-repos"], ["project"]), (["all"], []), (["deps"], ["plain", "project"])],
)
def test_what_is_skipped_is_not_got(
    tmp_path: Path, run: Run, asked: list[tuple[str, str, str]], skip: list[str], left: list[str]
) -> None:
    install = "  git-repos: [https://h/plain.git]\n  bzr-repos: ['lp:project']\n"
    assert list(bring(definition(install, skip_install=skip), tmp_path, run)) == left


@pytest.mark.parametrize("name", ["../x", "/x", "a/b", ".git", "..", "-x"])
def test_a_destination_that_is_no_direct_child_is_refused(
    tmp_path: Path, run: Run, asked: list[tuple[str, str, str]], name: str
) -> None:
    install = f"  git-repos: [{{url: 'https://h/', destination: '{name}'}}]\n"
    with pytest.raises(JobError, match="is not a plain name"):
        bring(definition(install), tmp_path, run)
    assert asked == []


def test_a_destination_that_is_there_is_refused_even_as_a_dangling_link(
    tmp_path: Path, run: Run, asked: list[tuple[str, str, str]]
) -> None:
    (tmp_path / "plain").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(TestError, match="'plain' exists already"):
        bring(definition("  git-repos: [https://h/plain.git]\n"), tmp_path, run)
    assert asked == []


def test_an_entry_without_url_is_named_with_its_list(tmp_path: Path, run: Run) -> None:
    with pytest.raises(JobError, match="an entry of bzr-repos has no url"):
        bring(definition("  bzr-repos: [{destination: x}]\n"), tmp_path, run)
