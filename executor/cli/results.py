# SPDX-License-Identifier: Apache-2.0
"""`lava-exec results`: a job's results for people, or in a format that other tools read."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from executor.cli.app import App, app, write
from executor.cli.complete import Job
from executor.cli.group import command
from executor.errors import UsageError

if TYPE_CHECKING:
    from executor.report.summary import Summary


@command(
    "results",
    formats=("text", "json", "yaml", "junit", "tap", "csv"),
    help="""Show a job's results.

    JOB is an id at the master, or an id, directory or journal of a run on this machine. A SUITE limits the
    list; with a CASE only its result is printed.""",
    examples=(
        "lava-exec results 12",
        "lava-exec results 12 0_smoke",
        "lava-exec results 12 0_smoke kernel",
        "lava-exec results 12 --format junit -o results.xml",
        "lava-exec results 12 --format json | jq .cause",
    ),
)
@click.argument("job", type=Job())
@click.argument("suite", default="")
@click.argument("case", default="")
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="Write to a file instead of stdout.")
@click.option("--all", "every", is_flag=True, help="List the executor's own records too.")
@click.option("--prefix", default="", help="Put before each class name in JUnit.")
def results(*, job: str, suite: str, case: str, output: str | None, every: bool, prefix: str) -> int:
    from executor.cli.follow import read_summary
    from executor.cli.source import journal_blocks

    here = app()
    kind = here.output_format()
    with journal_blocks(here, job) as source:
        summary = read_summary(source, excerpts=kind in ("junit", "tap"))
    if suite and suite not in summary.suites:
        known = ", ".join(summary.suites) or "none yet"
        raise UsageError(f"job {job} has no suite {suite!r}", f"Its suites: {known}.")
    if case:
        return _one(summary, suite, case)
    pieces = render(summary, kind, here, suite=suite, every=every, prefix=prefix)
    if output is None:
        for piece in pieces:
            write(sys.stdout, piece)
        return 0
    with open(output, "w", encoding="utf-8", newline="") as file:  # noqa: PTH123 - "-" never comes here
        file.writelines(pieces)
    here.say(f"written to {output}")
    return 0


def render(
    summary: Summary, kind: str, here: App, *, suite: str = "", every: bool = False, prefix: str = ""
) -> Iterable[str]:
    """The results in one of the formats."""
    if kind == "yaml":
        from executor.report.results_yaml import results_yaml

        return results_yaml(summary, suite=suite)
    if kind == "csv":
        from executor.report.csv import results_csv

        return results_csv(summary, suite=suite)
    if kind == "junit":
        from executor.report.junit import results_junit

        return results_junit(summary, suite=suite, prefix=prefix)
    if kind == "tap":
        from executor.report.tap import results_tap

        return results_tap(summary, suite=suite)
    if kind == "json":
        from executor.report.json import results_json

        return [results_json(summary, suite=suite)]
    from executor.report.outcome import results_table, verdict

    table = results_table(summary, here.out, every=every or bool(suite), suite=suite)
    return [table, "" if suite else verdict(summary, here.out)]


def _one(summary: Summary, suite: str, case: str) -> int:
    """The result of one case, one line an attempt."""
    found = [c.result for c in summary.suites[suite] if case in (c.name, f"{c.set}/{c.name}")]
    if not found:
        raise UsageError(f"suite {suite} has no case {case!r}")
    for result in found:
        print(result)
    return 0
