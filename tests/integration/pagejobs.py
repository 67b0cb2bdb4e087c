# SPDX-License-Identifier: Apache-2.0
"""Journals of jobs as they happen, for the page that a browser shows."""

from __future__ import annotations

from executor.model import journal
from executor.model.journal import End, Header
from executor.testing.book import Book

HOSTILE = "</div></details><script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'>"
PANIC = "Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)"


def panicked(*, noise: int = 300, hostile: str = "") -> Book:
    """A board that panics, twice. `noise`: lines of its kernel; `hostile` is put everywhere."""
    book = Book()
    name = f"kernel 6.12 on the bench {hostile}".strip()
    book.add(
        journal.HEADER,
        Header(
            job_id="4711",
            job_name=name,
            device="bbb-07",
            device_type="beaglebone-black",
            submitter="jane",
            host="rack-2",
            image="lava-exec/dispatcher:latest",
            image_digest="sha256:" + "5d4caf58" * 8,
            version="0.1.0",
            definitions=["0_smoke", "1_network"],
            metadata={"branch": f"linux-next{hostile}"},
            pipeline_job=f"job_name: {name!r}\ndevice_type: beaglebone-black\n",
        ),
    )
    book.add(journal.INFO, "start: 0 validate", act="validate", level="0")
    book.result("lava", "validate", "pass")
    _deploy(book)
    _boot(book, 1, noise, hostile)
    seq = _boot(book, 2, noise, hostile)
    book.add(journal.INFO, "cleaning after the job")
    book.start("4", "finalize", section="finalize")
    book.start("4.1", "power-off", section="finalize")
    book.finish("4.1", "power-off")
    book.finish("4", "finalize")
    book.add(journal.ERROR, f"Job error, for the test writer: {PANIC}")
    book.result("lava", "job", "fail", error_type="Job", error_msg=PANIC)
    book.add(
        journal.END,
        End(
            "Incomplete",
            2,
            error_type="Job",
            error_msg=PANIC + hostile,
            hint=f"the trace begins at journal record {seq - 3}",
            who="the test writer",
            action="login-action",
            level="2.2",
            seq=seq,
            seconds=412.0,
        ),
    )
    return book


def _deploy(book: Book) -> None:
    book.start("1", "tftp-deploy", section="deploy")
    for number, what in enumerate(("kernel", "dtb", "ramdisk"), 1):
        book.start(f"1.{number}", "http-download", section="deploy")
        book.add(journal.DEBUG, f"downloading http://builds.example.org/6.12/{what}")
        book.add(journal.PROGRESS, {"what": what, "done": 1, "total": 2})
        book.result(
            "lava", "http-download", "pass", level=f"1.{number}", duration="1.20", extra={"label": what}
        )
        book.finish(f"1.{number}", "http-download")
    book.finish("1", "tftp-deploy")


def _boot(book: Book, attempt: int, noise: int, hostile: str) -> int:
    """One attempt that panics; the `seq` of the exception."""
    more = {"attempt": attempt, "max_attempts": 2, "section": "boot"}
    book.start("2", "uboot-action", **more)
    book.start("2.1", "reset-device", section="boot")
    book.add(journal.DEBUG, ">> pdu reboot 7")
    book.finish("2.1", "reset-device")
    book.start("2.2", "login-action", section="boot")
    book.add(journal.INPUT, "bootz 0x82000000 - 0x88000000")
    for number in range(noise):
        book.target(f"[{number / 100:12.6f}] of: node {number} has no driver yet")
    if hostile:
        book.target(hostile)
        book.target("\x1b[31mred\x07 \u202eevil\u202c")
        book.result(f"0_{hostile}", hostile, "fail", set=hostile, units=hostile, measurement=1)
        book.result("0_smoke", f"a{hostile}", "skip")
        book.add(journal.EVENT, hostile)
        book.add(journal.FEEDBACK, hostile, ns=hostile)
        book.result("1_network", hostile, "pass")
    book.target('[    3.912801] VFS: Cannot open root device "(null)" or unknown-block(0,0): error -6')
    book.target(
        '[    3.914722] Please append a correct "root=" boot option; here are the available partitions:'
    )
    book.target(f"[    3.921533] {PANIC}")
    book.target("[    3.930104] CPU: 0 UID: 0 PID: 1 Comm: swapper Not tainted 6.12.0 #1")
    seq = book.add(journal.EXCEPTION, f"KernelFault: {PANIC}")
    failed = {"error_type": "Job", "error_msg": PANIC + hostile}
    book.result("lava", "login-action", "fail", level="2.2", duration="40.00", extra={"fail": PANIC})
    book.finish("2.2", "login-action", "fail", **failed)
    book.finish("2", "uboot-action", "fail", **failed, **more)
    return seq


def half_passed(*, cases: int = 40) -> Book:
    """A complete job, some of its cases failed."""
    book = Book()
    book.add(journal.HEADER, Header(job_id="12", job_name="smoke", device="q1", definitions=["0_smoke"]))
    book.start("3", "lava-test-retry", section="test")
    book.start("3.1", "lava-test-shell", section="test")
    counts: dict[str, int] = {}
    for number in range(cases):
        begin = book.target(f"<LAVA_SIGNAL_STARTTC case-{number}>")
        book.target(f"output of case {number}")
        end = book.target(f"<LAVA_SIGNAL_ENDTC case-{number}>")
        result = {3: "fail", 5: "skip", 7: "unknown"}.get(number, "pass")
        counts[result] = counts.get(result, 0) + 1
        book.result("0_smoke", f"case-{number}", result, starttc=begin, endtc=end)
    book.finish("3.1", "lava-test-shell")
    book.finish("3", "lava-test-retry")
    book.result("lava", "job", "pass")
    book.add(journal.END, End("Complete", 1, cases=counts, seconds=61.5))
    return book
