# SPDX-License-Identifier: Apache-2.0
"""Where test definitions come from: one action an origin (spec: job-format §7).

What a job names is not trusted: no option-like URLs, no transport helpers, no prompts; links out of the tree
are refused when the overlay is built.
"""

from __future__ import annotations

import re
import shutil
import tarfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

import yaml

from executor.actions import proc
from executor.errors import InfrastructureError, JobError, LavaExecError, TestError
from executor.model.launch import Needs
from executor.model.problem import Problem
from executor.pipeline.action import Action
from executor.pipeline.context import Source

if TYPE_CHECKING:
    from pathlib import Path

    from executor.model.job import Block
    from executor.pipeline.run import Run
    from executor.pipeline.world import World

_NAME = re.compile(r"[-_a-zA-Z0-9.]+\Z")
_GIT_SCHEMES = frozenset({"http", "https", "git", "ssh"})
_CLONE_ATTEMPTS, _CLONE_PAUSE = 6, 5  # spec: job-format §7
_SCP_LIKE = re.compile(r"[\w.-]+@[\w.-]+:[^:]")


@dataclass(frozen=True)
class Definition:
    """One entry of `definitions`. `index` counts over all test blocks of the namespace."""

    index: int
    given: dict[str, Any]
    block: Block

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

    def check(self, names: set[str]) -> None:
        """Refuse what can be refused from the job alone. Raises JobError or TestError."""
        missing = [key for key in ("repository", "from") if not self.given.get(key)]
        if missing:
            raise JobError(f"test definition {self.index}: missing {', '.join(missing)}")
        if self.name == "lava":
            raise TestError("a test definition cannot be called 'lava': that suite is the executor's own")
        if self.name and not _NAME.match(self.name):
            raise JobError(f"test definition name {self.name!r}: only letters, digits, '-', '_' and '.'")
        if not self.path:
            raise JobError(f"{self.name}: missing path", "`path` names the YAML file inside the repository")

    def clone_into(self, repository: Any, run: Run) -> None:
        """Clone one entry of `install: git-repos` into the definition's directory."""
        source = run.namespace.sources[self.index]
        target = source.directory / repository.destination
        if target.exists():
            raise TestError(f"{self.name}: git-repos destination {repository.destination!r} exists already")
        clone(repository.url, target, run, branch=repository.branch)
        shutil.rmtree(target / ".git", ignore_errors=True)


