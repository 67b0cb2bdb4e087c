# SPDX-License-Identifier: Apache-2.0
"""`lava-exec serve`: master and agent of one machine, brought up again by it and ended with it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e import jobs
from tests.e2e.farm import Farm, cases, until
from tests.e2e.leftovers import nothing_left, nothing_left_at_all

pytestmark = [pytest.mark.docker, pytest.mark.qemu, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def served(engine: None, tmp_path: Path) -> Iterator[Farm]:
    """Served by one command."""
    made = Farm(tmp_path / "farm")
    try:
        made.serve.start(ready=False)
        until(lambda: made.online, 60, f"the service\n{made.serve.log}")
        yield made
        if made.online:
            made.cancel_all()
        nothing_left_at_all(made)
    finally:
        made.stop()


def gone(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return False
    return True


def test_killed_parts_come_back_and_the_job_goes_on(served: Farm) -> None:
    job = served.submit(jobs.busybox(jobs.lines(100), "lava-test-case after --result pass"))
    served.see(job, "numbered line 5 of it")
    before = served.serve.children
    os.kill(before["agent"], signal.SIGKILL)
    until(lambda: served.serve.children.get("agent", before["agent"]) != before["agent"], 30, "another agent")
    until(lambda: served.online, 60, "the agent at the master")

    before = served.serve.children
    served.serve.kill()  # none of its children may outlive it
    until(lambda: gone(before["agent"]) and gone(before["master"]), 30, "the end of master and agent")
    served.serve.start(ready=False)
    assert served.wait(job) == 0, served.tail(job)
    assert cases(served.results(job)) == {"after": "pass"}
    log = served.results(job)["log"]
    assert (log["missing_records"], log["unreadable"]) == (0, 0)
    nothing_left(served, job)


def test_ends_in_order_when_asked(served: Farm) -> None:
    before = served.serve.children
    assert served.serve.stop() == 0
    assert gone(before["agent"])
    assert gone(before["master"])
    assert "stopped" in served.serve.log
