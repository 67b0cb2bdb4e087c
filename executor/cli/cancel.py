# SPDX-License-Identifier: Apache-2.0
"""`lava-exec cancel`: the orderly end of jobs, power-off and clean-up included."""

from __future__ import annotations

import click

from executor.cli.app import app
from executor.cli.complete import Job
from executor.cli.group import command
from executor.errors import LavaExecError


@command(
    "cancel",
    help="""End jobs in an orderly way.

    The device is powered off and everything is cleaned up. Harmless for jobs that have ended.""",
    examples=(
        "lava-exec cancel 12",
        "lava-exec cancel 12 13 --reason 'wrong kernel'",
        "lava-exec cancel 12 --wait",
    ),
)
@click.argument("jobs", nargs=-1, required=True, type=Job(), metavar="JOB...")
@click.option("--reason", default="", help="Stands in the job's log.")
@click.option("--wait", is_flag=True, help="Return when they have ended.")
def cancel(*, jobs: tuple[str, ...], reason: str, wait: bool) -> int:
    from executor.cli import jobset
    from executor.cli.errors import show_error

    here = app()
    code, rows = 0, []
    with here.channel() as channel:
        for job in jobs:
            try:
                info = jobset.cancel(channel, job, reason)
                while wait and info.row.state != "Finished":
                    info = jobset.job_info(channel, job, 30.0)
            except LavaExecError as error:
                if len(jobs) == 1:
                    raise
                show_error(error, here)
                code = code or int(error.exit_code)
                continue
            rows.append({"job": job, "state": info.row.state, "health": info.row.health})
    if here.json:
        here.show_json(rows)
    else:
        for row in rows:
            here.say(f"job {row['job']}: {row['state']}, {row['health']}")
    return code
