# SPDX-License-Identifier: Apache-2.0
"""`lava-exec bundle`: one file with all that another machine needs to run a job again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from executor.cli.app import App, app
from executor.cli.group import command
from executor.errors import LavaExecError

if TYPE_CHECKING:
    from executor.container.jobdir import Artefact
    from executor.reproduce.source import Original


@command(
    "bundle",
    help="""Pack a job with all that running it again needs.

    Launch spec, job, device, artefacts by their hash, repositories of test definitions, journal, and the
    container image unless --no-image. Values of secrets are never in it, only their names. A name that ends
    in .zst is compressed.""",
    examples=(
        "lava-exec bundle 12",
        "lava-exec bundle 12 -o panic.tar.zst --no-image",
        "on another machine:  lava-exec reproduce panic.tar.zst",
    ),
)
@click.argument("job")
@click.option("-o", "--output", default="", type=click.Path(dir_okay=False), help="Default: job-ID.tar.zst.")
@click.option(
    "--no-image", is_flag=True, help="Leave the container image out; the other machine must have it."
)
def bundle(*, job: str, output: str, no_image: bool) -> int:
    from executor.cli.origin import find_original, progress_bar
    from executor.cli.runs import new_id
    from executor.report.style import size
    from executor.reproduce.bundle import pack
    from executor.reproduce.images import DockerImages

    here = app()
    with find_original(here, job, f"{new_id()}-bundle") as original:
        target = Path(output or f"job-{original.job_id}.tar.zst").absolute()
        objects = _Objects(here, original)
        with progress_bar(here) as report:
            manifest = pack(
                original,
                target,
                objects=objects,
                images=None if no_image else DockerImages(),
                progress=report,
            )
    if here.json:
        here.show_json({"file": str(target), "size": target.stat().st_size, "manifest": manifest})
        return 0
    print(target)
    what = f"{len(manifest.files)} files, {size(target.stat().st_size)}"
    here.say(what if manifest.has_image else f"{what}, without the image {manifest.image_digest}")
    if manifest.secrets:
        here.say(f"secrets are named but not in it: {', '.join(manifest.secrets)}")
    return 0


class _Objects:
    """Artefacts by hash: from the bundle or the cache, else downloaded once more and compared."""

    def __init__(self, here: App, original: Original) -> None:
        from executor.cli.local import open_cache

        self._original = original
        self._cache = open_cache(here)
        self._by_hash: dict[str, Artefact] = {a.sha256: a for a in original.artefacts}

    def __call__(self, sha256: str) -> Path | None:
        from executor.container.cache import Access
        from executor.model.deadline import Deadline
        from executor.model.doorbell import Fetch

        bundled = self._original.artefacts_directory
        if bundled is not None and (bundled / sha256).is_file():
            return bundled / sha256
        store = self._cache.store
        if store.meta(sha256) is None:
            url = self._by_hash[sha256].url
            local = (Path(url.removeprefix("file://")),) if url.startswith("file://") else ()
            try:
                self._cache.fetch(
                    Fetch(url, sha256sum=sha256), Access((), local), deadline=Deadline.after(600)
                )
            except LavaExecError:
                return None
        return store.path(sha256) if store.meta(sha256) is not None else None
