# SPDX-License-Identifier: Apache-2.0
"""The table of the benchmarks: the median decides, in the right direction."""

from __future__ import annotations

import pytest

from bench.figures import BAD, GOOD, Row, table


@pytest.mark.parametrize(
    ("values", "at_least", "mark"),
    [
        ([0.1, 0.4, 9.0], False, GOOD),
        ([0.1, 0.6, 0.7], False, BAD),
        ([0.1, 0.6, 0.7], True, GOOD),
        ([0.1, 0.4, 9.0], True, BAD),
    ],
)
def test_the_median_decides(values: list[float], at_least: bool, mark: str) -> None:
    row = Row("topic", "what", "s", values, "0.5 s", 0.5, at_least=at_least)
    assert row.met is (mark == GOOD)
    assert table([row]).endswith(mark)


def test_an_aim_that_depends_on_the_reference_is_told_as_a_number() -> None:
    row = Row(
        "topic", "what", "s", [0.3], "reference + 0.5", 0.7, reference=[0.2], reference_what="docker run"
    )
    last = table([row]).splitlines()[-1]
    assert "docker run 0.200 s" in last
    assert "reference + 0.5 = 0.700" in last
