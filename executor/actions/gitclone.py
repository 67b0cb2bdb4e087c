# SPDX-License-Identifier: Apache-2.0
"""Cloning what a job names, which is not trusted: no option-like words, no transports that run programs, no
prompts (spec: job-format §7).
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from executor.actions.vcs import check_word, password_of, persist, without_password
from executor.errors import InfrastructureError, JobError, LavaExecError
from executor.tools import proc

if TYPE_CHECKING:
    from executor.pipeline.run import Run

SCHEMES = ("git", "http", "https", "ssh")
_SCP_LIKE = re.compile(r"[\w.-]+@[\w.-]+:[^:]")


def check_url(url: str) -> None:
    """Refuse what git would take for an option, a transport helper or a local path. Raises JobError."""
    if url.startswith("-") or "::" in url.split("/", maxsplit=1)[0] or re.search(r"[\0-\x20]", url):
        raise JobError(f"not a repository URL: {url!r}")
    try:
        parts = urlsplit(url)
        scheme, host = parts.scheme, parts.hostname or ""
    except ValueError as error:
        raise JobError(f"not a repository URL: {url!r} ({error})") from None
    if scheme in SCHEMES and host and not host.startswith("-"):
        return
    if not _SCP_LIKE.match(url):
        raise JobError(
            f"git cannot clone {url!r} from inside the job's container",
            f"use a URL that begins with one of {', '.join(f'{known}://' for known in SCHEMES)}",
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
    """Clone into `target` and check out; the commit id. Tried again where the network fails it.

    `depth`: commits to get, 0 for all. Raises JobError for words that are none and for a revision that is not
    there, InfrastructureError when nothing helped.
    """
    check_url(url)
    check_word(branch, "branch")
    check_word(revision, "revision")
    argv = ["clone", "--quiet", *_depth(depth)]
    argv += ["--branch", branch] if branch else []
    argv += ["--recurse-submodules", *(["--shallow-submodules"] if depth else [])] if recursive else []
    askpass = _Askpass(url, run)
    persist(
        "clone", url, target, run, lambda: git([*argv, "--", askpass.url, str(target)], run, askpass=askpass)
    )
    if revision:
        _check_out(revision, target, run, depth=depth, recursive=recursive, askpass=askpass)
    return git(["-C", str(target), "rev-parse", "HEAD"], run).strip()


class _Askpass:
    """A password in a URL reaches git through a program that prints it: never in argv, and never in the
    clone's own configuration, which is kept with the job and goes onto the device.
    """

    def __init__(self, url: str, run: Run) -> None:
        self.password = password_of(url)
        self.url = without_password(url)
        self.program = run.context.work / "git-askpass"
        if self.password:
            self.program.write_text('#!/bin/sh\nprintf "%s\\n" "$LAVA_EXEC_GIT_PASSWORD"\n', encoding="ascii")
            self.program.chmod(0o700)

    @property
    def environment(self) -> dict[str, str]:
        if not self.password:
            return {}
        return {"GIT_ASKPASS": str(self.program), "LAVA_EXEC_GIT_PASSWORD": self.password}


def _check_out(
    revision: str, target: Path, run: Run, *, depth: int, recursive: bool, askpass: _Askpass
) -> None:
    """Have the revision, which a shallow clone need not hold; then the tree as it was."""
    place = ["-C", str(target)]
    if depth:
        try:
            git([*place, "fetch", "--quiet", *_depth(depth), "origin", revision], run, askpass=askpass)
        except InfrastructureError:  # servers need not hand out single commits
            git([*place, "fetch", "--quiet", "--unshallow", "--tags"], run, askpass=askpass)
    git([*place, "checkout", "--quiet", "--detach", revision, "--"], run, JobError)
    if recursive:
        git([*place, "submodule", "update", "--quiet", "--init", "--recursive"], run, askpass=askpass)


def git(
    words: list[str],
    run: Run,
    error: type[LavaExecError] = InfrastructureError,
    *,
    askpass: _Askpass | None = None,
) -> str:
    """Run git without prompts and without the transports that run programs; the tail of its output."""
    environment = {
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOW_PROTOCOL": ":".join(SCHEMES),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_SSH_COMMAND": "ssh -o BatchMode=yes -o ConnectTimeout=15",
    }
    done = proc.run(
        ["git", "-c", "advice.detachedHead=false", *words],
        deadline=run.deadline,
        log=run.log.output,
        env=environment | (askpass.environment if askpass else {}),
        error=error,
        secrets=[askpass.password] if askpass else (),
    )
    return "\n".join(done.lines_tail)


def forget_history(target: Path) -> None:
    """Remove `.git`, those of submodules too, which are files there."""
    for base, directories, names in os.walk(target):
        if ".git" in directories:
            directories.remove(".git")
            git_directory = Path(base) / ".git"
            git_directory.unlink() if git_directory.is_symlink() else shutil.rmtree(git_directory)
        elif ".git" in names:
            (Path(base) / ".git").unlink()


def _depth(depth: int) -> list[str]:
    return ["--depth", str(depth)] if depth else []
