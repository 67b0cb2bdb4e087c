# SPDX-License-Identifier: Apache-2.0
"""Where test definitions come from: one action an origin (spec: job-format §7).

What a job names is not trusted: no option-like URLs, no transport helpers, no prompts; links out of the tree
are refused when the overlay is built.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import yaml

from executor.actions.gitclone import check_url, check_word, clone
from executor.errors import InfrastructureError, JobError, TestError
from executor.model.launch import Needs
from executor.model.problem import Problem
from executor.pipeline.action import Action
from executor.pipeline.context import Source
from executor.pipeline.planner import PlanError

if TYPE_CHECKING:
    import pathlib

    from executor.model.job import Block
    from executor.model.problem import Path
    from executor.pipeline.run import Run
    from executor.pipeline.world import World
    from executor.testshell.definition import GitRepository


@dataclass(frozen=True)
class Definition:
    """One entry of `definitions`."""

    index: int  # number in the overlay
    given: dict[str, Any]
    block: Block
    number: int = 0  # within its block
    suite: int = 0  # number that its suite is called by

    @property
    def origin(self) -> str:
        return str(self.given.get("from", ""))

    @property
    def name(self) -> str:
        """The job's name for it; for an inline definition without one, its metadata's."""
        name = self.given.get("name")
        if not name and isinstance(self.given.get("repository"), dict):
            name = (self.given["repository"].get("metadata") or {}).get("name")
        return str(name or "")

    @property
    def path(self) -> str:
        return str(self.given.get("path") or (f"inline/{self.name}.yaml" if self.origin == "inline" else ""))

    @property
    def repository_text(self) -> str:
        repository = self.given.get("repository")
        return repository if isinstance(repository, str) else ""

    @property
    def branch(self) -> str:
        return str(self.given.get("branch") or "")

    @property
    def revision(self) -> str:
        return str(self.given.get("revision") or "")

    @property
    def parameters(self) -> dict[str, Any]:
        """`parameters`, then `params`: the later assignment wins (spec: test-shell §3)."""
        merged: dict[str, Any] = {}
        for key in ("parameters", "params"):
            value = self.given.get(key) or {}
            if not isinstance(value, dict):
                raise TestError(f"{self.name}: {key} is not a map")
            merged |= value
        return merged

    @property
    def skip_install(self) -> list[str]:
        return [str(word) for word in self.given.get("skip_install") or []]

    @property
    def lava_signal(self) -> str:
        return str(self.given.get("lava-signal") or "stdout")

    @property
    def expected(self) -> list[str]:
        return [str(word) for word in self.given.get("expected") or []]

    @property
    def place(self) -> Path:
        """Where it stands in the job, for messages."""
        return (*self.block.path, "definitions", self.number)

    def problems(self) -> Iterator[Problem]:
        """What the job's parser lets pass and cannot be run all the same."""
        if self.name == "lava":
            text = "a test definition cannot be called 'lava': that suite is the executor's own"
            yield Problem(text, error_type="Test", path=(*self.place, "name"))
        if not self.path:
            hint = "`path` names the YAML file inside the repository"
            yield Problem(f"{self.name}: path is missing", path=self.place, hint=hint)
        elif self.path.startswith("/") or ".." in self.path.split("/"):
            text = f"{self.name}: path {self.path!r} leads out of the repository"
            yield Problem(text, path=(*self.place, "path"))

    def clone_into(self, repository: GitRepository, run: Run) -> None:
        """Clone one entry of `install: git-repos` into the definition's directory."""
        source = run.namespace.sources[self.index]
        target = source.directory / repository.destination
        if target.exists():
            raise TestError(f"{self.name}: git-repos destination {repository.destination!r} exists already")
        clone(repository.url, target, run, branch=repository.branch)
        shutil.rmtree(target / ".git", ignore_errors=True)


def repository_action(definition: Definition) -> RepoAction:
    """The action for a definition's `from`. Raises PlanError for one that there is no action for."""
    kind = _ORIGINS.get(definition.origin)
    if kind is None:
        raise PlanError(
            f"test definition {definition.name!r}: from: {definition.origin} cannot be used",
            path=(*definition.place, "from"),
            hint=f"known: {', '.join(sorted(_ORIGINS))}",
        )
    return kind(definition)


class RepoAction(Action):
    """Get the files of one definition into a directory of the job."""

    timeout_error = InfrastructureError
    origin: ClassVar[str] = ""

    def __init__(self, definition: Definition) -> None:
        self.definition = definition

    @property
    def label(self) -> str:
        return self.definition.name

    def needs(self) -> Needs:
        return Needs(mounts=frozenset({"work"}))

    def validate(self, world: World) -> Iterable[Problem]:
        yield from self.definition.problems()

    def run(self, run: Run) -> None:
        namespace = run.namespace.safe_name
        target = run.context.work / "definitions" / namespace / str(self.definition.index)
        if target.exists():
            shutil.rmtree(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        uuid = f"{run.context.worker.job_id}_{self.level}"
        kept = run.context.worker.pinned.get(f"definition:{namespace}:{self.definition.index}")
        if kept:
            run.log.info(
                f"{self.definition.name}: taken from the job that is reproduced, commit {kept['commit_id']}"
            )
            from executor.actions.tarsafe import unpack

            source = run.context.work.parent / str(kept["path"])
            unpack(source, target, deadline=run.deadline, compression="gz", name=self.definition.name)
            commit = str(kept["commit_id"])
        else:
            commit = self.get(target, run)
        run.namespace.sources[self.definition.index] = Source(target, uuid, commit)

    def get(self, target: pathlib.Path, run: Run) -> str:
        """Fill `target`; the commit id, or empty where there is none."""
        raise NotImplementedError


class InlineRepo(RepoAction):
    """The definition stands in the job itself."""

    name = "inline-repo-action"
    summary = "extract inline test definition"
    description = "write the definition that stands in the job"
    origin = "inline"

    def get(self, target: pathlib.Path, run: Run) -> str:
        content = self.definition.given["repository"]
        file = (target / self.definition.path).resolve()
        if not file.is_relative_to(target.resolve()):
            raise JobError(
                f"{self.definition.name}: path {self.definition.path!r} leads out of its directory"
            )
        file.parent.mkdir(parents=True)
        text = (
            content
            if isinstance(content, str)
            else yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
        )
        file.write_text(text, encoding="utf-8")
        return ""


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

    def get(self, target: pathlib.Path, run: Run) -> str:
        given = self.definition.given
        shallow = bool(given.get("shallow", not self.definition.revision))
        commit = clone(
            self.definition.repository_text,
            target,
            run,
            branch=self.definition.branch,
            revision=self.definition.revision,
            depth=int(given.get("depth") or (1 if shallow else 0)),
            recursive=bool(given.get("recursive", False)),
        )
        if not given.get("history", True):
            shutil.rmtree(target / ".git")
        keep_source(target, run, run.namespace.safe_name, self.definition.index)
        run.results |= {
            "commit": commit,
            "repository": self.definition.repository_text,
            "path": self.definition.path,
        }
        return commit


_ORIGINS: dict[str, type[RepoAction]] = {kind.origin: kind for kind in (InlineRepo, GitRepo)}


def keep_source(directory: pathlib.Path, run: Run, namespace: str, index: int) -> None:
    """Keep what was cloned with the job, so that `reproduce` runs the same text without the network."""
    import tarfile

    kept = run.context.out / "sources" / f"{namespace}-{index}.tar.gz"
    kept.parent.mkdir(exist_ok=True)
    with tarfile.open(kept, "w:gz", compresslevel=1) as tar:
        tar.add(directory, arcname=".", recursive=True)
