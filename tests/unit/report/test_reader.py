# SPDX-License-Identifier: Apache-2.0
"""Journals come back whole from any pieces, and damage is counted instead of raised."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from executor.report import reader
from executor.report.reader import JournalReader, Lines, batches, records
from executor.testing.book import Book


@pytest.mark.parametrize("size", [1, 7, 100, 1 << 20])
def test_pieces_of_any_size_give_the_same_records(failing_job: Book, size: int) -> None:
    source, got = JournalReader(), []
    for start in range(0, len(failing_job.data), size):
        got += source.feed(failing_job.data[start : start + size])
    source.close()
    assert got == failing_job.records
    assert (source.bad, source.missing, source.torn) == (0, 0, False)


def test_a_torn_last_line_is_no_record(failing_job: Book) -> None:
    source = JournalReader()
    got = source.feed(failing_job.data[:-5])
    source.close()
    assert got == failing_job.records[:-1]
    assert source.torn


def test_a_broken_line_is_counted_and_the_rest_is_read(failing_job: Book) -> None:
    lines = failing_job.data.splitlines(keepends=True)
    lines[3] = b"\x00\xff garbage\n"
    source = JournalReader()
    got = source.feed(b"".join(lines))
    assert [r.seq for r in got] == [r.seq for r in failing_job.records if r.seq != 3]
    assert (source.bad, source.missing) == (1, 1)


def test_records_sent_twice_are_given_once(failing_job: Book) -> None:
    lines = failing_job.data.splitlines(keepends=True)
    source = JournalReader()
    got = source.feed(b"".join(lines[:8])) + source.feed(b"".join(lines[4:]))
    assert got == failing_job.records
    assert source.missing == 0


def test_an_endless_line_takes_no_memory(monkeypatch: pytest.MonkeyPatch, failing_job: Book) -> None:
    monkeypatch.setattr(reader, "MAX_LINE", 1000)
    lines = failing_job.data.splitlines(keepends=True)
    source = JournalReader()
    got = source.feed(lines[0])
    for _ in range(10):
        assert source.feed(b"x" * 600) == []
    got += source.feed(b"x\n" + b"".join(lines[1:]))
    assert got == failing_job.records
    assert source.bad == 1


def test_a_part_of_a_journal_misses_nothing(failing_job: Book) -> None:
    source = JournalReader(partial=True)
    data = b"".join(failing_job.data.splitlines(keepends=True)[9:])
    assert source.feed(data) == failing_job.records[9:]
    assert source.missing == 0


def test_files_and_streams(tmp_path: Path, failing_job: Book) -> None:
    path = tmp_path / "journal.ndjson"
    path.write_bytes(failing_job.data)
    assert list(records(path)) == failing_job.records
    assert [r for batch in batches(io.BytesIO(failing_job.data)) for r in batch] == failing_job.records


def test_line_numbers_count_the_levels_of_the_field_only(failing_job: Book) -> None:
    lines, numbers = Lines(), {}
    for record in failing_job.records:
        if lines.add(record):
            numbers[record.seq] = lines.count - 1
    assert list(numbers.values()) == list(range(19))
    assert {seq: lines.of(seq) for seq in numbers} == numbers


def test_the_line_of_a_hidden_record_is_the_one_before_it(failing_job: Book) -> None:
    lines = Lines()
    for record in failing_job.records:
        lines.add(record)
    header, progress = 0, next(r.seq for r in failing_job.records if r.lvl == "progress")
    assert lines.of(header) == -1
    assert lines.of(progress) == 10
    assert lines.of(10_000) == 18
