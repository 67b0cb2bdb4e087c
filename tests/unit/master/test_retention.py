# SPDX-License-Identifier: Apache-2.0
"""What retention takes, and in which order."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from executor.master.retention import DAY, KeptJob, choose, remove
from executor.master.settings import Retention

NOW = 1000 * DAY
GB = 10**9


def kept(id: int, days: float, gigabytes: float = 1.0, failed: bool = False) -> KeptJob:
    return KeptJob(id, NOW - days * DAY, int(gigabytes * GB), failed)


def test_old_ones_go_oldest_first() -> None:
    jobs = [kept(1, 89), kept(2, 91), kept(3, 200)]
    assert choose(jobs, Retention(days=90, gigabytes=0), NOW) == [3, 2]


def test_too_much_goes_oldest_first_until_it_fits() -> None:
    jobs = [kept(n, days=30 - n) for n in range(1, 6)]
    assert choose(jobs, Retention(days=0, gigabytes=3), NOW) == [1, 2]


def test_recent_failures_stay_while_others_can_go() -> None:
    jobs = [kept(1, 3, failed=True), kept(2, 2), kept(3, 1)]
    assert choose(jobs, Retention(days=0, gigabytes=2, failed_days=7), NOW) == [2]
    assert choose(jobs, Retention(days=0, gigabytes=0.5, failed_days=7), NOW) == [2, 3, 1]


def test_old_failures_are_like_others() -> None:
    jobs = [kept(1, 8, failed=True), kept(2, 2)]
    assert choose(jobs, Retention(days=0, gigabytes=1, failed_days=7), NOW) == [1]


def test_without_limits_nothing_goes() -> None:
    assert choose([kept(1, 5000, 5000)], Retention(days=0, gigabytes=0), NOW) == []


@given(
    st.lists(
        st.builds(kept, st.integers(1, 99), st.floats(0, 200), st.floats(0, 5), st.booleans()),
        unique_by=lambda job: job.id,
    ),
    st.floats(0, 20),
)
def test_what_stays_fits(jobs: list[KeptJob], gigabytes: float) -> None:
    policy = Retention(days=100, gigabytes=gigabytes, failed_days=7)
    gone = set(choose(jobs, policy, NOW))
    stay = [job for job in jobs if job.id not in gone]
    assert all(NOW - job.ended <= 100 * DAY for job in stay)
    assert not int(gigabytes * 1e9) or sum(job.size for job in stay) <= gigabytes * 1e9


def test_remove(tmp_path: Path) -> None:
    directory = tmp_path / "7"
    (directory / "files").mkdir(parents=True)
    (directory / "files" / "x").write_text("y")
    assert remove(directory)
    assert not directory.exists()
    assert remove(directory)
