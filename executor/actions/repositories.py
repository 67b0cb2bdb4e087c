# SPDX-License-Identifier: Apache-2.0
"""What a definition's `install` names in version control: got here, for a device need not have a network
(spec: test-shell §3).
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from executor.actions.gitclone import clone
from executor.actions.origin.bzr import branch
from executor.actions.vcs import without_password
from executor.errors import TestError

if TYPE_CHECKING:
    from pathlib import Path

    from executor.pipeline.run import Run
    from executor.testshell.placed import PlacedDefinition


def bring(placed: PlacedDefinition, directory: Path, run: Run) -> dict[str, str]:
    """Fill directories beside the definition's files; destination → commit.

    Raises JobError for entries that cannot be, TestError for a destination that is there already,
    InfrastructureError when a repository cannot be had.
    """
    brought = {}
    for repository in placed.git_repositories():
        target = _free(directory / repository.destination, placed.name, "git-repos")
        brought[target.name] = clone(repository.url, target, run, branch=repository.branch)
        shutil.rmtree(target / ".git")
        run.log.info(f"{placed.name}: {without_password(repository.url)} is in {target.name}")
    for repository in placed.bzr_repositories():
        target = _free(directory / repository.destination, placed.name, "bzr-repos")
        brought[target.name] = branch(repository.url, target, run)
        shutil.rmtree(target / ".bzr")
        run.log.info(f"{placed.name}: {repository.url} is in {target.name}")
    return brought


def _free(target: Path, name: str, key: str) -> Path:
    """A link of the repository counts as being there, wherever it leads."""
    if target.is_symlink() or target.exists():
        raise TestError(f"{name}: {key} destination {target.name!r} exists already")
    return target
