# SPDX-License-Identifier: Apache-2.0
"""Journal bytes back into records, whoever was killed while they were written: bounded, nothing doubled.

A line that the writer did not finish is never taken for a record; one that cannot be read is counted.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from executor.model.journal import LOG_LEVELS, Record, decode, decode_lines

BLOCK = 1 << 20  # bytes read at a time
MAX_LINE = 8 << 20  # bytes; a longer line is not a record of ours and is skipped


class JournalReader:
    """Bytes in, records out. `feed` takes any pieces, in order; `close` says that nothing more comes.

    `partial`: the bytes begin somewhere in the journal, so the first record's number is as good as any.
    """

    def __init__(self, *, partial: bool = False) -> None:
        self._partial = partial
        self.bad = 0  # complete lines that were not records
        self.missing = 0  # records that the numbering says should be there
        self.torn = False  # the last line was not finished
        self.next_seq = 0
        self._rest = b""
        self._skipping = False

    def feed(self, data: bytes) -> list[Record]:
        """The records that `data` completes."""
        if self._rest:
            data = self._rest + data
        end = data.rfind(b"\n") + 1
        self._rest = data[end:]
        whole = data[:end]
        if self._skipping and whole:
            whole = whole[whole.index(b"\n") + 1 :]
            self._skipping = False
        if len(self._rest) > MAX_LINE:
            if not self._skipping:
                self.bad += 1
            self._rest, self._skipping = b"", True
        return self._decode(whole) if whole else []

    def close(self) -> None:
        """The end of the input: what is left is a torn line."""
        self.torn = self.torn or bool(self._rest) or self._skipping
        self._rest, self._skipping = b"", False

    def _decode(self, whole: bytes) -> list[Record]:
        try:
            records = decode_lines(whole)
        except (msgspec.DecodeError, UnicodeDecodeError):
            records = self._one_by_one(whole)
        if not records:
            return records
        first, count = records[0].seq, len(records)
        if self._partial:
            self.next_seq, self._partial = first, False
        if first == self.next_seq and records[-1].seq == first + count - 1:
            self.next_seq = first + count  # the normal case: numbers are checked at both ends only
            return records
        return self._in_order(records)

    def _one_by_one(self, whole: bytes) -> list[Record]:
        records = []
        for line in whole.split(b"\n"):
            if not line:
                continue
            try:
                records.append(decode(line))
            except (msgspec.DecodeError, UnicodeDecodeError):
                self.bad += 1
        return records

    def _in_order(self, records: list[Record]) -> list[Record]:
        kept = []
        for record in records:
            if record.seq < self.next_seq:
                continue  # sent twice
            self.missing += record.seq - self.next_seq
            self.next_seq = record.seq + 1
            kept.append(record)
        return kept


def batches(source: Path | BinaryIO, reader: JournalReader | None = None) -> Iterator[list[Record]]:
    """The records of a journal, about a megabyte at a time."""
    reader = reader or JournalReader()
    if isinstance(source, Path):
        with source.open("rb") as file:
            yield from batches(file, reader)
        return
    while data := source.read(BLOCK):
        if records := reader.feed(data):
            yield records
    reader.close()


def records(source: Path | BinaryIO) -> Iterator[Record]:
    """The records of a journal one by one."""
    for batch in batches(source):
        yield from batch


class Lines:
    """Line numbers of the field's log: only its own levels count, from 0 (spec: results-and-logs §1).

    Records of our own levels lie between, so a journal's `seq` is not a line number. Only the places where
    the difference changes are kept.
    """

    def __init__(self) -> None:
        self.count = 0  # log lines so far
        self._seqs = array("Q")
        self._shift = array("q")

    def add(self, record: Record) -> bool:
        """Take the next record; True when it is a line of the log."""
        if record.lvl not in LOG_LEVELS:
            return False
        shift = record.seq - self.count
        if not self._shift or self._shift[-1] != shift:
            self._seqs.append(record.seq)
            self._shift.append(shift)
        self.count += 1
        return True

    def of(self, seq: int) -> int:
        """The log line of record `seq`, or of the nearest one before it; -1 when there is none."""
        at = bisect_right(self._seqs, seq) - 1
        if at < 0:
            return -1
        line = seq - self._shift[at]
        if at + 1 < len(self._shift):
            line = min(line, self._seqs[at + 1] - self._shift[at + 1] - 1)
        return min(line, self.count - 1)
