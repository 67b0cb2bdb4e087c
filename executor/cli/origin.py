# SPDX-License-Identifier: Apache-2.0
"""Where an earlier run is found: a bundle, a directory, a run here, a job of this host's agent, a master."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from executor.cli.app import App
from executor.errors import LavaExecError, UsageError

if TYPE_CHECKING:
    from executor.reproduce.source import Original


@contextmanager
def find_original(here: App, what: str, scratch: str) -> Iterator[Original]:
    """The earlier run. `scratch` names what is made below the state directory for the time of the context."""
    from executor.cli.source import local_directory
    from executor.reproduce.source import Original

    path = Path(what)
    if path.is_file():
        with _scratch(here, scratch) as target:
            yield _unpacked(here, path, target)
        return
    directory = local_directory(here, what)
    if directory is None:
        directory = _of_agent(here, what)
    if directory is not None:
        if not directory.is_dir():
            raise UsageError(f"there is no bundle and no directory {what}")
        yield Original(directory)
        return
    with _scratch(here, scratch) as target:
        _fetch(here, what, target)
        yield Original(target)


def _of_agent(here: App, job: str) -> Path | None:
    """The directory of a job that this host's agent ran and still keeps."""
    from executor.agent.record import known_jobs

    found = [
        directory.path
        for directory, record in known_jobs(here.state_path / "agent" / "jobs")
        if record.id == job
    ]
    return found[-1] if found and (found[-1] / "spec.json").is_file() else None


@contextmanager
def _scratch(here: App, name: str) -> Iterator[Path]:
    """A directory beside the runs, on the file system of the cache; removed at the end."""
    root = here.state_path / "run"
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    target = root / f".{name}"
    try:
        yield target
    finally:
        shutil.rmtree(target, ignore_errors=True)


def _unpacked(here: App, bundle: Path, target: Path) -> Original:
    from executor.reproduce.source import Original
    from executor.reproduce.unpack import unpack

    with progress_bar(here) as report:
        unpack(bundle, target, progress=report)
    return Original(target)


def _fetch(here: App, job: str, target: Path) -> None:
    """What the master keeps of a job: enough to run it again where the image and the artefacts are."""
    from executor.cli.files import fetch, file_list
    from executor.cli.follow import blocks
    from executor.model.deadline import Deadline
    from executor.reproduce.manifest import NEEDED
    from executor.wire.messages import Definition, JobDefinition

    try:
        with here.channel() as channel:
            rows = file_list(channel, job)
            for name in ("job", "out/sources"):
                (target / name).mkdir(mode=0o700, parents=True)
            for row in rows:
                place = placed(row.path)
                if place:
                    fetch(channel, job, row, target / ".fetched").replace(target / place)
            found = channel.call(JobDefinition(job), Definition, Deadline.after(30))
            (target / "job" / "job.yaml").write_text(found.text, encoding="utf-8")
            with (target / "out" / "journal.ndjson").open("wb") as file:
                file.writelines(blocks(channel, job, wait=False))
    except LavaExecError as error:
        hint = f"Looked for in {here.state_path}, and asked the master at {here.address}. {error.hint}"
        raise type(error)(f"job {job} is not on this machine, and {error.message}", hint) from None
    lacking = [name for name in NEEDED if not (target / name).exists() and name != "artefacts.json"]
    if lacking:
        raise UsageError(
            f"the master keeps too little of job {job} to run it again: {', '.join(lacking)} missing",
            "A job that never got a container left nothing to run again; submit it anew.",
        )


def placed(name: str) -> str:
    """Where a file kept at the master belongs in a job's directory; empty for one that is not needed."""
    if name in ("spec.json", "artefacts.json"):
        return name
    if name in ("device.yaml", "worker.yaml"):
        return f"job/{name}"
    inner = name.removeprefix("sources/")
    return f"out/{name}" if inner != name and "/" not in inner and inner.endswith(".tar.gz") else ""


@contextmanager
def progress_bar(here: App) -> Iterator[_Report]:
    """A bar on stderr while something long is done; nothing in a pipe."""
    report = _Report(here)
    try:
        yield report
    finally:
        report.close()


class _Report:
    def __init__(self, here: App) -> None:
        self._here = here
        self._shown = False
        self._next = 0.0
        self._begin = 0.0

    def __call__(self, what: str, done: int, total: int) -> None:
        import sys
        import time

        from executor.report.terminal import bar

        style = self._here.err
        now = time.monotonic()
        if not style.tty or self._here.quiet or now < self._next:
            return
        self._begin = self._begin or now
        self._next = now + 0.1
        self._shown = True
        rate = done / max(now - self._begin, 0.5)
        sys.stderr.write("\r\x1b[2K" + bar(what, done, total, rate, style))
        sys.stderr.flush()

    def close(self) -> None:
        import sys

        if self._shown:
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()
