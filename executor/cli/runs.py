# SPDX-License-Identifier: Apache-2.0
"""Runs of this machine that were made without a master: where they are, their list, how long they stay."""

from __future__ import annotations

import secrets
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from executor.cli.app import App, write
from executor.cli.source import journal_file

if TYPE_CHECKING:
    from executor.model.journal import End, Header

KEPT = 100  # runs; the oldest ones go when a new one begins


def new_id() -> str:
    """A name that no other run of this machine has. Short: it stands in paths that a guest's shell echoes."""
    return f"r{secrets.token_hex(3)}"


def new_directory(here: App, job_id: str) -> Path:
    """Where the files of a new run go. Old runs make room for it."""
    root = here.state_path / "run"
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    for old in _newest_first(root)[KEPT - 1 :]:
        if not (old / "session.json").exists():  # it still runs
            shutil.rmtree(old, ignore_errors=True)
    return root / job_id


class RunRow(msgspec.Struct):
    """One run in a list. `health` is empty while it runs."""

    id: str
    directory: str
    health: str = ""
    exit_code: int | None = None
    name: str = ""
    device: str = ""
    cases: dict[str, int] = {}
    error_msg: str = ""
    repeats: str = ""  # id of the job that this one runs again


def list_runs(here: App, limit: int) -> int:
    """`jobs --local`."""
    root = here.state_path / "run"
    rows = [_row(directory) for directory in (_newest_first(root)[:limit] if root.is_dir() else [])]
    if here.json:
        here.show_json(rows)
    elif not rows:
        here.say(f"no runs in {root}")
    else:
        from executor.cli.jobs import counts_and_cause, state_text

        table = []
        for row in rows:
            state = state_text(here, "Finished" if row.health else "Running", row.health)
            table.append(
                [row.id, state, row.device, row.name, counts_and_cause(here, row.cases, row.error_msg)]
            )
        here.table(table, ["id", "state", "device", "name", "results"])
    return 0


def _row(directory: Path) -> RunRow:
    header, end = _ends(directory)
    row = RunRow(directory.name, str(directory))
    if header is not None:
        row.name, row.device, row.repeats = header.job_name, header.device, header.attempt_of
    if end is not None:
        row.health, row.exit_code, row.cases, row.error_msg = (
            end.health,
            end.exit_code,
            end.cases,
            end.error_msg,
        )
    return row


def show_run(here: App, directory: Path) -> int:
    """`show` for a run of this machine."""
    from executor.report.json import as_data
    from executor.report.outcome import outcome
    from executor.report.style import table
    from executor.report.summarize import summarize

    summary = summarize(journal_file(directory))
    if here.json:
        here.show_json(as_data(summary) | {"directory": str(directory)})
        return 0
    header = summary.header
    rows = [
        ("id", header.job_id),
        ("name", header.job_name),
        ("device", header.device),
        ("image", f"{header.image} {header.image_digest[:19]}".strip()),
        ("repeats job", header.attempt_of),
        ("files", str(directory)),
    ]
    write(sys.stdout, table([[key, f": {value}"] for key, value in rows if value], style=here.out))
    write(sys.stdout, "\n" + outcome(summary, here.out))
    return 0


def _newest_first(root: Path) -> list[Path]:
    found = []
    for path in root.iterdir():
        try:
            if path.is_dir() and not path.name.startswith("."):
                found.append((path.stat().st_mtime, path))
        except OSError:
            continue  # it goes at this moment
    return [path for _, path in sorted(found, reverse=True)]


def _ends(directory: Path) -> tuple[Header | None, End | None]:
    """The first and the last record of a journal, without reading what lies between."""
    from executor.container.journalfile import read_tail
    from executor.model.journal import Header, decode

    path = directory / "out" / "journal.ndjson"
    try:
        with path.open("rb") as file:
            record = decode(file.readline(4 << 20))
        header = msgspec.convert(record.msg, Header)
    except (OSError, msgspec.MsgspecError):
        return None, None
    return header, read_tail(path).end
