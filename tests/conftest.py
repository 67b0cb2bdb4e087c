# SPDX-License-Identifier: Apache-2.0
"""What holds for all tests: how many examples Hypothesis tries ($HYPOTHESIS_PROFILE: quick or thorough), and
a place for secrets that no other process has.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("quick", max_examples=200, deadline=None)
settings.register_profile(
    "thorough", max_examples=10_000, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


@pytest.fixture(scope="session", autouse=True)
def _own_secrets() -> Iterator[None]:
    """Tests look for secrets that were left; those of jobs that run beside them are none of theirs."""
    place = Path(f"/dev/shm/lava-exec-test-{os.getpid()}")
    os.environ["LAVA_EXEC_SECRETS"] = str(place)
    yield
    shutil.rmtree(place, ignore_errors=True)
