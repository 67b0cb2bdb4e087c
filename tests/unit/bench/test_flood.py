# SPDX-License-Identifier: Apache-2.0
"""The flood's own checks: a line that is lost, doubled or out of order does not go unnoticed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from bench.farm import Broken, Job
from bench.flood import WIDTH, at_client, in_journal
from executor.model import journal

LINES = 5


def job(folder: Path, numbers: Sequence[int]) -> Job:
    texts = [f"{number:0{WIDTH}d}" for number in numbers]
    records = [journal.Record(0, "2030-01-02T00:00:00.000000+00:00", journal.INFO, "connect")]
    for second, text in enumerate(texts, 1):
        records.append(journal.Record(second, f"2030-01-02T00:00:{second:02d}+00:00", journal.TARGET, text))
    file = folder / "journal.ndjson"
    file.write_bytes(journal.encode(records))
    shown = "7\nconnect\n" + "".join(f"2030-01-02T00:00:00 {text}\n" for text in texts)
    cut = len(shown) // 2  # within a line
    chunks = [(1.0, shown[:cut].encode()), (2.0, shown[cut:].encode())]
    return Job("7", 0, 0.0, 0.0, 3.0, file, chunks)


def test_all_lines_in_order(tmp_path: Path) -> None:
    done = job(tmp_path, range(1, LINES + 1))
    first, last = in_journal(done, LINES)
    assert last - first == LINES - 1
    assert at_client(done, LINES) == 2.0


@pytest.mark.parametrize(
    "numbers",
    [[1, 2, 4, 5], [1, 2, 2, 3, 4, 5], [1, 3, 2, 4, 5], [1, 2, 3, 4], []],
    ids=["lost", "doubled", "swapped", "cut off", "nothing"],
)
def test_anything_else_is_seen_at_both_ends(tmp_path: Path, numbers: list[int]) -> None:
    done = job(tmp_path, numbers)
    with pytest.raises(Broken):
        in_journal(done, LINES)
    with pytest.raises(Broken):
        at_client(done, LINES)
