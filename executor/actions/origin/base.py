# SPDX-License-Identifier: Apache-2.0
"""What all ways to get a definition have in common: a directory of the job, and a kept copy of what came."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from executor.errors import InfrastructureError
from executor.model.launch import Needs
from executor.pipeline.action import Action
from executor.pipeline.context import Source
from executor.tools.tartree import Limits

if TYPE_CHECKING:
    from pathlib import Path

    from executor.actions.definition import Definition
    from executor.model.problem import Problem
    from executor.pipeline.run import Run
    from executor.pipeline.world import World

# What a definition's archive or directory may hold: as much as an overlay takes along.
LIMITS = Limits(size=2 << 30, count=200_000)


class RepoAction(Action):
    """Get the files of one definition into a directory of the job."""

    timeout_error = InfrastructureError
    origin: ClassVar[str] = ""
    kept: ClassVar[bool] = True  # with the job, so that `reproduce` runs the same text without the network

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
        namespace, index = run.namespace.safe_name, self.definition.index
        target = run.context.work / "definitions" / namespace / str(index)
        if target.exists():
            shutil.rmtree(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        uuid = f"{run.context.worker.job_id}_{self.level}"
        commit = self._taken(target, run)
        if commit is None:
            commit = self.get(target, run)
            if self.kept:
                keep_source(target, run, namespace, index)
        run.namespace.sources[index] = Source(target, uuid, commit)

    def get(self, target: Path, run: Run) -> str:
        """Fill `target`; the commit id, or empty where there is none."""
        raise NotImplementedError

    def _taken(self, target: Path, run: Run) -> str | None:
        """The commit of the job that is reproduced, its files in `target`; None for a job of its own."""
        key = f"definition:{run.namespace.safe_name}:{self.definition.index}"
        kept = run.context.worker.pinned.get(key)
        if not kept:
            return None
        from executor.tools.tarsafe import unpack

        name, commit = self.definition.name, str(kept["commit_id"])
        run.log.info(f"{name}: taken from the job that is reproduced, commit {commit or 'unknown'}")
        source = run.context.work.parent / str(kept["path"])
        unpack(source, target, deadline=run.deadline, compression="gz", limits=LIMITS, name=name)
        return commit


def keep_source(directory: Path, run: Run, namespace: str, index: int) -> None:
    """Keep what came with the job, for `reproduce`."""
    import tarfile

    kept = run.context.out / "sources" / f"{namespace}-{index}.tar.gz"
    kept.parent.mkdir(exist_ok=True)
    with tarfile.open(kept, "w:gz", compresslevel=1) as tar:
        tar.add(directory, arcname=".", recursive=True)
