# SPDX-License-Identifier: Apache-2.0
"""`from: git`: branch, revision, depth, history and submodules as the job says."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from executor.actions.gitclone import check_url, clone, forget_history
from executor.actions.origin.base import RepoAction
from executor.actions.vcs import check_word, without_password
from executor.errors import JobError
from executor.model.launch import Needs
from executor.model.problem import Problem

if TYPE_CHECKING:
    from pathlib import Path

    from executor.pipeline.run import Run
    from executor.pipeline.world import World


class GitRepo(RepoAction):
    """Clone a repository."""

    name = "git-repo-action"
    summary = "clone git test repo"
    description = "clone the repository of a test definition"
    origin = "git"

    def needs(self) -> Needs:
        return Needs(mounts=frozenset({"work"}), network="bridge", tools=frozenset({"git"}))

    def validate(self, world: World) -> Iterable[Problem]:
        yield from self.definition.problems()
        wanted = self.definition
        for key, value in (
            ("repository", wanted.repository_text),
            ("branch", wanted.branch),
            ("revision", wanted.revision),
        ):
            try:
                check_url(value) if key == "repository" else check_word(value, key)
            except JobError as error:
                text = f"{wanted.name}: {error.message}"
                yield Problem(text, path=(*wanted.place, key), hint=error.hint)
        if reason := world.tool("git"):
            yield self.problem(reason, error_type="Infrastructure")

    def get(self, target: Path, run: Run) -> str:
        wanted, given = self.definition, self.definition.given
        shallow = given.get("shallow")
        if shallow is None:
            shallow = not wanted.revision
        commit = clone(
            wanted.repository_text,
            target,
            run,
            branch=wanted.branch,
            revision=wanted.revision,
            depth=int(given.get("depth") or (1 if shallow else 0)),
            recursive=bool(given.get("recursive", False)),
        )
        if not given.get("history", True):
            forget_history(target)
        run.results |= {
            "commit": commit,
            "repository": without_password(wanted.repository_text),
            "path": wanted.path,
        }
        return commit
