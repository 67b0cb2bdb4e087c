# SPDX-License-Identifier: Apache-2.0
"""`from: inline`: the definition stands in the job itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from executor.actions.origin.base import RepoAction
from executor.errors import JobError

if TYPE_CHECKING:
    from pathlib import Path

    from executor.pipeline.run import Run


class InlineRepo(RepoAction):
    """Write it where its `path` says."""

    name = "inline-repo-action"
    summary = "extract inline test definition"
    description = "write the definition that stands in the job"
    origin = "inline"
    kept = False  # the job's own text is kept anyway

    def get(self, target: Path, run: Run) -> str:
        wanted = self.definition
        content = wanted.given["repository"]
        file = (target / wanted.path).resolve()
        if not file.is_relative_to(target.resolve()):
            raise JobError(f"{wanted.name}: path {wanted.path!r} leads out of its directory")
        file.parent.mkdir(parents=True)
        text = (
            content
            if isinstance(content, str)
            else yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
        )
        file.write_text(text, encoding="utf-8")
        return ""
