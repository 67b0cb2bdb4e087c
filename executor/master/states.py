# SPDX-License-Identifier: Apache-2.0
"""The states and healths of jobs, devices and workers, and the moves between them (spec: fleet §3)."""

from __future__ import annotations

# Jobs
SUBMITTED, SCHEDULING, SCHEDULED = "Submitted", "Scheduling", "Scheduled"
RUNNING, CANCELING, FINISHED = "Running", "Canceling", "Finished"
JOB_STATES = (SUBMITTED, SCHEDULING, SCHEDULED, RUNNING, CANCELING, FINISHED)  # a job only moves to the right
HOLDING = (SCHEDULING, SCHEDULED, RUNNING, CANCELING)  # has a device
AT_WORKER = (SCHEDULED, RUNNING, CANCELING)  # the worker has been told, or is being told

UNKNOWN, COMPLETE, INCOMPLETE, CANCELED = "Unknown", "Complete", "Incomplete", "Canceled"
JOB_HEALTHS = (UNKNOWN, COMPLETE, INCOMPLETE, CANCELED)

# Devices
IDLE, RESERVED = "Idle", "Reserved"  # or RUNNING
GOOD, LOOPING, BAD, MAINTENANCE, RETIRED = "Good", "Looping", "Bad", "Maintenance", "Retired"
DEVICE_HEALTHS = (GOOD, UNKNOWN, LOOPING, BAD, MAINTENANCE, RETIRED)
USABLE = (GOOD, UNKNOWN, LOOPING)  # jobs may be given to it

# Workers
ONLINE, OFFLINE = "Online", "Offline"
ACTIVE = "Active"
WORKER_HEALTHS = (ACTIVE, MAINTENANCE, RETIRED)

DEVICE_FAULTS = ("Infrastructure", "Bug", "Configuration")  # a job that ends so makes a Good device Unknown


def may_move(old: str, new: str) -> bool:
    """Whether a job may go from state `old` to `new`: never back, and never out of Finished."""
    return JOB_STATES.index(new) > JOB_STATES.index(old)


def device_state(job_state: str) -> str:
    """The state of a device whose current job is in `job_state` ("" for no job)."""
    if job_state in (SCHEDULING, SCHEDULED):
        return RESERVED
    return RUNNING if job_state in (RUNNING, CANCELING) else IDLE


def device_health_after(health: str, job_health: str, error_type: str) -> str:
    """The health of a device after a normal job has ended on it (spec: fleet §3, the last table)."""
    if health == GOOD and job_health == INCOMPLETE and error_type in DEVICE_FAULTS:
        return UNKNOWN
    return health


def canonical_health(word: str, healths: tuple[str, ...]) -> str:
    """`maintenance` or `MAINTENANCE` as `Maintenance`; "" when there is no such health."""
    return next((health for health in healths if health.lower() == word.strip().lower()), "")
