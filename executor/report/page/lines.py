# SPDX-License-Identifier: Apache-2.0
"""The tree of a PageLog as HTML. Every text goes through `escaped`; none of it is ever markup."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

from executor.model import journal
from executor.report.page.log import Block, Gap, Line, PageLog
from executor.report.style import duration, printable, quantity
from executor.report.summary import seconds_between

_CLASSES = {
    journal.TARGET: "t",
    journal.INPUT: "i",
    journal.DEBUG: "d",
    journal.INFO: "n",
    journal.WARNING: "w",
    journal.ERROR: "e",
    journal.EXCEPTION: "e",
    journal.FEEDBACK: "f",
    journal.RESULTS: "r",
    journal.EVENT: "v",
}
_WORDS = {
    journal.INPUT: "sent: ",
    journal.WARNING: "warning: ",
    journal.ERROR: "error: ",
    journal.EXCEPTION: "error: ",
    journal.EVENT: "event: ",
}
_MARKS = {"pass": "✓", "fail": "✗", "skip": "–", "unknown": "?"}


def escaped(text: str) -> str:
    """Text for the page: no markup, and control characters as what they are."""
    if "\n" in text:
        text = "\n".join(map(printable, text.split("\n")))
    else:
        text = printable(text)
    return escape(text)


def block_id(level: str, line: int) -> str:
    """The anchor of an action: the timeline and the log name the same attempt by it."""
    return "a" + "".join(c for c in level if c.isdigit() or c == ".") + f"-{line}"


class LogHtml:
    """Renders one PageLog. `open_at`: the log line whose actions stand open; -1 for none."""

    def __init__(self, log: PageLog, *, begin: str, job: str, open_at: int = -1) -> None:
        self._log = log
        self._begin = begin
        self._job = job
        self._open_at = open_at
        self._places: dict[int, str] = {}
        self._gaps: list[Gap] = []
        self._collect(log.root)

    def place(self, number: int) -> str:
        """The anchor of a log line, or of the gap in which it is left out; empty when there is none."""
        if number in self._places:
            return self._places[number]
        gap = next((gap for gap in self._gaps if gap.first <= number <= gap.last), None)
        return f"G{gap.first}" if gap is not None else ""

    def between(self, first: int, last: int) -> list[Line]:
        """The lines of that range that are kept, results left out; none for a `last` below 0."""
        found = [line for line in _lines(self._log.root) if first <= line.number <= last]
        return [line for line in found if line.level != journal.RESULTS]

    def pieces(self) -> Iterator[str]:
        """The whole log."""
        yield from self._items(self._log.root)

    def line(self, line: Line, *, anchor: bool = True) -> str:
        """One line; without `anchor` it points to where it stands in the log."""
        kind = _CLASSES.get(line.level, "t")
        here = f' id="L{line.number}"' if anchor else ""
        seconds = seconds_between(self._begin, line.dt)
        return (
            f'<div{here} class="{kind}"><a href="#L{line.number}">{line.number}</a>'
            f"<i>{seconds:.1f}</i>{self._text(line)}</div>\n"
        )

    def _items(self, block: Block) -> Iterator[str]:
        for item in block.items:
            if isinstance(item, Line):
                yield self.line(item)
            elif isinstance(item, Gap):
                yield self._gap(item)
            else:
                yield from self._block(item)

    def _block(self, block: Block) -> Iterator[str]:
        result = block.result or "running"
        kind = result if result in ("pass", "fail") else "running"
        is_open = " open" if self._holds(block, self._open_at) else ""
        attempt = f"<b>attempt {block.attempt} of {block.attempts}</b>" if block.attempts > 1 else ""
        seconds = duration(block.seconds) if block.result else "not ended"
        space = f"<b>{escaped(block.namespace)}</b>" if block.namespace != "common" else ""
        word = "" if result == "pass" else result
        error = f"<em>{escaped(' '.join(block.error.split()))}</em>" if block.error else ""
        yield (
            f'<details class="a {kind}" id="{block_id(block.level, block.first)}"{is_open}>'
            f"<summary><span>{escaped(block.level)}</span> <strong>{escaped(block.name)}</strong> "
            f"{attempt} {space} <u>{escaped(word)}</u> <i>{seconds}</i> {error}</summary>\n"
        )
        yield from self._items(block)
        yield "</details>\n"

    def _gap(self, gap: Gap) -> str:
        count = gap.last - gap.first + 1
        lines = f"line {gap.first} is" if count == 1 else f"{count} lines, {gap.first} to {gap.last}, are"
        command = f"lava-exec logs {self._job} --lines {gap.first}-{gap.last}"
        return (
            f'<p class="gap" id="G{gap.first}">{lines} left out here: <code>{escaped(command)}</code></p>\n'
        )

    def _text(self, line: Line) -> str:
        if isinstance(line.text, dict):
            return _result(line.text)
        text = _WORDS.get(line.level, "") + str(line.text)
        if line.level == journal.FEEDBACK:
            text = f"[{line.namespace}] {text}"
        return escaped(text)

    def _collect(self, block: Block) -> None:
        for item in block.items:
            if isinstance(item, Line):
                self._places[item.number] = f"L{item.number}"
            elif isinstance(item, Gap):
                self._gaps.append(item)
            else:
                self._collect(item)

    def _holds(self, block: Block, number: int) -> bool:
        for item in block.items:
            if isinstance(item, Block):
                if self._holds(item, number):
                    return True
            elif isinstance(item, Line):
                if item.number == number:
                    return True
            elif item.first <= number <= item.last:
                return True
        return False


def _lines(block: Block) -> Iterator[Line]:
    for item in block.items:
        if isinstance(item, Line):
            yield item
        elif isinstance(item, Block):
            yield from _lines(item)


def _result(msg: dict[str, Any]) -> str:
    """A result record in the words of the terminal's log."""
    address = "/".join(str(msg[key]) for key in ("definition", "set", "case") if msg.get(key))
    result = str(msg.get("result", ""))
    value = msg.get("measurement")
    shown = "" if value is None else "  " + quantity(value, str(msg.get("units") or ""))
    error = f"  {msg['error_msg']}" if msg.get("error_msg") else ""
    kind = result if result in _MARKS else "unknown"
    text = f"{_MARKS[kind]} {address} {result}{shown}{error}"
    return f'<span class="{kind}">{escaped(text)}</span>'
