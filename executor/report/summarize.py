# SPDX-License-Identifier: Apache-2.0
"""From a journal to its Summary, in one pass and with bounded memory, whole or while it grows."""

from __future__ import annotations

import re
from collections import deque
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import msgspec

from executor.model import journal
from executor.model.journal import ActionMark, End, Header, Record
from executor.report.reader import JournalReader, Lines, batches
from executor.report.summary import ActionNode, Case, Summary

_T = TypeVar("_T")

RESULTS = ("pass", "fail", "skip", "unknown")
MAX_EXCERPT = 64 << 10  # characters of log kept for one failed case
_RING_TEXT = 8 << 20  # characters of recent log from which excerpts are cut
_JOURNAL_RECORD = re.compile(r"\bjournal record (\d{1,12})\b")  # the runner's way to name a place in the log
_SET_NAME = re.compile(r"[A-Za-z0-9._~-]+\Z")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def summarize(source: Path | BinaryIO, *, excerpts: bool = False) -> Summary:
    """Read a whole journal. With `excerpts` each failed case keeps its part of the log."""
    reader = JournalReader()
    builder = SummaryBuilder(excerpts=excerpts)
    for batch in batches(source, reader):
        builder.add(batch)
    return builder.done(reader)


class SummaryBuilder:
    """Takes records as they come; `summary` may be looked at in between."""

    def __init__(self, *, excerpts: bool = False) -> None:
        self.summary = Summary()
        self.lines = Lines()
        self._open: list[ActionNode] = []
        self._ring: _Ring | None = _Ring() if excerpts else None
        self._end_seq = -1

    def add(self, batch: list[Record]) -> None:
        """The next records, in order."""
        add_line, ring = self.lines.add, self._ring
        for record in batch:
            is_line = add_line(record)
            level = record.lvl
            if level == journal.TARGET:
                if ring is not None:
                    ring.add(self.lines.count - 1, record.msg)
                continue
            if ring is not None and is_line and isinstance(record.msg, str):
                ring.add(self.lines.count - 1, record.msg)
            handler = _HANDLERS.get(level)
            if handler is not None:
                handler(self, record)
        if batch:
            summary = self.summary
            summary.first_dt = summary.first_dt or batch[0].dt
            summary.last_dt = batch[-1].dt
            summary.records += len(batch)
            summary.lines = self.lines.count

    def done(self, reader: JournalReader | None = None) -> Summary:
        """The summary, with what the reader noticed."""
        if reader is not None:
            self.summary.bad, self.summary.missing, self.summary.torn = (
                reader.bad,
                reader.missing,
                reader.torn,
            )
        return self.summary

    # -- one kind of record each

    def _header(self, record: Record) -> None:
        header = _typed(record.msg, Header)
        if header is not None:
            self.summary.header = header

    def _pipeline(self, record: Record) -> None:
        if isinstance(record.msg, list):
            self.summary.pipeline = record.msg

    def _end(self, record: Record) -> None:
        end = _typed(record.msg, End)
        if end is not None:
            end.hint = _JOURNAL_RECORD.sub(self._log_line, end.hint)
            self.summary.end = end
            self.summary.end_line = self.lines.of(end.seq) if end.seq >= 0 else -1

    def _log_line(self, match: re.Match[str]) -> str:
        line = self.lines.of(int(match[1]))
        return f"log line {line}" if line >= 0 else match[0]

    def _error(self, record: Record) -> None:
        if isinstance(record.msg, str):
            text = record.msg.strip().rpartition("\n")[2]
            self.summary.last_error = (self.lines.count - 1, text)

    def _action(self, record: Record) -> None:
        mark = _typed(record.msg, ActionMark)
        if mark is None:
            return
        if mark.what == "start":
            self._start(mark, record)
            return
        while self._open:
            node = self._open.pop()
            if node.level == mark.level and node.name == mark.name:
                node.end_dt, node.duration, node.result = record.dt, mark.duration, mark.result
                node.error_type, node.error_msg = mark.error_type, mark.error_msg
                return

    def _start(self, mark: ActionMark, record: Record) -> None:
        while self._open and not mark.level.startswith(self._open[-1].level + "."):
            self._open.pop()
        node = ActionNode(
            mark.name,
            mark.level,
            mark.attempt,
            mark.max_attempts,
            start_dt=record.dt,
            timeout=mark.timeout,
            section=mark.section,
            namespace=mark.namespace,
            line=max(self.lines.count - 1, 0),
        )
        (self._open[-1].children if self._open else self.summary.actions).append(node)
        self._open.append(node)

    def _result(self, record: Record) -> None:
        given = record.msg
        if not isinstance(given, dict) or not all(given.get(k) for k in ("definition", "case", "result")):
            self.summary.warnings.append(
                f"log line {self.lines.count - 1}: a result without definition, case or result"
            )
            return
        result = str(given["result"])
        if result not in RESULTS:
            self.summary.warnings.append(
                f"log line {self.lines.count - 1}: unknown result {result!r} of {given['case']}"
            )
            return
        case = self._case(given, result, record)
        if self._ring is not None and result == "fail" and case.start_line >= 0:
            case.excerpt = self._ring.cut(case.start_line, case.end_line)
        self.summary.cases.append(case)

    def _case(self, given: dict[str, Any], result: str, record: Record) -> Case:
        lines, given = self.lines, dict(given)
        for key in ("starttc", "endtc"):
            if isinstance(given.get(key), int):
                given[key] = lines.of(given[key])
        own = given["definition"] == "lava"
        duration = _number(given.get("duration"))
        measurement, units = given.get("measurement"), str(given.get("units") or "")
        if measurement is None and own and duration is not None:
            measurement, units = duration, "seconds"
        attempt = given.get("attempt")
        return Case(
            suite=_CONTROL.sub("_", str(given["definition"])),
            name=_CONTROL.sub("_", str(given["case"])),
            result=result,
            record=given,
            seq=record.seq,
            line=lines.count - 1,
            dt=record.dt,
            set=_url_safe(given.get("set")),
            measurement=measurement,
            units=units,
            level=str(given.get("level") or ""),
            duration=duration,
            attempt=attempt if isinstance(attempt, int) else self._attempt(),
            start_line=given.get("starttc", -1) if isinstance(given.get("starttc"), int) else -1,
            end_line=given.get("endtc", -1) if isinstance(given.get("endtc"), int) else -1,
        )

    def _attempt(self) -> int:
        for node in reversed(self._open):
            if node.max_attempts > 1:
                return node.attempt
        return 0


