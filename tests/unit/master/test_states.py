# SPDX-License-Identifier: Apache-2.0
"""Moves of jobs and healths of devices (spec: fleet §3)."""

from __future__ import annotations

import itertools

import pytest

from executor.master import states


def test_jobs_never_go_back() -> None:
    for old, new in itertools.product(states.JOB_STATES, repeat=2):
        assert not (states.may_move(old, new) and states.may_move(new, old))
    assert not any(states.may_move(states.FINISHED, state) for state in states.JOB_STATES)
    assert states.may_move(states.SUBMITTED, states.FINISHED)


@pytest.mark.parametrize(
    ("job", "device"),
    [
        ("", "Idle"),
        ("Submitted", "Idle"),
        ("Scheduled", "Reserved"),
        ("Running", "Running"),
        ("Canceling", "Running"),
        ("Finished", "Idle"),
    ],
)
def test_state_of_a_device(job: str, device: str) -> None:
    assert states.device_state(job) == device


@pytest.mark.parametrize(
    ("health", "job", "error", "after"),
    [
        ("Good", "Incomplete", "Infrastructure", "Unknown"),
        ("Good", "Incomplete", "Bug", "Unknown"),
        ("Good", "Incomplete", "Configuration", "Unknown"),
        ("Good", "Incomplete", "Job", "Good"),
        ("Good", "Canceled", "Canceled", "Good"),
        ("Good", "Complete", "", "Good"),
        ("Maintenance", "Incomplete", "Infrastructure", "Maintenance"),
        ("Looping", "Incomplete", "Infrastructure", "Looping"),
    ],
)
def test_health_of_a_device_after_a_job(health: str, job: str, error: str, after: str) -> None:
    assert states.device_health_after(health, job, error) == after


def test_health_is_spelled_in_any_case() -> None:
    assert states.canonical_health(" MAINTENANCE", states.DEVICE_HEALTHS) == "Maintenance"
    assert states.canonical_health("fine", states.DEVICE_HEALTHS) == ""
