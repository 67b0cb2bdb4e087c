# SPDX-License-Identifier: Apache-2.0
"""Two journals that the report tests share; the comments count the lines of the field's log."""

from __future__ import annotations

import pytest

from executor.model import journal
from executor.model.journal import End, Header
from executor.testing.book import Book


@pytest.fixture
def failing_job() -> Book:
    """Complete, one case failed; a boot that needed two attempts; hidden records between the log lines."""
    book = Book()
    book.add(
        journal.HEADER,
        Header(job_id="42", job_name="smoke & co", device="q1", definitions=["0_smoke", "1_more"]),
    )
    book.add(journal.INFO, "start: 0 validate")  # log line 0
    book.result("lava", "validate", "pass")  # 1
    book.start("1", "boot-retry", max_attempts=2, section="boot")  # 2
    book.start("1.1", "login-action")  # 3
    book.add(journal.EXCEPTION, "JobError: no prompt")  # 4
    book.finish("1.1", "login-action", "fail", error_type="Job", error_msg="no prompt")  # 5
    book.finish("1", "boot-retry", "fail", error_type="Job", error_msg="no prompt", max_attempts=2)  # 6
    book.start("1", "boot-retry", max_attempts=2, attempt=2, section="boot")  # 7
    book.result("lava", "boot-retry", "pass", level="1", duration="3.25", extra={"a": 1, "b": "x"})  # 8
    book.finish("1", "boot-retry", attempt=2, max_attempts=2)  # 9
    start = book.target("<LAVA_SIGNAL_STARTTC disk>")  # 10
    book.add(journal.PROGRESS, {"what": "kernel", "done": 1, "total": 2})
    book.target("I/O error & more <bad>")  # 11
    end = book.target("<LAVA_SIGNAL_ENDTC disk>")  # 12
    book.result("0_smoke", "disk", "fail", starttc=start, endtc=end)  # 13
    book.result("0_smoke", "speed", "pass", measurement=1.5, units="MB/s", set="io")  # 14
    book.result("0_smoke", "lost", "unknown")  # 15
    book.result("0_smoke", "later #1", "skip")  # 16
    book.result("lava", "0_smoke", "pass", duration="2.00", commit_id="abc")  # 17
    book.result("lava", "job", "pass")  # 18
    cases = {"fail": 1, "pass": 1, "unknown": 1, "skip": 1}
    book.add(journal.END, End("Complete", 1, cases=cases, seconds=61.5))
    return book


@pytest.fixture
def panicked_job() -> Book:
    """Incomplete: the guest panicked during a test."""
    book = Book()
    book.add(journal.HEADER, Header(job_id="7", device="q1"))
    book.start("3", "lava-test-shell")  # log line 0
    book.target("Kernel panic - not syncing: Fatal exception")  # 1
    seq = book.add(journal.EXCEPTION, "JobError: kernel panic: Fatal exception")  # 2
    book.result("lava", "job", "fail", error_type="Job", error_msg="kernel panic: Fatal exception")  # 3
    end = End(
        "Incomplete",
        2,
        error_type="Job",
        error_msg="kernel panic: Fatal exception",
        hint="see the trace",
        who="the test writer",
        action="lava-test-shell",
        level="3",
        seq=seq,
        seconds=5.0,
    )
    book.add(journal.END, end)
    return book
