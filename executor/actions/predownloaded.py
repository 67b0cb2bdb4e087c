# SPDX-License-Identifier: Apache-2.0
"""The files of `to: downloads`, under the names that later blocks know them by (spec: job-format §5).

Nothing is copied: a name in the directory is a link to what lies in the cache. What else is found there was
made by the job's own steps, so a link in it counts only as far as it stays inside.
"""

from __future__ import annotations

import difflib
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from executor.errors import JobError
from executor.model.doorbell import Fetched
from executor.tools.image.compress import decompress

if TYPE_CHECKING:
    from executor.model.job import Resource
    from executor.pipeline.context import Artifact, Namespace
    from executor.pipeline.run import Run

SUMS = ("md5sum", "sha256sum", "sha512sum")


def directory(run: Run) -> Path:
    """Where the downloads of the action's namespace lie."""
    namespace = run.namespace
    if namespace.downloads_directory is None:
        namespace.downloads_directory = run.context.work / "downloads" / namespace.safe_name
    namespace.downloads_directory.mkdir(parents=True, exist_ok=True)
    return namespace.downloads_directory


def offer(run: Run, artifact: Artifact, name: str) -> None:
    """Let `downloads://<name>` mean this artefact from now on."""
    link = directory(run) / name
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(artifact.path)
    run.namespace.downloads[name] = artifact
    run.log.info(f"{artifact.label}: downloads://{name}")


def take(run: Run, name: str, resource: Resource, unpack: str) -> Fetched:
    """The file called `name`, checked against the block's sums and decompressed where the block says so.

    Raises JobError when there is none.
    """
    path = _find(run, name)
    sums = {kind: _digest(path, kind) for kind in SUMS if kind == "sha256sum" or getattr(resource, kind)}
    for kind, found in sums.items():
        wanted = str(getattr(resource, kind) or found).lower()
        if wanted != found:
            raise JobError(f"the {kind.removesuffix('sum')} checksum of {name} is {found}, not {wanted}")
    if unpack:
        packed, path = path, run.context.work / f"pre-downloaded-{run.action.level}"
        decompress(packed, path, unpack, deadline=run.deadline, name=name)
    size = path.stat().st_size
    return Fetched(str(path), size, sums["sha256sum"], decompressed=size if unpack else 0)


def _find(run: Run, name: str) -> Path:
    """In the action's own namespace first."""
    others = [space for space in run.context.namespaces.values() if space is not run.namespace]
    for space in (run.namespace, *others):
        if (path := _in(space, name)) is not None:
            return path
    known = sorted(key for space in run.context.namespaces.values() for key in space.downloads)
    near = difflib.get_close_matches(name, known, 1)
    hint = (
        f"did you mean downloads://{near[0]}?" if near else f"downloaded were: {', '.join(known) or 'none'}"
    )
    raise JobError(f"no downloaded file is called {name!r}", hint)


def _in(space: Namespace, name: str) -> Path | None:
    if name in space.downloads:
        path = space.downloads[name].path
        return path if path.is_file() else None
    if space.downloads_directory is None:
        return None
    root = space.downloads_directory.resolve()
    path = (root / name).resolve()
    return path if path.is_relative_to(root) and path.is_file() else None


def _digest(path: Path, kind: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, kind.removesuffix("sum")).hexdigest()
