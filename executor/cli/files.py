# SPDX-License-Identifier: Apache-2.0
"""`lava-exec files`: overlay, attachments, plan and launch spec of a job, listed or fetched and checked."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import click

from executor.cli.app import App, app
from executor.cli.complete import Job
from executor.cli.group import command
from executor.errors import InfrastructureError, UsageError
from executor.model.deadline import Deadline

if TYPE_CHECKING:
    from executor.wire.channel import Channel
    from executor.wire.messages import FileRow

_ASK = 60.0


@command(
    "files",
    help="""List the files kept with a job, or fetch them.

    With paths, these are fetched into the directory of -o; what arrives is checked against its SHA-256.""",
    examples=(
        "lava-exec files 12",
        "lava-exec files 12 overlay-common.tar.gz -o out/",
        "lava-exec files 12 --all -o job-12/",
        "lava-exec files 12 plan.json --stdout | jq .",
    ),
)
@click.argument("job", type=Job())
@click.argument("paths", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Fetch all of them.")
@click.option(
    "-o", "--output", default=".", type=click.Path(file_okay=False), help="Directory to put them into."
)
@click.option("--stdout", is_flag=True, help="Write one file to stdout instead.")
def files(*, job: str, paths: tuple[str, ...], every: bool, output: str, stdout: bool) -> int:
    from executor.cli.source import local_directory
    from executor.report.style import size

    here = app()
    if stdout and (len(paths) != 1 or every):
        raise UsageError("--stdout wants exactly one path")
    directory = local_directory(here, job)
    if directory is not None:
        raise UsageError(f"the files of this job are on this machine: {directory}")
    with here.channel() as channel:
        rows = {row.path: row for row in file_list(channel, job)}
        wanted = list(rows) if every else list(paths)
        for path in wanted:
            if path not in rows:
                known = ", ".join(rows) or "none"
                raise UsageError(f"job {job} has no file {path!r}", f"It has: {known}.")
        if not wanted:
            if here.json:
                here.show_json(list(rows.values()))
            elif rows:
                here.table(
                    [[row.path, size(row.size), row.sha256[:16]] for row in rows.values()],
                    ["path", "size", "sha256"],
                )
            else:
                here.say(f"no files are kept with job {job}")
            return 0
        for path in wanted:
            if stdout:
                _to_stdout(channel, job, rows[path])
            else:
                target = fetch(channel, job, rows[path], Path(output))
                _told(here, target, rows[path])
    return 0


def file_list(channel: Channel, job: str) -> list[FileRow]:
    """The files kept with a job."""
    from executor.wire.messages import FileList, Files

    return channel.call(FileList(job), Files, Deadline.after(_ASK)).rows


def fetch(channel: Channel, job: str, row: FileRow, directory: Path) -> Path:
    """One file below `directory`; it appears when it is whole and its hash is right."""
    parts = PurePosixPath(row.path).parts
    if not parts or parts[0] == "/" or ".." in parts:
        raise InfrastructureError(f"the master names a file {row.path!r} that would lie elsewhere")
    target = directory.joinpath(*parts)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    try:
        with part.open("wb") as file:
            for data in _blocks(channel, job, row):
                file.write(data)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return target


def _blocks(channel: Channel, job: str, row: FileRow):  # type: ignore[no-untyped-def]
    from executor.wire.messages import FileBlock, FileRead

    digest, offset = hashlib.sha256(), 0
    while offset < row.size:
        block = channel.call(FileRead(job, row.path, offset), FileBlock, Deadline.after(_ASK))
        if block.offset != offset or not block.data:
            raise InfrastructureError(f"the master sent less of {row.path} than its {row.size} bytes")
        digest.update(block.data)
        offset += len(block.data)
        yield block.data
    if row.sha256 and digest.hexdigest() != row.sha256:
        raise InfrastructureError(
            f"{row.path} arrived with another content than the master has", "Try it again."
        )


def _to_stdout(channel: Channel, job: str, row: FileRow) -> None:
    for data in _blocks(channel, job, row):
        sys.stdout.buffer.write(data)


def _told(here: App, target: Path, row: FileRow) -> None:
    from executor.report.style import size

    here.say(f"{target}  {size(row.size)}")
