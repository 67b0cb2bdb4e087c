# SPDX-License-Identifier: Apache-2.0
"""Journals on disk: whole lines only, resending is harmless, torn ends are cut, reading from anywhere."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.errors import InfrastructureError
from executor.master import journals as module
from executor.master.journals import BadBlock, Journals, sync


def lines(count: int, first: int = 0, width: int = 0) -> bytes:
    return b"".join(b'{"seq":%d,"msg":"%s"}\n' % (n, b"x" * width) for n in range(first, first + count))


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture
def journals(tmp_path: Path) -> Journals:
    return Journals(tmp_path, limit=1 << 20)


def test_append_and_read(journals: Journals, tmp_path: Path) -> None:
    data = lines(3)
    assert journals.size(1) == 0
    assert journals.read(1, 0, 100) == b""
    assert journals.append(1, 0, data) == (len(data), data)
    assert journals.size(1) == len(data)
    assert journals.read(1, 0, 1000) == data
    assert (tmp_path / "1" / "journal.ndjson").read_bytes() == data
    assert journals.read(1, len(data), 1000) == b""


def test_resending_is_harmless(journals: Journals) -> None:
    data = lines(4)
    half = len(lines(2))
    journals.append(1, 0, data[:half])
    assert journals.append(1, 0, data[:half]) == (half, b"")
    assert journals.append(1, 0, data) == (len(data), data[half:])
    assert journals.read(1, 0, 1000) == data


def test_gap_is_not_written_and_the_size_says_where_to_go_on(journals: Journals) -> None:
    journals.append(1, 0, lines(1))
    size = journals.size(1)
    assert journals.append(1, size + 5, lines(1)) == (size, b"")
    assert journals.size(1) == size


@pytest.mark.parametrize("data", [b"{}", b"no object\n", b'\n{"a":1}\n'])
def test_what_is_not_made_of_lines_is_refused(journals: Journals, data: bytes) -> None:
    with pytest.raises(BadBlock):
        journals.append(1, 0, data)
    assert journals.size(1) == 0


def test_limit(journals: Journals) -> None:
    journals.append(1, 0, lines(1, width=1_000_000))
    with pytest.raises(BadBlock, match="larger than the limit"):
        journals.append(1, journals.size(1), lines(1, width=100_000))


def test_block_above_the_block_limit_only_as_one_line(
    journals: Journals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_BLOCK", 1000)
    monkeypatch.setattr(module, "MAX_LINE", 5000)
    journals.append(1, 0, lines(1, width=3000))
    assert journals.read(1, 0, 100) == lines(1, width=3000)
    with pytest.raises(BadBlock, match="too long"):
        journals.append(2, 0, lines(1, width=6000))


def test_full_disk_is_told_and_leaves_no_half_line(
    journals: Journals, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = lines(2)
    journals.append(1, 0, data)
    real = os.pwrite
    answers = iter([5])

    def pwrite(descriptor: int, chunk: bytes, offset: int) -> int:
        for allowed in answers:
            return real(descriptor, chunk[:allowed], offset)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("executor.master.journals.os.pwrite", pwrite)
    with pytest.raises(InfrastructureError, match="No space left"):
        journals.append(1, len(data), lines(1, 2))
    monkeypatch.undo()
    assert journals.read(1, 0, 1000) == data
    assert journals.path(1).read_bytes() == data


@pytest.mark.parametrize(
    "torn", [b"", b'{"seq":3,"ms', b"\x00" * 40, b'{"seq":3}\n\x00\x00\x00', b"rubbish\n{}\n", b"\n"]
)
def test_torn_end_is_cut_at_the_next_start(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "1" / "journal.ndjson"
    path.parent.mkdir()
    good = lines(3)
    path.write_bytes(good + torn)
    kept = good + (b'{"seq":3}\n' if torn.startswith(b'{"seq":3}\n') else b"")
    assert Journals(tmp_path, 1 << 20).recover(1) == len(kept)
    assert path.read_bytes() == kept


def test_recovery_trusts_what_was_checked_and_survives_what_is_missing(tmp_path: Path) -> None:
    found = Journals(tmp_path, 1 << 20)
    assert found.recover(1) == 0
    assert found.recover(1, checked=100) == 0
    found.append(1, 0, lines(2))
    assert found.recover(1, checked=10_000) == len(lines(2))


def test_read_gives_whole_lines(journals: Journals) -> None:
    data = lines(10)
    journals.append(1, 0, data)
    one = len(lines(1))
    assert journals.read(1, 0, one + 3) == lines(1)
    assert journals.read(1, 0, 1) == lines(1)
    assert journals.read(1, one, 2 * one) == lines(2, 1)


def test_last_lines(journals: Journals, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_STEP", 50)
    data = lines(30)
    journals.append(1, 0, data)
    for count in (1, 2, 3, 29, 30):
        assert data[journals.offset_of_last(1, count) :] == lines(count, 30 - count)
    assert journals.offset_of_last(1, 31) == 0
    assert journals.offset_of_last(1, 0) == len(data)
    assert journals.offset_of_last(9, 5) == 0


def test_many_journals_few_descriptors(tmp_path: Path) -> None:
    found = Journals(tmp_path, 1 << 20)
    before = open_files()
    for job in range(module.OPEN_FILES + 50):
        found.append(job, 0, lines(1))
    assert open_files() - before <= module.OPEN_FILES
    assert found.read(0, 0, 100) == lines(1)
    found.close()
    assert open_files() <= before


def test_sync_closes_its_own_descriptor_only(journals: Journals) -> None:
    journals.append(1, 0, lines(1))
    descriptor = journals.descriptor(1)
    sync(descriptor)
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(descriptor)
    journals.append(1, journals.size(1), lines(1, 1))
    assert journals.read(1, 0, 100) == lines(2)


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(1, 12)), max_size=25), st.data())
def test_any_order_of_resends_gives_the_same_journal(
    blocks: list[tuple[int, int]], data: st.DataObject
) -> None:
    import tempfile

    whole = lines(24)
    starts = [0, *(n + 1 for n, byte in enumerate(whole) if byte == 10)]
    with tempfile.TemporaryDirectory() as name:
        found = Journals(Path(name), 1 << 20)
        for first, count in blocks:
            if data.draw(st.booleans()):
                found.close()
                found = Journals(Path(name), 1 << 20)
            begin, end = starts[first], starts[min(first + count, 24)]
            before = found.size(1)
            size, fresh = found.append(1, begin, whole[begin:end])
            assert size == (before if begin > before else max(before, end))
            assert fresh == whole[before:size]
        assert found.read(1, 0, 1 << 20) == whole[: found.size(1)]
        found.close()
