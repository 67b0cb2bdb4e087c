# SPDX-License-Identifier: Apache-2.0
"""Why a runner ended without a word of its own: from what the host's side saw to an `end` record."""

from __future__ import annotations

import signal

import msgspec

from executor.errors import (
    InfrastructureError,
    InfrastructureTimeout,
    JobCanceled,
    JobError,
    LavaExecError,
)
from executor.model.journal import End


class Ending(msgspec.Struct):
    """What was seen of the end of a container."""

    exit_code: int | None = None
    vanished: bool = False  # the engine does not know it any more
    engine_lost: str = ""  # the engine did not answer for too long
    out_of_memory: bool = False
    canceled: str = ""  # the reason somebody gave
    killed: bool = False  # by us
    disk: int = 0  # bytes taken when it was killed for that
    overdue: bool = False  # killed because it should have ended long ago
    error: str = ""  # the engine's own words
    said: bytes = b""  # the end of the container's output


def explain(ending: Ending, *, memory_mib: int, disk_mib: int) -> End:
    """The `end` record for a runner that left none."""
    error = _cause(ending, memory_mib, disk_mib)
    canceled = isinstance(error, JobCanceled)
    return End(
        health="Canceled" if canceled else "Incomplete",
        exit_code=int(error.exit_code),
        error_type=error.error_type,
        error_msg=error.message,
        hint=error.hint,
        who=error.who,
    )


def _cause(ending: Ending, memory_mib: int, disk_mib: int) -> LavaExecError:
    if ending.disk:
        return JobError(
            f"the job's files took {ending.disk >> 20} MiB, {disk_mib} MiB are allowed",
            "Use smaller images or write less; an admin sets the limit with `work_bytes`.",
        )
    if ending.overdue:
        return InfrastructureTimeout(
            "the runner did not end at the job's timeout and had to be killed",
            "The end of the log shows what it was at; a program that cannot be interrupted held it up.",
        )
    if ending.canceled:
        how = " (it did not end when asked and had to be killed)" if ending.killed else ""
        return JobCanceled(f"the job was canceled: {ending.canceled}{how}")
    if ending.engine_lost:
        return InfrastructureError(
            f"the container engine was lost while the job ran: {ending.engine_lost}", "See the engine's log."
        )
    if ending.vanished:
        return InfrastructureError(
            "the job's container was removed while it ran",
            "Somebody else on this host did it, or the engine lost it.",
        )
    if ending.out_of_memory:
        return InfrastructureError(
            f"the job ran out of memory: its container had {memory_mib} MiB",
            "Give the guest less memory, or run fewer tools at once.",
        )
    return InfrastructureError(f"the runner died: {_code(ending)}", "The end of its output is in the log.")


def _code(ending: Ending) -> str:
    code = ending.exit_code
    if ending.error:
        return ending.error
    if code is None:
        return "how is not known"
    if code > 128:
        try:
            return f"killed by {signal.Signals(code - 128).name}"
        except ValueError:
            return f"exit code {code}"
    return f"exit code {code}, without an end record"
