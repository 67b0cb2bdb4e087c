# SPDX-License-Identifier: Apache-2.0
"""`lava-exec results`: a job's results for people, or in a format that other tools read."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from executor.cli.app import App, app, write
from executor.cli.complete import Job
from executor.cli.group import command
from executor.errors import UsageError

if TYPE_CHECKING:
    from executor.report.page import PageBuilder
    from executor.report.summary import Summary


@command(
    "results",
    formats=("text", "json", "yaml", "junit", "tap", "csv", "html"),
    help="""Show a job's results.

    JOB is an id at the master, or an id, directory or journal of a run on this machine. A SUITE limits the
    list; with a CASE only its result is printed. --format html makes one page that needs nothing else: cause,
    results, timeline and the log, folded.""",
    examples=(
        "lava-exec results 12",
        "lava-exec results 12 0_smoke",
        "lava-exec results 12 0_smoke kernel",
        "lava-exec results 12 --format junit -o results.xml",
        "lava-exec results 12 --format html -o job-12.html",
        "lava-exec results 12 --format json | jq .cause",
    ),
)
@click.argument("job", type=Job())
@click.argument("suite", default="")
@click.argument("case", default="")
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="Write to a file instead of stdout.")
@click.option("--all", "every", is_flag=True, help="List the executor's own records too.")
@click.option("--suites", is_flag=True, help="With --format yaml: only name, job and id of each suite.")
@click.option("--limit", type=click.IntRange(0), metavar="N", help="With --format yaml: at most N cases.")
@click.option("--offset", type=click.IntRange(0), default=0, metavar="N", help="… from the Nth on.")
@click.option("--metadata", is_flag=True, help="Print the job's own metadata instead, as YAML or JSON.")
@click.option("--prefix", default="", help="Put before each class name in JUnit.")
def results(*, job: str, suite: str, case: str, output: str | None, **options: Any) -> int:
    from executor.cli.source import journal_blocks

    here = app()
    wish = Wish(suite=suite, **options)
    kind = here.output_format()
    if kind != "yaml" and (wish.suites or wish.limit is not None or wish.offset):
        raise UsageError("--suites, --limit and --offset belong to --format yaml")
    if wish.metadata and kind not in ("text", "yaml", "json"):
        raise UsageError("--metadata is printed as YAML or JSON")
    if kind == "html" and suite:
        raise UsageError("the page is of the whole job", "Leave SUITE out.")
    with journal_blocks(here, job) as source:
        summary, page = _read(source, kind)
    _end_by_the_master(here, job, summary)
    if suite and suite not in summary.suites:
        known = ", ".join(summary.suites) or "none yet"
        raise UsageError(f"job {job} has no suite {suite!r}", f"Its suites: {known}.")
    if case:
        return _one(summary, suite, case)
    pieces = render(summary, kind, here, wish) if page is None else page.page(summary)
    if output is None:
        for piece in pieces:
            write(sys.stdout, piece)
        return 0
    with open(output, "w", encoding="utf-8", newline="") as file:  # noqa: PTH123 - "-" never comes here
        file.writelines(pieces)
    here.say(f"written to {output}")
    return 0


@dataclass(frozen=True)
class Wish:
    """What is to be shown of the results; the options of the command."""

    suite: str = ""
    every: bool = False
    prefix: str = ""
    suites: bool = False
    limit: int | None = None
    offset: int = 0
    metadata: bool = False


def _read(source: Iterator[bytes], kind: str) -> tuple[Summary, PageBuilder | None]:
    """The summary, and for the page the log as well; one pass either way."""
    from executor.cli.follow import read_summary

    if kind != "html":
        return read_summary(source, excerpts=kind in ("junit", "tap")), None
    from executor.report.page import PageBuilder

    page = PageBuilder()
    return read_summary(source, also=page.add), page


def _end_by_the_master(here: App, job: str, summary: Summary) -> None:
    """A journal without an end: the master knows whether the job still runs, and how else it ended."""
    from executor.cli import jobset
    from executor.cli.source import local_directory

    if summary.end is None and local_directory(here, job) is None:
        with here.channel() as channel:
            jobset.conclude(jobset.job_info(channel, job), summary)


def render(summary: Summary, kind: str, here: App, wish: Wish) -> Iterable[str]:
    """The results in one of the formats."""
    suite = wish.suite
    if wish.metadata:
        return [_metadata(summary, kind)]
    if kind == "yaml":
        from executor.report.results_yaml import results_yaml, suites_yaml

        if wish.suites:
            return suites_yaml(summary)
        return results_yaml(summary, suite=suite, limit=wish.limit, offset=wish.offset)
    if kind == "csv":
        from executor.report.csv import results_csv

        return results_csv(summary, suite=suite)
    if kind == "junit":
        from executor.report.junit import results_junit

        return results_junit(summary, suite=suite, prefix=wish.prefix)
    if kind == "tap":
        from executor.report.tap import results_tap

        return results_tap(summary, suite=suite)
    if kind == "json":
        from executor.report.json import results_json

        return [results_json(summary, suite=suite)]
    from executor.report.outcome import results_table, verdict

    table = results_table(summary, here.out, every=wish.every or bool(suite), suite=suite)
    return [table, "" if suite else verdict(summary, here.out)]


def _metadata(summary: Summary, kind: str) -> str:
    """The map that the job brought along, not interpreted."""
    if kind == "json":
        import msgspec

        return msgspec.json.format(msgspec.json.encode(summary.header.metadata), indent=2).decode() + "\n"
    import yaml

    return yaml.safe_dump(summary.header.metadata, sort_keys=False, allow_unicode=True)


def _one(summary: Summary, suite: str, case: str) -> int:
    """The result of one case, one line an attempt."""
    found = [c.result for c in summary.suites[suite] if case in (c.name, f"{c.set}/{c.name}")]
    if not found:
        raise UsageError(f"suite {suite} has no case {case!r}")
    for result in found:
        print(result)
    return 0
