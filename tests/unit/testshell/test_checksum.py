# SPDX-License-Identifier: Apache-2.0
"""The checksum is that of the cksum program."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from executor.testshell.checksum import cksum, line_sum

AWK = Path(__file__).parents[3] / "executor" / "testshell" / "device" / "generic" / "lava-cksum.awk"
TEXTS = [
    b"\n",
    b"a\n",
    b"<LAVA_TEST_RUNNER EXIT> #k1.-.0:12:\n",
    "café ☃\n".encode(),
    bytes(range(11, 256)) + b"\n",
]


@pytest.mark.parametrize("data", [b"", b"a" * 255, b"b" * 256, b"c" * 70_000, *TEXTS])
def test_it_is_what_the_program_prints(data: bytes) -> None:
    done = subprocess.run(["cksum"], input=data, capture_output=True, check=True)
    assert cksum(data) == int(done.stdout.split()[0])


@pytest.mark.parametrize("awk", ["awk", "mawk", "gawk", "busybox"])
@pytest.mark.parametrize("data", TEXTS)
def test_awk_computes_the_same(awk: str, data: bytes) -> None:
    path = shutil.which(awk)
    if path is None:
        pytest.skip(f"no {awk}")
    program = [path, "awk"] if awk == "busybox" else [path]
    done = subprocess.run(
        [*program, "-f", str(AWK)], input=data, capture_output=True, check=True, env={"LC_ALL": "C"}
    )
    assert int(done.stdout) == cksum(data)


def test_the_sum_of_a_line_sees_order_and_number() -> None:
    sums = {line_sum(number, text) for number in (1, 2) for text in ("AB", "BA", "AC", "A")}
    assert len(sums) == 8
