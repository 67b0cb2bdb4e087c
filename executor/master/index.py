# SPDX-License-Identifier: Apache-2.0
"""Finds the few lines of a journal that the master must understand, without decoding the many that it need
not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from executor.model import journal
from executor.model.journal import End, Record
from executor.wire.messages import ResultRow

# Within a JSON text a quote is escaped, so these bytes only occur as keys; decoding decides in the end.
_MARKS = (b'"lvl":"results"', b'"lvl":"end"')
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
RESULTS = ("pass", "fail", "skip", "unknown")
MAX_METADATA = 32 << 10  # bytes of one record kept with its row; a larger one stays in the journal only
MAX_WORD = 1024


def find(data: bytes) -> Iterator[Record]:
    """The records of levels `results` and `end` in whole lines. What is not a record is passed over."""
    for start in sorted(_starts(data)):
        end = data.find(b"\n", start)
        try:
            record = journal.decode(data[start : len(data) if end < 0 else end])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
        if record.lvl in (journal.RESULTS, journal.END):
            yield record


def _starts(data: bytes) -> set[int]:
    starts: set[int] = set()
    for mark in _MARKS:
        at = data.find(mark)
        while at >= 0:
            starts.add(data.rfind(b"\n", 0, at) + 1)
            at = data.find(mark, at + len(mark))
    return starts


def result_row(record: Record) -> ResultRow | None:
    """The test case in a `results` record, None when it lacks something (spec: results-and-logs §2)."""
    msg = record.msg
    if not isinstance(msg, dict):
        return None
    suite, case, result = (msg.get(key) for key in ("definition", "case", "result"))
    if not (suite and case and result in RESULTS):
        return None
    kept = {str(key): value for key, value in msg.items()}
    if len(msgspec.json.encode(kept)) > MAX_METADATA:
        kept = {"definition": suite, "case": case, "result": result, "truncated": True}
    return ResultRow(
        suite=_word(suite),
        case=_word(case),
        result=str(result),
        set=_word(msg.get("set")),
        measurement=_number(msg.get("measurement")),
        units=_word(msg.get("units")),
        level=_word(msg.get("level")),
        duration=_word(msg.get("duration")),
        seq=record.seq,
        dt=record.dt,
        starttc=_integer(msg.get("starttc")),
        endtc=_integer(msg.get("endtc")),
        metadata=kept,
    )


def end_of(record: Record) -> End | None:
    """The job's end in an `end` record."""
    try:
        return msgspec.convert(record.msg, End)
    except msgspec.ValidationError:
        return None


def _word(value: Any) -> str:
    return "" if value is None else _CONTROL.sub("_", str(value))[:MAX_WORD]


def _number(value: Any) -> float | None:
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError):
        return None


def _integer(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        return -1
