# SPDX-License-Identifier: Apache-2.0
"""Cloning what a job names, which is not trusted: no option-like words, no transports that run programs, no
prompts (spec: job-format §7).
"""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from executor.actions import proc
from executor.errors import InfrastructureError, JobError, LavaExecError

if TYPE_CHECKING:
    from executor.pipeline.run import Run

SCHEMES = ("git", "http", "https", "ssh")
ATTEMPTS, PAUSE = 6, 5.0  # of a clone, and seconds between them
_SCP_LIKE = re.compile(r"[\w.-]+@[\w.-]+:[^:]")
_BAD_WORD = re.compile(r"-|.*[\s\0-\x1f~^:?*\[\\]")


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


def check_word(word: str, what: str) -> None:
    """Refuse a branch or revision that git takes for an option, or that cannot be one. Raises JobError."""
    if _BAD_WORD.match(word):
        raise JobError(f"{word!r} is no {what}")


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
    for attempt in range(1, ATTEMPTS + 1):
        try:
            git([*argv, "--", url, str(target)], run, secret=_password(url))
            break
        except InfrastructureError as error:
            if attempt == ATTEMPTS or run.deadline.remaining <= PAUSE:
                raise InfrastructureError(
                    f"cannot clone {_without_password(url)}: {error.message}",
                    "does the URL answer from the worker? is the branch there?",
                ) from error
            run.log.warning(f"clone failed, attempt {attempt} of {ATTEMPTS}: {error.message}")
            shutil.rmtree(target, ignore_errors=True)
            time.sleep(PAUSE)
    if revision:
        _check_out(revision, target, run, depth=depth, recursive=recursive)
    return git(["-C", str(target), "rev-parse", "HEAD"], run).strip()


def _check_out(revision: str, target: Path, run: Run, *, depth: int, recursive: bool) -> None:
    """Have the revision, which a shallow clone need not hold; then the tree as it was."""
    place = ["-C", str(target)]
    if depth:
        try:
            git([*place, "fetch", "--quiet", *_depth(depth), "origin", revision], run)
        except InfrastructureError:  # servers need not hand out single commits
            git([*place, "fetch", "--quiet", "--unshallow", "--tags"], run)
    git([*place, "checkout", "--quiet", "--detach", revision, "--"], run, JobError)
    if recursive:
        git([*place, "submodule", "update", "--quiet", "--init", "--recursive"], run)


def git(
    words: list[str], run: Run, error: type[LavaExecError] = InfrastructureError, *, secret: str = ""
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
        env=environment,
        error=error,
        secrets=[secret] if secret else (),
    )
    return "\n".join(done.lines_tail)


def _depth(depth: int) -> list[str]:
    return ["--depth", str(depth)] if depth else []


def _password(url: str) -> str:
    return urlsplit(url).password or ""


def _without_password(url: str) -> str:
    return proc.redact(url, [_password(url)])
