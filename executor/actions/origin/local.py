# SPDX-License-Identifier: Apache-2.0
"""`from: file`: a directory or a YAML file of the worker, below the directories that its admin allows."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from executor.actions.origin.base import LIMITS, RepoAction
from executor.model.doorbell import Fetch
from executor.model.launch import Needs
from executor.model.problem import Problem

if TYPE_CHECKING:
    from executor.pipeline.run import Run
    from executor.pipeline.world import World


class FileRepo(RepoAction):
    """The agent, which sees the files and knows what is allowed, hands over an archive of them."""

    name = "file-repo-action"
    summary = "copy local test definition"
    description = "copy a directory or file of the worker's allowed directories"
    origin = "file"

    def needs(self) -> Needs:
        return Needs(mounts=frozenset({"cache", "work"}))

    @property
    def url(self) -> str:
        text = self.definition.repository_text
        return Path(text).as_uri() if text.startswith("/") else text

    def validate(self, world: World) -> Iterable[Problem]:
        yield from self.definition.problems()
        wanted = self.definition
        if not self.url.startswith("file:///"):
            hint = "write /path/to/directory; file:path, relative to the job's file, works at submission"
            text = f"{wanted.name}: repository {wanted.repository_text!r} is no absolute path"
            yield Problem(text, path=(*wanted.place, "repository"), hint=hint)

    def get(self, target: Path, run: Run) -> str:
        from executor.tools.tarsafe import unpack

        wanted = self.definition

        def progress(stage: str, done: int, total: int) -> None:
            run.log.progress(wanted.name, done, total, stage)

        asked = Fetch(self.url, label=wanted.name, tree=True, max_bytes=LIMITS.size)
        fetched = run.context.agent.fetch(asked, run.deadline, progress)
        done = unpack(
            Path(fetched.path), target, deadline=run.deadline, limits=LIMITS, name=wanted.repository_text
        )
        run.log.info(f"{wanted.name}: {done.count} files, {done.size} bytes")
        run.results |= {"repository": wanted.repository_text, "path": wanted.path}
        return ""
