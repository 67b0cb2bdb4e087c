# SPDX-License-Identifier: Apache-2.0
"""Where test definitions come from: one action a value of `from` (spec: job-format §7).

What a job names is not trusted: no option-like URLs, no transport helpers, no prompts; archives are unpacked
with limits, and links out of the tree are refused when the overlay is built.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from executor.actions.origin.archive import TarRepo, UrlRepo
from executor.actions.origin.base import RepoAction
from executor.actions.origin.bzr import BzrRepo
from executor.actions.origin.git import GitRepo
from executor.actions.origin.inline import InlineRepo
from executor.actions.origin.local import FileRepo
from executor.pipeline.planner import PlanError

if TYPE_CHECKING:
    from executor.actions.definition import Definition

__all__ = [
    "BzrRepo",
    "FileRepo",
    "GitRepo",
    "InlineRepo",
    "RepoAction",
    "TarRepo",
    "UrlRepo",
    "repository_action",
]

_ORIGINS: dict[str, type[RepoAction]] = {
    kind.origin: kind for kind in (InlineRepo, GitRepo, UrlRepo, TarRepo, FileRepo, BzrRepo)
}


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
