# SPDX-License-Identifier: Apache-2.0
"""The log as the page shows it: a tree of actions with their lines, bounded whatever a job prints.

One pass. Of a long output its beginning and its end are kept, and what stands around each error and each
result that is no pass; between them a gap says which lines are left out. When the whole has grown too long,
actions that passed are folded into gaps as well: what failed is kept to the last.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from executor.model import journal
from executor.model.journal import Record
from executor.report.reader import Lines

MAX_LINES = 20_000  # kept in all, after which only what failed is; twice as many is the hard bound
HEAD, TAIL = 400, 400  # lines of one output without a child action in between
PINNED = 40  # lines before an error or a bad result that are kept
TIGHT = 20  # of TAIL and PINNED once MAX_LINES is reached
MAX_TEXT = 4_000  # characters of one line


@dataclass(slots=True)
class Line:
    """One line of the log. `text` is a map for results."""

    number: int
    dt: str
    level: str
    text: Any
    namespace: str = ""


@dataclass(slots=True)
class Gap:
    """Lines `first` to `last` of the log are left out."""

    first: int
    last: int


@dataclass(slots=True)
class Block:
    """One attempt of an action and all that was logged while it ran; the root is the job itself."""

    name: str = ""
    level: str = ""
    attempt: int = 1
    attempts: int = 1
    section: str = ""
    namespace: str = "common"
    result: str = ""  # empty while it runs
    seconds: float = 0.0
    error: str = ""
    first: int = 0  # number of its first line
    items: list[Line | Gap | Block] = field(default_factory=list)


class PageLog:
    """Takes the records of a journal, in order; `root` is the tree, whole after `close`."""

    def __init__(self, *, max_lines: int = MAX_LINES) -> None:
        self.root = Block()
        self.kept = 0
        self._max = max_lines
        self._lines = Lines()
        self._open = [self.root]
        self._run = 0  # lines of the output that is under way
        self._tail: deque[Line] = deque()

    def add(self, batch: Iterable[Record]) -> None:
        """The next records."""
        for record in batch:
            if record.lvl == journal.ACTION:
                if isinstance(record.msg, dict):
                    self._mark(record.msg)
            elif self._lines.add(record):
                self._line(record)

    def close(self) -> None:
        """Nothing more comes."""
        self._flush()

    @property
    def lines(self) -> int:
        """How many lines the log has."""
        return self._lines.count

    # -- lines

    def _line(self, record: Record) -> None:
        line = Line(self._lines.count - 1, record.dt, record.lvl, _bounded(record.msg), record.ns)
        self._run += 1
        if self._run <= HEAD and self.kept < self._max:
            self._keep(line)
            return
        self._tail.append(line)
        if len(self._tail) > (TAIL if self.kept < self._max else TIGHT):
            self._drop(self._tail.popleft())
        if _matters(record):
            self._pin()

    def _pin(self) -> None:
        """Keep the newest lines for good."""
        count = PINNED if self.kept < self._max else TIGHT
        while len(self._tail) > count:
            self._drop(self._tail.popleft())
        self._flush(ended=False)

    def _flush(self, *, ended: bool = True) -> None:
        while self._tail:
            line = self._tail.popleft()
            if self.kept < 2 * self._max:
                self._keep(line)
            else:
                self._drop(line)
        if ended:
            self._run = 0

    def _keep(self, line: Line) -> None:
        self._open[-1].items.append(line)
        self.kept += 1

    def _drop(self, line: Line) -> None:
        _add_gap(self._open[-1].items, line.number, line.number)

    # -- actions

    def _mark(self, mark: dict[str, Any]) -> None:
        level, name = str(mark.get("level", "")), str(mark.get("name", ""))
        if mark.get("what") == "start":
            self._start(level, name, mark)
        elif any((block.level, block.name) == (level, name) for block in self._open[1:]):
            self._flush()
            while True:
                block = self._open.pop()
                if (block.level, block.name) == (level, name):
                    break
            self._end(block, mark)

    def _start(self, level: str, name: str, mark: dict[str, Any]) -> None:
        own = self._take_start_line(level, name)
        self._flush()
        while len(self._open) > 1 and not level.startswith(self._open[-1].level + "."):
            self._open.pop()
        block = Block(
            name,
            level,
            int(mark.get("attempt") or 1),
            int(mark.get("max_attempts") or 1),
            str(mark.get("section") or ""),
            str(mark.get("namespace") or "common"),
            first=max(self._lines.count - 1, 0),
        )
        self._open[-1].items.append(block)
        self._open.append(block)
        if own is not None:
            block.first = own.number
            block.items.append(own)

    def _take_start_line(self, level: str, name: str) -> Line | None:
        """The line `start: …` is written before the mark; it belongs to the action that begins."""
        found = self._tail or self._open[-1].items
        last = found[-1] if found else None
        if isinstance(last, Line) and str(last.text).startswith(f"start: {level} {name} "):
            found.pop()
            self.kept += 1 if found is self._tail else 0
            return last
        return None

    def _end(self, block: Block, mark: dict[str, Any]) -> None:
        block.result = str(mark.get("result") or "")
        block.seconds = float(mark.get("duration") or 0.0)
        block.error = str(mark.get("error_msg") or "")
        parent = self._open[-1].items
        if self.kept >= self._max and block.result == "pass" and parent and parent[-1] is block:
            parent.pop()
            self.kept -= _count(block)
            _add_gap(parent, block.first, self._lines.count - 1)


def _matters(record: Record) -> bool:
    if record.lvl == journal.RESULTS:
        return isinstance(record.msg, dict) and record.msg.get("result") != "pass"
    return record.lvl in (journal.EXCEPTION, journal.ERROR)


def _bounded(msg: Any) -> Any:
    if isinstance(msg, str) and len(msg) > MAX_TEXT:
        return f"{msg[:MAX_TEXT]} … {len(msg) - MAX_TEXT} more characters"
    return msg


def _add_gap(items: list[Line | Gap | Block], first: int, last: int) -> None:
    """A gap at the end; two that meet are one."""
    before = items[-1] if items else None
    if isinstance(before, Gap) and before.last + 1 >= first:
        before.last = max(before.last, last)
    elif last >= first:
        items.append(Gap(first, last))


def _count(block: Block) -> int:
    return sum(_count(item) if isinstance(item, Block) else isinstance(item, Line) for item in block.items)
