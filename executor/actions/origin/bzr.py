# SPDX-License-Identifier: Apache-2.0
"""`from: bzr`: a branch of Bazaar, which Breezy (`brz`) reads today. A branch is its URL."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from executor.actions.origin.base import RepoAction
from executor.actions.vcs import check_word, password_of, persist, without_password
from executor.errors import InfrastructureError, JobError, LavaExecError
from executor.model.launch import Needs
from executor.model.problem import Problem
from executor.tools import proc

if TYPE_CHECKING:
    from executor.pipeline.run import Run
    from executor.pipeline.world import World

TOOLS = ("brz", "bzr")  # the first that is installed
SCHEMES = ("bzr", "bzr+ssh", "http", "https", "lp", "sftp")


class BzrRepo(RepoAction):
    """Branch a repository."""

    name = "bzr-repo-action"
    summary = "branch bzr test repo"
    description = "get the branch of a test definition with brz or bzr"
    origin = "bzr"

    def needs(self) -> Needs:
        return Needs(mounts=frozenset({"work"}), network="bridge", tools=frozenset({TOOLS[0]}))

    def validate(self, world: World) -> Iterable[Problem]:
        yield from self.definition.problems()
        wanted = self.definition
        for key, value in (("repository", wanted.repository_text), ("revision", wanted.revision)):
            try:
                check_bzr_url(value) if key == "repository" else check_word(value, key)
            except JobError as error:
                text = f"{wanted.name}: {error.message}"
                yield Problem(text, path=(*wanted.place, key), hint=error.hint)
        if wanted.branch:
            hint = "give the branch's URL as repository"
            text = f"{wanted.name}: bzr knows no branch inside a repository"
            yield Problem(text, path=(*wanted.place, "branch"), hint=hint)
        reasons = [world.tool(tool) for tool in TOOLS]
        if all(reasons):
            yield self.problem(reasons[0], hint=_PACKAGE, error_type="Infrastructure")

    def get(self, target: Path, run: Run) -> str:
        wanted = self.definition
        commit = branch(wanted.repository_text, target, run, revision=wanted.revision)
        run.results |= {
            "commit": commit,
            "repository": without_password(wanted.repository_text),
            "path": wanted.path,
        }
        return commit


_PACKAGE = "the Debian package is called brz"


def check_bzr_url(url: str) -> None:
    """Refuse what is taken for an option, a local path or another transport. Raises JobError."""
    if url.startswith("-") or re.search(r"[\0-\x20]", url):
        raise JobError(f"not a branch URL: {url!r}")
    try:
        parts = urlsplit(url)
        scheme, host = parts.scheme, parts.hostname or ""
    except ValueError as error:
        raise JobError(f"not a branch URL: {url!r} ({error})") from None
    if scheme not in SCHEMES or host.startswith("-") or not (host or scheme == "lp"):
        raise JobError(
            f"bzr cannot branch {url!r} from inside the job's container",
            f"use a URL that begins with one of {', '.join(f'{known}:' for known in SCHEMES)}",
        )
    if password_of(url):
        raise JobError(f"{without_password(url)}: a password cannot be given to bzr in the URL")


def branch(url: str, target: Path, run: Run, *, revision: str = "") -> str:
    """Branch into `target`; its revision number. Tried again where the network fails it.

    Raises JobError for words that are none and for a revision that is not there, InfrastructureError when
    nothing helped or neither tool is installed.
    """
    check_bzr_url(url)
    check_word(revision, "revision")
    tool = next((name for name in TOOLS if shutil.which(name)), None)
    if tool is None:
        raise proc.missing(TOOLS[0])
    persist(
        "branch", url, target, run, lambda: _bzr(tool, ["branch", "--quiet", "--", url, str(target)], run)
    )
    if revision:
        _bzr(tool, ["update", "--quiet", f"--revision={revision}", str(target)], run, JobError)
    return _bzr(tool, ["revno", "--tree", str(target)], run).split("\n")[-1].strip()


def _bzr(tool: str, words: list[str], run: Run, error: type[LavaExecError] = InfrastructureError) -> str:
    """Run it with a home of its own: no prompts, no configuration or plugins of anybody.

    It is a program with a Python inside, which it looks for along PATH: ours has not its modules.
    """
    own = Path(sys.executable).parent
    path = os.pathsep.join(p for p in os.environ["PATH"].split(os.pathsep) if Path(p) != own)
    home = str(run.context.work / "bzr-home")
    environment = {
        "PATH": path,
        "PYTHONPATH": "",
        "BRZ_HOME": home,
        "BZR_HOME": home,
        "BRZ_PLUGIN_PATH": "-user",
        "BRZ_PROGRESS_BAR": "none",
        "BZR_PROGRESS_BAR": "none",
        "BRZ_LOG": "/dev/null",
        "BZR_LOG": "/dev/null",
        "BRZ_SSH": "openssh",
        "BZR_SSH": "openssh",
    }
    done = proc.run([tool, *words], deadline=run.deadline, log=run.log.output, env=environment, error=error)
    return "\n".join(done.lines_tail)
