# SPDX-License-Identifier: Apache-2.0
"""Following jobs to their end: log, table, cause, and the exit code of one or of several."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from executor.cli.app import App, write
from executor.cli.follow import blocks, live_log, read_summary
from executor.errors import EXIT_PRECEDENCE, ExitCode
from executor.model.deadline import Deadline

if TYPE_CHECKING:
    from executor.report.summary import Summary
    from executor.report.terminal import LiveLog
    from executor.wire.channel import Channel
    from executor.wire.messages import JobInfo

ASK = 30.0  # seconds for a plain question to the master


def exit_code(codes: Iterable[int]) -> int:
    """The code of several jobs: the first of the precedence that occurs (design §9)."""
    found = set(codes)
    return next((int(code) for code in EXIT_PRECEDENCE if code in found), max(found, default=0))


def job_info(channel: Channel, job: str, wait_seconds: float = 0.0) -> JobInfo:
    """One job as the master sees it."""
    from executor.wire.messages import JobInfo, JobShow

    return channel.call(JobShow(job, wait_seconds), JobInfo, Deadline.after(wait_seconds + ASK))


def code_of(info: JobInfo) -> int:
    """The exit code of a finished job; one without a code of its own ended by its health."""
    row = info.row
    if row.exit_code >= 0:
        return row.exit_code
    if row.health == "Canceled":
        return int(ExitCode.CANCELED)
    lab = row.error_type in ("Infrastructure", "Configuration") or not row.error_type
    return int(ExitCode.INFRASTRUCTURE if lab else ExitCode.JOB_ERROR)


def watch(here: App, channel: Channel, job: str, *, show_log: bool, cancel_on_interrupt: bool = False) -> int:
    """Follow one job to its end and tell how it ended; its exit code.

    Ctrl-C leaves the job alone and says so, or with `cancel_on_interrupt` cancels it and waits for its end;
    a second Ctrl-C then leaves it. Raises KeyboardInterrupt.
    """
    try:
        summary = _follow(here, channel, job, show_log=show_log)
    except KeyboardInterrupt:
        if not cancel_on_interrupt:
            _goes_on(here, job)
            raise
        cancel(channel, job, "interrupted at the command line")
        here.say(f"\njob {job} is being canceled; Ctrl-C once more to leave it alone")
        summary = _follow(here, channel, job, show_log=False)
    info = job_info(channel, job, 10.0)
    tell_end(here, info, summary)
    return code_of(info)


def cancel(channel: Channel, job: str, reason: str) -> JobInfo:
    """Ask for the end of a job."""
    from executor.wire.messages import Cancel, JobInfo

    return channel.call(Cancel(job, reason), JobInfo, Deadline.after(ASK))


def tell_end(here: App, info: JobInfo, summary: Summary) -> None:
    """Table, verdict and cause for people, or one JSON document."""
    from executor.report.outcome import outcome

    conclude(info, summary)
    if here.json:
        here.show_json(end_data(info, summary))
        return
    write(sys.stdout, "\n" + outcome(summary, here.out))
    sys.stdout.flush()
    if info.files:
        here.say(f"{info.files} files are kept: lava-exec files {info.row.id}")


def conclude(info: JobInfo, summary: Summary) -> None:
    """A job that ended before it had a journal, or whose journal has no end: the master says how it ended."""
    row = info.row
    if row.state == "Finished":
        why = row.error_msg or (f"canceled: {info.cancel_reason}" if info.cancel_reason else "")
        summary.conclude(row.health, code_of(info), row.error_type, why)


def end_data(info: JobInfo, summary: Summary) -> dict[str, Any]:
    """The end of a job for programs: results as `results --format json` has them, and the master's view."""
    from executor.report.json import as_data

    data = as_data(summary)
    row = info.row
    return data | {
        "job": row.id,
        "state": row.state,
        "health": row.health,
        "exit_code": code_of(info),
        "error_type": row.error_type,
        "error_msg": row.error_msg,
    }


def _follow(here: App, channel: Channel, job: str, *, show_log: bool) -> Summary:
    live: LiveLog | None = live_log(here) if show_log and not here.json else None

    def on_state(state: str) -> None:
        if state == "Submitted":
            waiting = job_info(channel, job).waiting
            here.say(f"job {job} waits: {waiting}" if waiting else f"job {job} waits")

    return read_summary(blocks(channel, job, wait=True, on_state=on_state), live=live)


def _goes_on(here: App, job: str) -> None:
    here.say(
        f"\njob {job} goes on. Follow it again: lava-exec logs -f {job}   End it: lava-exec cancel {job}"
    )
