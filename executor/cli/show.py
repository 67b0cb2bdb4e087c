# SPDX-License-Identifier: Apache-2.0
"""`lava-exec show`: one job in full; and its definition, and waiting for its end."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from executor.cli.app import App, app, write
from executor.cli.complete import Job
from executor.cli.group import command
from executor.errors import ExitCode

if TYPE_CHECKING:
    from executor.report.summary import Cause
    from executor.wire.messages import JobInfo


@command(
    "show",
    help="Show one job: state, device, why it waits, how it ended, what happened to it.",
    examples=("lava-exec show 12", "lava-exec show 12 --format json | jq .row.health"),
)
@click.argument("job", type=Job())
def show(*, job: str) -> int:
    from executor.cli import jobset
    from executor.cli.source import local_directory

    here = app()
    directory = local_directory(here, job)
    if directory is not None:
        from executor.cli.runs import show_run

        return show_run(here, directory)
    with here.channel() as channel:
        info = jobset.job_info(channel, job)
    if here.json:
        here.show_json(info)
    else:
        write(sys.stdout, as_text(here, info))
    return 0


def as_text(here: App, info: JobInfo) -> str:
    """`key : value` lines, then the history."""
    from executor.cli.jobs import counts_text, state_text
    from executor.cli.times import stamp
    from executor.report.style import duration, table

    row = info.row
    cause = _cause(info)
    spent = duration(row.ended - row.started) if row.ended and row.started else ""
    rows = [
        ("id", row.id),
        ("name", row.name),
        ("state", row.state),
        ("health", state_text(here, row.state, row.health) if row.state == "Finished" else ""),
        ("waits for", info.waiting),
        ("device type", row.device_type),
        ("device", row.device),
        ("worker", row.worker),
        ("tags", ", ".join(info.tags)),
        ("submitter", row.submitter),
        ("priority", str(row.priority)),
        ("submitted", stamp(row.submitted)),
        ("started", stamp(row.started)),
        ("ended", f"{stamp(row.ended)}  ({spent})" if spent else stamp(row.ended)),
        ("results", counts_text(here, row.cases)),
        ("exit code", str(row.exit_code) if row.exit_code >= 0 else ""),
        ("cause", cause.sentence() if row.error_msg else ""),
        ("hint", cause.hint),
        ("canceled by", f"{info.cancel_by} {info.cancel_reason}".strip()),
        ("repeats job", info.attempt_of),
        ("group", f"{row.group} {row.role}".strip()),
        ("kept files", str(info.files) if info.files else ""),
    ]
    text = table([[key, f": {value}"] for key, value in rows if value], style=here.out)
    if info.history:
        text += "\n" + "".join(f"{line}\n" for line in info.history)
    return text


def _cause(info: JobInfo) -> Cause:
    """As far as the master knows it; the line of the log is known to who reads the journal."""
    from executor.errors import who_acts
    from executor.report.summary import Cause

    row, end = info.row, info.end
    if end is None or not end.error_msg:
        return Cause(who_acts(row.error_type), row.error_msg, row.error_type)
    return Cause(end.who, row.error_msg, end.error_type, end.hint, end.action, end.level)


@command(
    "definition",
    formats=(),
    help="Print a job as it was submitted, secrets masked.",
    examples=("lava-exec jobs definition 12 > job.yaml", "lava-exec jobs definition 12 --device"),
)
@click.argument("job", type=Job())
@click.option("--device", is_flag=True, help="Print the device as it was rendered for the job instead.")
def definition(*, job: str, device: bool) -> int:
    from executor.model.deadline import Deadline
    from executor.wire.messages import Definition, JobDefinition

    here = app()
    with here.channel() as channel:
        answer = channel.call(JobDefinition(job), Definition, Deadline.after(30))
    if device:
        import yaml

        write(sys.stdout, yaml.safe_dump(answer.device, sort_keys=False, allow_unicode=True))
    else:
        write(sys.stdout, answer.text)
    return 0


@command(
    "wait",
    help="Wait for the end of a job; the exit code tells how it ended, as with submit --wait.",
    examples=("lava-exec jobs wait 12", "lava-exec jobs wait 12 --timeout 600"),
)
@click.argument("job", type=Job())
@click.option(
    "--timeout", type=click.FloatRange(0), metavar="SECONDS", help="Give up after this; exit code 5."
)
def wait(*, job: str, timeout: float | None) -> int:
    from executor.cli import jobset
    from executor.model.deadline import Deadline

    here = app()
    deadline = Deadline.never() if timeout is None else Deadline.after(timeout)
    with here.channel() as channel:
        while True:
            info = jobset.job_info(channel, job, min(30.0, deadline.remaining))
            if info.row.state == "Finished":
                break
            if deadline.expired:
                here.warn(f"job {job} is still {info.row.state}")
                return int(ExitCode.TIMEOUT)
    if here.json:
        here.show_json(info.row)
    else:
        print(info.row.health)
    return jobset.code_of(info)
