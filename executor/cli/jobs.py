# SPDX-License-Identifier: Apache-2.0
"""`lava-exec jobs`: the list, and below it the other job commands under the names that lavacli gave them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from executor.cli.app import App, app
from executor.cli.group import command, group_command
from executor.report.style import RESULT_STYLE

if TYPE_CHECKING:
    from executor.wire.messages import JobRow

_SHOWN = 80  # characters of an error in the list
HEADER = ["id", "state", "device", "name", "submitter", "submitted", "results"]

_TABLE = {
    "list": ("executor.cli.jobs:list_jobs", "List jobs.", "Commands"),
    "show": ("executor.cli.show:show", "Show one job.", "Commands"),
    "submit": ("executor.cli.submit:submit", "Put jobs into the queue.", "Commands"),
    "logs": ("executor.cli.logs:logs", "Show or follow a job's log.", "Commands"),
    "results": ("executor.cli.results:results", "Show a job's results.", "Commands"),
    "cancel": ("executor.cli.cancel:cancel", "End jobs in an orderly way.", "Commands"),
    "definition": ("executor.cli.show:definition", "Print a job as it was submitted.", "Commands"),
    "wait": ("executor.cli.show:wait", "Wait for the end of a job.", "Commands"),
}


@command(
    "list",
    help="List jobs, newest first.",
    examples=(
        "lava-exec jobs",
        "lava-exec jobs --state running --state submitted",
        "lava-exec jobs --health incomplete --device-type qemu --limit 100",
        "lava-exec jobs --local",
    ),
)
@click.option("--state", "states", multiple=True, help="Only jobs in this state; repeatable.")
@click.option("--health", "healths", multiple=True, help="Only complete, incomplete or canceled jobs.")
@click.option("--device-type", default="", help="Only jobs for this type.")
@click.option("--device", default="", help="Only jobs on this device.")
@click.option("--worker", default="", help="Only jobs on this worker.")
@click.option("--submitter", default="", help="Only jobs of this person.")
@click.option("--before", default="", metavar="ID", help="Only jobs older than this one.")
@click.option("--limit", type=click.IntRange(1, 1000), default=25, show_default=True, help="At most so many.")
@click.option("--local", is_flag=True, help="List the runs of this machine, made without a master.")
def list_jobs(
    *,
    states: tuple[str, ...],
    healths: tuple[str, ...],
    device_type: str,
    device: str,
    worker: str,
    submitter: str,
    before: str,
    limit: int,
    local: bool,
) -> int:
    from executor.model.deadline import Deadline
    from executor.wire.messages import JobList, Jobs

    here = app()
    if local:
        from executor.cli.runs import list_runs

        return list_runs(here, limit)
    ask = JobList(
        [s.capitalize() for s in states],
        [h.capitalize() for h in healths],
        device_type,
        device,
        worker,
        submitter,
        "",
        before,
        limit,
    )
    with here.channel() as channel:
        answer = channel.call(ask, Jobs, Deadline.after(30))
    if here.json:
        here.show_json({"jobs": answer.rows, "more": answer.more})
        return 0
    if not answer.rows:
        here.say("no jobs")
        return 0
    here.table([row_text(here, row) for row in answer.rows], HEADER)
    if answer.more:
        here.say(f"older ones: --before {answer.rows[-1].id}")
    return 0


jobs = group_command(
    "jobs",
    list_jobs,
    table=_TABLE,
    help="List jobs, newest first; or one of the commands below, under the names that lavacli gave them.",
)


def row_text(here: App, row: JobRow) -> list[str]:
    """The columns of one job."""
    from executor.cli.times import ago

    return [
        row.id,
        state_text(here, row.state, row.health),
        row.device or row.device_type,
        row.name,
        row.submitter,
        ago(row.submitted),
        counts_and_cause(here, row.cases, row.error_msg),
    ]


def state_text(here: App, state: str, health: str) -> str:
    """The health of a finished job, the state of another one, in a colour."""
    if state != "Finished":
        return here.out.paint(state, "cyan")
    colour = {"Complete": "green", "Incomplete": "red", "Canceled": "yellow"}.get(health, "dim")
    return here.out.paint(health, colour)


def counts_and_cause(here: App, cases: dict[str, Any], error: str) -> str:
    """`1 pass, Kernel panic …`: what fits into a line; `show` has all of it."""
    from executor.report.style import printable

    short = printable(" ".join(error.split()))
    if len(short) > _SHOWN:
        short = short[: _SHOWN - 1] + "…"
    return ", ".join(part for part in (counts_text(here, cases), short) if part)


def counts_text(here: App, cases: dict[str, Any]) -> str:
    """`8 pass 1 fail`."""
    order = [*RESULT_STYLE, *(r for r in cases if r not in RESULT_STYLE)]
    return " ".join(
        here.out.paint(f"{cases[result]} {result}", RESULT_STYLE.get(result, "dim"))
        for result in order
        if cases.get(result)
    )
