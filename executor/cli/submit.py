# SPDX-License-Identifier: Apache-2.0
"""`lava-exec submit`: jobs into the queue, and on request everything up to their results and an exit code."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from executor.cli.app import App, app
from executor.cli.group import command
from executor.errors import LavaExecError, UsageError

if TYPE_CHECKING:
    from executor.wire.channel import Channel
    from executor.wire.messages import Submit, Submitted


@command(
    "submit",
    help="""Put jobs into the master's queue.

    Prints the id of each job, one a line. With --wait or --follow the exit code tells how the jobs ended: 0
    all test cases passed, 1 a test case failed, 2 the job is at fault, 3 the lab, 4 canceled, 5 a timeout;
    of several jobs the gravest. Ctrl-C while following leaves the job alone.""",
    examples=(
        "lava-exec submit job.yaml",
        "lava-exec submit job.yaml --follow",
        "lava-exec submit *.yaml --wait --priority 80",
        "sed s/@REV@/$rev/ job.yaml | lava-exec submit - --wait",
        "lava-exec submit job.yaml --secret TOKEN=@token.txt",
    ),
)
@click.argument("jobs", nargs=-1, required=True, type=click.Path(allow_dash=True), metavar="JOB...")
@click.option("--wait", "wait", is_flag=True, help="Wait for the end and show the results.")
@click.option("-f", "--follow", is_flag=True, help="Show the log as it grows; includes --wait.")
@click.option("--priority", type=click.IntRange(0, 100), help="Instead of the job's own, 0 to 100.")
@click.option("--device", default="", metavar="NAME", help="Run on this device only.")
@click.option(
    "--secret", "secrets", multiple=True, metavar="NAME=@FILE", help="Secret from a file; repeatable."
)
@click.option("--strict", is_flag=True, help="Refuse timeouts longer than the job's too.")
@click.option("--no-strict", "lenient", is_flag=True, help="Warn about unknown keys instead of refusing.")
@click.option("--dry-run", is_flag=True, help="Let the master check the jobs and queue nothing.")
@click.option("--cancel-on-interrupt", is_flag=True, help="Ctrl-C cancels the job instead of leaving it.")
def submit(
    *,
    jobs: tuple[str, ...],
    wait: bool,
    follow: bool,
    priority: int | None,
    device: str,
    secrets: tuple[str, ...],
    strict: bool,
    lenient: bool,
    dry_run: bool,
    cancel_on_interrupt: bool,
) -> int:
    from executor.cli.jobset import exit_code, watch
    from executor.wire.messages import Submit

    here = app()
    if jobs.count("-") > 1:
        raise UsageError("stdin (-) can be read once only")
    if strict and lenient:
        raise UsageError("--strict and --no-strict exclude each other")
    given = dict(map(read_secret, secrets))
    asks = [
        Submit(
            text,
            name,
            priority,
            device,
            given,
            dry_run=dry_run,
            strict=strict,
            lax=lenient,
        )
        for text, name in map(read_job, jobs)
    ]
    codes: list[int] = []
    submitted: list[str] = []
    with here.channel() as channel:
        for ask in asks:
            try:
                answer = _submit(channel, ask)
            except LavaExecError as error:
                if len(asks) == 1 or not hasattr(error, "problems"):
                    raise
                codes.append(_refused(here, ask, error))
                continue
            submitted += answer.jobs
            _tell(here, ask, answer, quiet_json=wait or follow)
        if wait or follow:
            codes += [
                watch(here, channel, job, show_log=follow, cancel_on_interrupt=cancel_on_interrupt)
                for job in submitted
            ]
    return exit_code(codes)


def read_job(path: str) -> tuple[str, str]:
    """(text, name for messages); relative file: URLs become absolute by the place of the file."""
    from executor.cli.check import read_text
    from executor.schema.files import absolute_urls

    text, name = read_text(path)
    base = Path.cwd() if path == "-" else Path(path).parent
    return absolute_urls(text, base), name


def read_secret(given: str) -> tuple[str, str]:
    """`NAME=@FILE`. A value itself is not taken: command lines can be read by every user of a machine."""
    name, equals, value = given.partition("=")
    if not name or not equals or not value.startswith("@"):
        raise UsageError(
            f"--secret {name or given!r} does not name a file",
            "Write --secret NAME=@FILE, or NAME=@- for stdin.",
        )
    from executor.cli.check import read_text

    return name, read_text(value[1:])[0].rstrip("\n")


def _submit(channel: Channel, ask: Submit) -> Submitted:
    from executor.model.deadline import Deadline
    from executor.wire.messages import Submitted

    try:
        return channel.call(ask, Submitted, Deadline.after(60))
    except LavaExecError as error:
        if getattr(error, "problems", None):
            error.sources = {ask.filename: ask.text}  # type: ignore[attr-defined]
        raise


def _refused(here: App, ask: Submit, error: LavaExecError) -> int:
    from executor.cli.errors import show_error

    show_error(error, here)
    here.warn(f"{ask.filename} was not submitted, the others are")
    return int(error.exit_code)


def _tell(here: App, ask: Submit, answer: Submitted, *, quiet_json: bool) -> None:
    from executor.cli.problems import as_data, show_problems

    if here.json:
        if not quiet_json:
            here.show_json(
                {
                    "file": ask.filename,
                    "jobs": answer.jobs,
                    "group": answer.group,
                    "waiting": answer.waiting,
                    "warnings": [as_data(p) for p in answer.warnings],
                }
            )
        return
    show_problems(answer.warnings, here, {ask.filename: ask.text})
    for job in answer.jobs:
        print(job, flush=True)
    if ask.dry_run:
        here.say(f"{ask.filename} would be accepted")
    elif answer.waiting:
        here.say(f"job {', '.join(answer.jobs)} waits: {answer.waiting}")