_HANDLERS = {
    journal.HEADER: SummaryBuilder._header,
    journal.PIPELINE: SummaryBuilder._pipeline,
    journal.END: SummaryBuilder._end,
    journal.ACTION: SummaryBuilder._action,
    journal.RESULTS: SummaryBuilder._result,
    journal.EXCEPTION: SummaryBuilder._error,
    journal.ERROR: SummaryBuilder._error,
}


class _Ring:
    """The most recent log lines, bounded in characters: failed cases' excerpts are cut from it."""

    def __init__(self) -> None:
        self._lines: deque[tuple[int, str]] = deque()
        self._size = 0

    def add(self, line: int, text: str) -> None:
        self._lines.append((line, text))
        self._size += len(text) + 1
        while self._size > _RING_TEXT:
            self._size -= len(self._lines.popleft()[1]) + 1

    def cut(self, first: int, last: int) -> str:
        """Lines first..last; of a long range its end, with a word about what is left out."""
        found: list[str] = []
        size = 0
        for line, text in reversed(self._lines):
            if line > last:
                continue
            if line < first:
                break
            size += len(text) + 1
            if size > MAX_EXCERPT and found:
                break
            found.append(text[:MAX_EXCERPT])
        left_out = max(0, last - first + 1 - len(found))
        if left_out:
            found.append(f"[{left_out} lines before these are left out]")
        return "\n".join(reversed(found))


def _url_safe(given: object) -> str:
    """The name of a test set, ignored where it could not stand in an address (spec: results-and-logs §2)."""
    return given if isinstance(given, str) and _SET_NAME.match(given) else ""


def _number(value: object) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    try:
        return float(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _typed(data: object, kind: type[_T]) -> _T | None:
    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError:
        return None