def repository_action(definition: Definition) -> RepoAction:
    """The action for a definition's `from`. Raises JobError for one that does not exist."""
    kind = _ORIGINS.get(definition.origin)
    if kind is None:
        raise JobError(
            f"test definition {definition.name!r}: from: {definition.origin!r} is unknown",
            f"known: {', '.join(sorted(_ORIGINS))}",
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

    def run(self, run: Run) -> None:
        target = run.context.work / "definitions" / self.namespace / str(self.definition.index)
        if target.exists():
            shutil.rmtree(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        uuid = f"{run.context.worker.job_id}_{self.level}"
        kept = run.context.worker.pinned.get(f"definition:{self.namespace}:{self.definition.index}")
        if kept:
            run.log.info(
                f"{self.definition.name}: taken from the job that is reproduced, commit {kept['commit_id']}"
            )
            unpack_source(run.context.work.parent / kept["path"], target)
            commit = str(kept["commit_id"])
        else:
            commit = self.get(target, run)
        run.namespace.sources[self.definition.index] = Source(target, uuid, commit)

    def get(self, target: Path, run: Run) -> str:
        """Fill `target`; the commit id, or empty where there is none."""
        raise NotImplementedError


class InlineRepo(RepoAction):
    """The definition stands in the job itself."""

    name = "inline-repo-action"
    summary = "extract inline test definition"
    description = "write the definition that stands in the job"
    origin = "inline"

    def get(self, target: Path, run: Run) -> str:
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
        try:
            check_git_url(self.definition.repository_text)
        except JobError as error:
            yield self.problem(f"{self.definition.name}: {error.message}", hint=error.hint)
        if reason := world.tool("git"):
            yield self.problem(reason, error_type="Infrastructure")

    def get(self, target: Path, run: Run) -> str:
        given = self.definition.given
        shallow = bool(given.get("shallow", not self.definition.revision))
        commit = clone(
            self.definition.repository_text,
            target,
            run,
            branch=str(given.get("branch") or ""),
            revision=self.definition.revision,
            depth=int(given.get("depth") or (1 if shallow else 0)),
            recursive=bool(given.get("recursive", False)),
        )
        if not given.get("history", True):
            shutil.rmtree(target / ".git")
        keep_source(target, run, self.namespace, self.definition.index)
        run.results |= {
            "commit": commit,
            "repository": self.definition.repository_text,
            "path": self.definition.path,
        }
        return commit


_ORIGINS: dict[str, type[RepoAction]] = {kind.origin: kind for kind in (InlineRepo, GitRepo)}


def check_git_url(url: str) -> None:
    """Refuse what git would take for an option or a transport helper. Raises JobError."""
    if url.startswith("-") or "::" in url.split("/", maxsplit=1)[0]:
        raise JobError(f"not a repository URL: {url!r}")
    scheme = urlsplit(url).scheme
    if scheme not in _GIT_SCHEMES and not _SCP_LIKE.match(url):
        raise JobError(
            f"git cannot clone {url!r} from inside the job's container",
            f"use one of {', '.join(sorted(_GIT_SCHEMES))}",
        )


def clone(
    url: str,
    target: Path,
    run: Run,
    *,
    branch: str = "",
    revision: str = "",
    depth: int = 0,
    recursive: bool = False,
) -> str:
    """Clone and check out; the commit id. Tried again where the network fails it (spec: job-format §7)."""
    check_git_url(url)
    for word in (branch, revision):
        if word.startswith("-"):
            raise JobError(f"not a branch or revision: {word!r}")
    argv = ["git", "-c", "advice.detachedHead=false", "-c", "protocol.ext.allow=never", "clone", "--quiet"]
    argv += ["--depth", str(depth)] if depth else []
    argv += ["--branch", branch] if branch else []
    argv += ["--recurse-submodules"] if recursive else []
    argv += ["--", url, str(target)]
    for attempt in range(1, _CLONE_ATTEMPTS + 1):
        try:
            git(argv, run)
            break
        except LavaExecError as error:
            if attempt == _CLONE_ATTEMPTS or run.deadline.remaining <= _CLONE_PAUSE:
                raise InfrastructureError(
                    f"cannot clone {url}: {error.message}",
                    "does the URL answer from the worker? is the branch there?",
                ) from error
            run.log.warning(f"clone failed, attempt {attempt} of {_CLONE_ATTEMPTS}: {error.message}")
            shutil.rmtree(target, ignore_errors=True)
            time.sleep(_CLONE_PAUSE)
    if revision:
        git(["git", "-C", str(target), "checkout", "--quiet", "--detach", revision, "--"], run, JobError)
    return git(["git", "-C", str(target), "rev-parse", "HEAD"], run).strip()


def git(argv: list[str], run: Run, error: type[LavaExecError] = InfrastructureError) -> str:
    """Run git without prompts and without the transports that run programs; the tail of its output."""
    environment = {
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOW_PROTOCOL": ":".join(sorted(_GIT_SCHEMES)),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_SSH_COMMAND": "ssh -o BatchMode=yes -o ConnectTimeout=15",
    }
    done = proc.run(argv, deadline=run.deadline, log=run.log.output, env=environment, error=error)
    return "\n".join(done.lines_tail)


def keep_source(directory: Path, run: Run, namespace: str, index: int) -> None:
    """Keep what was cloned with the job, so that `reproduce` runs the same text without the network."""
    kept = run.context.out / "sources" / f"{namespace}-{index}.tar.gz"
    kept.parent.mkdir(exist_ok=True)
    with tarfile.open(kept, "w:gz", compresslevel=1) as tar:
        tar.add(directory, arcname=".", recursive=True)


def unpack_source(kept: Path, target: Path) -> None:
    """The reverse of `keep_source`; the archive is our own, members are filtered all the same."""
    target.mkdir(parents=True)
    with tarfile.open(kept) as tar:
        tar.extractall(target, filter="data")
