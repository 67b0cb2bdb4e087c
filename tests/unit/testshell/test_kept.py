# SPDX-License-Identifier: Apache-2.0
"""The kept signals as lava-signals prints them."""

from __future__ import annotations

from executor.testing.signals import SignalWriter
from executor.testshell.kept import parse_kept


def writer() -> SignalWriter:
    made = SignalWriter()
    made.start(0, "0_smoke")
    made.case("a", "pass")
    made.exit()
    return made


def test_intact_lines_in_the_order_of_their_numbers() -> None:
    lines = writer().kept("1-").split("\n")
    kept = parse_kept("\r\n".join(["$ lava-signals", lines[1], "noise", lines[0], *lines[2:]]), "k1")
    assert [found.seq for _, found in kept.signals] == [1, 2, 3]
    assert kept.signals[1][0] == "<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=a RESULT=pass>"
    assert (kept.last, kept.found, kept.left_out) == (3, 3, 0)


def test_damaged_lines_and_those_of_other_runs_are_left_out() -> None:
    text = writer().kept("1-").replace("RESULT=pass", "RESULT=fail") + SignalWriter("k2").kept("1-")
    kept = parse_kept(text, "k1")
    assert [found.seq for _, found in kept.signals] == [1, 3]
    assert kept.last == 3


def test_a_damaged_end_tells_nothing() -> None:
    kept = parse_kept(writer().kept("1-").replace("end k1 3", "end k1 4"), "k1")
    assert kept.last == -1


def test_noise_before_a_line_does_no_harm() -> None:
    text = "\n".join(f"[    1.0] usb{line}" for line in writer().kept("1-").split("\n"))
    assert len(parse_kept(text, "k1").signals) == 3
