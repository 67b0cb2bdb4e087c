# SPDX-License-Identifier: Apache-2.0
"""The reading end of a journal, and its last words when the runner could not write them.

Only complete lines count: a reader never sees the half of a record that is being written (design §9).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from executor.container.beneath import open_beneath
from executor.model import journal
from executor.model.journal import End, Header, Record

BLOCK = 1 << 20  # bytes of one read
_TAIL = 256 << 10  # where the last record is looked for at first
_TORN = 4096  # bytes of a torn line that are kept in the mark


def read_journal(path: Path, offset: int, max_bytes: int = BLOCK) -> bytes:
    """Complete lines from `offset` on, about `max_bytes` of them; a single longer line comes whole.

    Empty when there is nothing complete yet, or no file.
    """
    try:
        with open_beneath(path.parent, path.name) as file:
            file.seek(offset)
            data = file.read(max_bytes)
            end = data.rfind(b"\n") + 1
            while not end and len(data) >= max_bytes:
                more = file.read(max_bytes)
                if not more:
                    return b""
                data += more
                end = data.rfind(b"\n", len(data) - len(more)) + 1
            return data[:end]
    except OSError:  # not there yet, or a job has put something else in its place
        return b""


class Tail(msgspec.Struct):
    """How a journal ends. `complete` bytes are whole lines, `torn` is what stands after them."""

    complete: int = 0
    torn: bytes = b""
    last: Record | None = None  # the last whole record; None for an empty or unreadable journal

    @property
    def end(self) -> End | None:
        """The journal's own last word, None when the runner died without one."""
        if self.last is None or self.last.lvl != journal.END:
            return None
        try:
            return msgspec.convert(self.last.msg, End)
        except msgspec.ValidationError:
            return None


def read_tail(path: Path) -> Tail:
    """The last whole record and what is torn behind it; reads only the end of the file."""
    try:
        file = open_beneath(path.parent, path.name)
    except OSError:
        return Tail()
    length = _TAIL
    with file:
        size = os.fstat(file.fileno()).st_size
        while True:
            start = max(0, size - length)
            data = os.pread(file.fileno(), size - start, start)
            cut = data.rfind(b"\n") + 1
            before = data.rfind(b"\n", 0, max(cut - 1, 0)) + 1
            if start == 0 or (cut and before):
                break
            length *= 8  # a single line longer than what was read
    last = None
    if cut:
        try:
            last = journal.decode(data[before:cut])
        except msgspec.DecodeError:
            last = None
    return Tail(start + cut, data[cut:], last)


def count(path: Path) -> tuple[int, dict[str, int]]:
    """Whole lines of a journal, and its test cases by result (suite `lava` left out). Reads all of it."""
    lines, cases, offset = 0, {}, 0  # type: tuple[int, dict[str, int], int]
    while block := read_journal(path, offset):
        offset += len(block)
        lines += block.count(b"\n")
        for line in block.splitlines():
            if b'"lvl":"results"' not in line:
                continue
            try:
                msg = journal.decode(line).msg
            except msgspec.DecodeError:
                continue
            if (
                isinstance(msg, dict)
                and msg.get("definition") != "lava"
                and isinstance(msg.get("result"), str)
            ):
                cases[msg["result"]] = cases.get(msg["result"], 0) + 1
    return lines, cases


def seal(
    path: Path,
    end: End,
    *,
    notes: Iterable[tuple[str, str]] = (),
    tail: Tail | None = None,
    header: Header | None = None,
) -> Tail:
    """Write the last words of a journal whose writer is dead: a mark for a torn line, `notes` as
    (level, text), the `lava/job` result and the `end` record; `seq` goes on without a gap.
    Returns the new tail. `header` begins a journal that has no record yet.

    To be called only when nothing else writes the file any more.
    """
    tail = tail or read_tail(path)
    lines, end.cases = count(path)
    seq = tail.last.seq + 1 if tail.last is not None else lines
    now = datetime.now(UTC).isoformat(timespec="microseconds")
    records: list[Record] = []

    def add(level: str, msg: Any) -> None:
        records.append(Record(seq + len(records), now, level, msg))

    if header is not None and not tail.complete:
        add(journal.HEADER, msgspec.to_builtins(header))
    if tail.torn:
        text = tail.torn[:_TORN].decode("utf-8", "replace")
        add(journal.WARNING, f"the runner died while it wrote this line ({len(tail.torn)} bytes): {text}")
    for level, text in notes:
        for start in range(0, max(len(text), 1), journal.MAX_MESSAGE):
            add(level, text[start : start + journal.MAX_MESSAGE])
    cause = seq + len(records)
    add(journal.EXCEPTION, end.error_msg or f"the job ended: {end.health}")
    result: dict[str, Any] = {"definition": "lava", "case": "job", "result": "fail"}
    if end.error_type:
        result |= {"error_type": end.error_type, "error_msg": end.error_msg}
    add(journal.RESULTS, result)
    end.seq = cause if end.seq < 0 else end.seq
    add(journal.END, msgspec.to_builtins(end))
    data = journal.encode(records)
    with _open_for_writing(path) as file:
        os.truncate(file.fileno(), tail.complete)
        view, at = memoryview(data), tail.complete
        while view:
            written = os.pwrite(file.fileno(), view, at)
            view, at = view[written:], at + written
        os.fsync(file.fileno())
    return Tail(tail.complete + len(data), b"", records[-1])


def _open_for_writing(path: Path) -> BinaryIO:
    flags = os.O_RDWR | os.O_CREAT
    try:
        return open_beneath(path.parent, path.name, flags)
    except OSError:  # a job has put something else in its place
        path.rename(path.with_name(f"{path.name}.not-a-journal"))
        return open_beneath(path.parent, path.name, flags)
