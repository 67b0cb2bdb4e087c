# SPDX-License-Identifier: Apache-2.0
"""`lava-exec logs`: a job's log, finished or growing, for people or in the field's own format."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import click

from executor.cli.app import App, app, write
from executor.cli.complete import Job
from executor.cli.group import command
from executor.errors import UsageError
from executor.model.journal import LOG_LEVELS, Record

_RANGE = re.compile(r"(\d*)(?:-(\d*))?\Z")


@command(
    "logs",
    formats=("text", "yaml", "json"),
    help="""Show a job's log.

    JOB is an id at the master, or an id, directory or journal of a run on this machine. --format yaml writes
    the field's logs.yaml, --format json the journal itself, one record a line. Times are UTC. Line numbers
    count the lines of logs.yaml from 0, as results do.""",
    examples=(
        "lava-exec logs 12",
        "lava-exec logs -f 12",
        "lava-exec logs 12 --lines 800-850",
        "lava-exec logs 12 --level target | grep -i oops",
        "lava-exec logs 12 --format yaml > logs.yaml",
    ),
)
@click.argument("job", type=Job())
@click.option("-f", "--follow", is_flag=True, help="Go on until the job has ended.")
@click.option("-n", "--last", type=click.IntRange(1, 1_000_000), metavar="N", help="Only the last N records.")
@click.option("--lines", "lines", metavar="A-B", help="Only these lines; A-, -B and N as well.")
@click.option("--level", "levels", multiple=True, metavar="LEVEL", help="Only these levels; repeatable.")
@click.option("--no-timestamps", is_flag=True, help="Leave out the time of each line.")
def logs(
    *,
    job: str,
    follow: bool,
    last: int | None,
    lines: str | None,
    levels: tuple[str, ...],
    no_timestamps: bool,
) -> int:
    from executor.cli.source import journal_blocks

    here = app()
    wanted = _levels(levels)
    keep = _range(lines) if lines else None
    if keep is not None and (last or follow):
        raise UsageError("--lines does not go together with --last or --follow")
    kind = here.output_format()
    with journal_blocks(here, job, wait=follow, last_lines=last or 0) as source:
        if kind == "json" and wanted is None and keep is None:
            for data in source:
                sys.stdout.buffer.write(data)
                sys.stdout.buffer.flush()
            return 0
        wish = _Wish(wanted, keep, partial=bool(last))
        if kind == "yaml":
            _write_yaml(source, wish)
        else:
            _show(here, kind, _selected(source, wish), wanted, not no_timestamps)
    return 0


@dataclass
class _Wish:
    """Which records are asked for. `partial`: the journal is not read from its beginning."""

    levels: frozenset[str] | None
    lines: tuple[int, int] | None
    partial: bool

    def has(self, line: int, record: Record) -> bool:
        """Is this one of them? `line` is its number in the field's log."""
        if self.lines is not None and not self.lines[0] <= line <= self.lines[1]:
            return False
        return self.levels is None or record.lvl in self.levels


def _show(
    here: App, kind: str, batches: Iterable[list[Record]], wanted: frozenset[str] | None, timestamps: bool
) -> None:
    if kind == "json":
        from executor.model.journal import encode

        for batch in batches:
            write(sys.stdout, encode(batch).decode())
    else:
        from executor.cli.follow import live_log

        live = live_log(here, timestamps=timestamps, levels=wanted)
        try:
            for batch in batches:
                live.feed(batch)
        finally:
            live.close()


def _write_yaml(source: Iterator[bytes], wish: _Wish) -> None:
    """The field's own log; line numbers in results are those of the whole log, whatever is left out."""
    from executor.report.logs_yaml import LogsYaml
    from executor.report.reader import JournalReader

    reader = JournalReader(partial=wish.partial)
    view = LogsYaml(wish.has, partial=wish.partial)
    for data in source:
        write(sys.stdout, view.feed(reader.feed(data)))
        sys.stdout.flush()


def _selected(source: Iterator[bytes], wish: _Wish) -> Iterator[list[Record]]:
    """Records of the journal, those asked for."""
    from executor.report.reader import JournalReader, Lines

    reader, numbers = JournalReader(partial=wish.partial), Lines()
    for data in source:
        batch = reader.feed(data)
        if wish.lines is not None:
            batch = [r for r in batch if numbers.add(r) and wish.has(numbers.count - 1, r)]
        elif wish.levels is not None:
            batch = [r for r in batch if r.lvl in wish.levels]
        if batch:
            yield batch
        if wish.lines is not None and numbers.count > wish.lines[1]:
            return


def _levels(given: tuple[str, ...]) -> frozenset[str] | None:
    names = frozenset(name for word in given for name in word.split(",") if name)
    unknown = names - LOG_LEVELS
    if unknown:
        known = ", ".join(sorted(LOG_LEVELS))
        raise UsageError(f"there is no level {sorted(unknown)[0]!r}", f"Levels are {known}.")
    return names or None


def _range(text: str) -> tuple[int, int]:
    """`800-850`, `800-`, `-850` or `800` as (first, last)."""
    found = _RANGE.match(text)
    if not text or found is None or text == "-":
        raise UsageError(f"--lines {text!r} is no range", "Write --lines 800-850, 800-, -850 or 800.")
    first = int(found[1] or 0)
    if "-" not in text:
        return first, first
    return first, int(found[2]) if found[2] else sys.maxsize
