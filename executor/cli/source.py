# SPDX-License-Identifier: Apache-2.0
"""Where a job is: at the master, or in a directory of this machine that `run` and `reproduce` left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from executor.cli.follow import blocks, file_blocks

if TYPE_CHECKING:
    from executor.cli.app import App

JOURNAL = "journal.ndjson"


def local_directory(here: App, job: str) -> Path | None:
    """The directory of a job that ran on this machine without a master; None for a job of the master.

    `job` is the id of such a run, its directory, or a journal file.
    """
    if job.isdigit():
        return None
    path = Path(job)
    if "/" in job or path.suffix == ".ndjson":
        return path
    found = here.state_path / "run" / job
    return found if found.is_dir() else (path if path.is_dir() else None)


def journal_file(directory: Path) -> Path:
    """The journal of a local job."""
    if directory.is_file():
        return directory
    for path in (directory / "out" / JOURNAL, directory / JOURNAL):
        if path.is_file():
            return path
    from executor.errors import UsageError

    raise UsageError(
        f"there is no journal in {directory}", "`lava-exec jobs --local` lists the runs of this machine."
    )


@contextmanager
def journal_blocks(
    here: App, job: str, *, wait: bool = False, last_lines: int = 0
) -> Iterator[Iterator[bytes]]:
    """The journal of a job wherever it is, as blocks of bytes."""
    directory = local_directory(here, job)
    if directory is None:
        with here.channel() as channel:
            yield blocks(channel, job, wait=wait, last_lines=last_lines)
        return
    path = journal_file(directory)
    yield (
        file_blocks(path, wait=wait, ended=lambda: _has_end(path))
        if not last_lines
        else _tail(path, last_lines)
    )


def _has_end(path: Path) -> bool:
    """Whether the last line is an end record; looks at the file's end only."""
    with path.open("rb") as file:
        file.seek(0, 2)
        file.seek(max(0, file.tell() - (64 << 10)))
        lines = file.read().splitlines()
    return bool(lines) and b'"lvl":"end"' in lines[-1]


def _tail(path: Path, count: int) -> Iterator[bytes]:
    """The last `count` lines, found from the end of the file."""
    step = 256 << 10
    with path.open("rb") as file:
        start = file.seek(0, 2)
        while start:
            start = max(0, start - step)
            file.seek(start)
            data = file.read()
            if data.count(b"\n") > count:
                break
            step *= 4
        file.seek(start)
        lines = file.read().splitlines(keepends=True)
    yield b"".join(lines[-count:])
