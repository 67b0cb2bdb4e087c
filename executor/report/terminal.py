# SPDX-License-Identifier: Apache-2.0
"""The log for people, live: colours by level, actions as headings, results as marks, progress as a bar.

Rendering is a pure function of records to text; one write a batch keeps it fast enough for any console.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TextIO

from executor.model import journal
from executor.model.journal import Record
from executor.report.style import RESULT_STYLE, Style, duration, printable, quantity, size

_STYLES = {
    journal.DEBUG: "dim",
    journal.INFO: "cyan",
    journal.WARNING: "yellow",
    journal.ERROR: "red",
    journal.EXCEPTION: "error",
    journal.INPUT: "green",
    journal.FEEDBACK: "magenta",
    journal.EVENT: "blue",
}
_WORDS = {journal.WARNING: "warning: ", journal.ERROR: "error: ", journal.EXCEPTION: "error: "}
_TARGET, _DEBUG = journal.TARGET, journal.DEBUG
_CLEAR = "\r\x1b[2K"


class LogView:
    """Records to text. `timestamps`: time of day (UTC) on a terminal, date and time in a pipe.

    `levels` keeps only these; `debug` False leaves the debug level out. With colours, the start and end of
    actions become headings; without, their log lines stand as they are.
    """

    def __init__(
        self,
        style: Style,
        *,
        timestamps: bool = True,
        debug: bool = True,
        levels: frozenset[str] | None = None,
    ) -> None:
        self.style = style
        self.progress: dict[str, Any] | None = None  # the newest, when nothing came after it
        self._stamps = timestamps
        self._levels = levels
        self._debug = debug
        self._headings = style.colour and levels is None
        self._cut = slice(11, 19) if style.tty else slice(0, 19)

    def render(self, batch: Sequence[Record]) -> str:
        """The lines of a batch, newline-terminated, or nothing."""
        out: list[str] = []
        append, stamps, cut, levels = out.append, self._stamps, self._cut, self._levels
        faint = self.style.colour
        for record in batch:
            level = record.lvl
            if levels is not None and level not in levels:
                continue
            if level == _TARGET and type(record.msg) is str:
                text = record.msg
                if not text.isprintable():
                    text = printable(text)
            elif level == journal.PROGRESS:
                self.progress = record.msg if isinstance(record.msg, dict) else None
                continue
            else:
                found = self._other(record)
                if found is None:
                    continue
                text = found
            if stamps:
                append(f"\x1b[2m{record.dt[cut]}\x1b[0m {text}\n" if faint else f"{record.dt[cut]} {text}\n")
            else:
                append(text + "\n")
        if out:
            self.progress = None
        return "".join(out)

    def _other(self, record: Record) -> str | None:
        level, msg = record.lvl, record.msg
        if level == journal.RESULTS:
            return self._result(msg) if isinstance(msg, dict) else None
        if level == journal.ACTION:
            return self._action(msg) if self._headings and isinstance(msg, dict) else None
        if not isinstance(msg, str) or (level == _DEBUG and not self._debug):
            return None
        if self._headings and self._is_mark(record, msg):
            return None  # its heading is shown in its place
        lines = "\n".join(map(printable, msg.split("\n"))) if "\n" in msg else printable(msg)
        if level == journal.FEEDBACK:
            lines = f"[{printable(record.ns)}] {lines}"
        style = _STYLES.get(level)
        if self.style.colour and style:
            return self.style.paint(lines, style)
        return _WORDS.get(level, "") + lines

    @staticmethod
    def _is_mark(record: Record, msg: str) -> bool:
        if not record.act or record.level in ("", "0"):
            return False
        return msg.startswith((f"start: {record.level} {record.act} ", f"end: {record.level} {record.act} "))

    def _result(self, msg: dict[str, Any]) -> str | None:
        suite, case, result = (str(msg.get(key, "")) for key in ("definition", "case", "result"))
        if suite == "lava" and result == "pass" and not case[:1].isdigit():
            return None  # the actions tell of themselves
        address = "/".join(part for part in (suite, str(msg.get("set") or ""), case) if part)
        text = f"{self.style.mark(result)} {printable(address)}"
        if result != "pass" or not self.style.colour:
            text += f" {self.style.result(result)}"
        if msg.get("measurement") is not None:
            text += "  " + printable(quantity(msg["measurement"], str(msg.get("units") or "")))
        if msg.get("error_msg"):
            text += f"  {printable(str(msg['error_msg']))}"
        return text

    def _action(self, msg: dict[str, Any]) -> str | None:
        level, name = str(msg.get("level", "")), printable(str(msg.get("name", "")))
        top = "." not in level
        attempts = int(msg.get("max_attempts") or 1)
        attempt = f", attempt {msg.get('attempt', 1)} of {attempts}" if attempts > 1 else ""
        rule = "──" if self.style.unicode else "--"
        if msg.get("what") == "start":
            if top:
                limit = f"limit {duration(float(msg.get('timeout') or 0))}"
                return self.style.paint(f"{rule} {level} {name} {rule} {limit}{attempt}", "heading")
            return self.style.paint(f"{level} {name}{attempt}", "dim")
        seconds = duration(float(msg.get("duration") or 0))
        if msg.get("result") == "fail":
            why = f": {printable(str(msg['error_msg']))}" if msg.get("error_msg") else ""
            return self.style.paint(f"{level} {name} failed after {seconds}{attempt}{why}", "red")
        return self.style.paint(f"{rule} {level} {name} done in {seconds}", "heading") if top else None


class LiveLog:
    """Writes a LogView to a stream; on a terminal a bar stands below it while something is transferred."""

    def __init__(self, stream: TextIO, view: LogView, *, clock: Callable[[], float] | None = None) -> None:
        self._stream = stream
        self._view = view
        self._bar_shown = False
        self._since: tuple[str, float] = ("", 0.0)
        if clock is None:
            import time

            clock = time.monotonic
        self._clock = clock

    def feed(self, batch: Sequence[Record]) -> None:
        """Show the next records."""
        text = self._view.render(batch)
        bar = self._bar() if self._view.style.tty else ""
        if not text and not bar:
            return
        lead = _CLEAR if self._bar_shown else ""
        self._bar_shown = bool(bar)
        self._stream.write(lead + text + bar)
        self._stream.flush()

    def close(self) -> None:
        """Take the bar away."""
        if self._bar_shown:
            self._stream.write(_CLEAR)
            self._stream.flush()
            self._bar_shown = False

    def _bar(self) -> str:
        progress = self._view.progress
        if progress is None:
            return ""
        done, total = int(progress.get("done") or 0), int(progress.get("total") or 0)
        if total and done >= total:
            self._view.progress = None
            return ""
        title = f"{progress.get('stage') or 'work'} {progress.get('what') or ''}".strip()
        if self._since[0] != title:
            self._since = (title, self._clock())
        rate = done / max(self._clock() - self._since[1], 0.5)
        return bar(title, done, total, rate, self._view.style)


def bar(title: str, done: int, total: int, rate: float, style: Style) -> str:
    """One line that fits the terminal: title, bar or bytes, speed."""
    width = max((style.width or 80) - 1, 10)
    tail = f" {size(done)}/{size(total)}" if total else f" {size(done)}"
    if rate:
        tail += f"  {size(rate)}/s"
    head = printable(title)[: max(width - len(tail) - 1, 0)]
    room = min(40, width - len(head) - len(tail) - 8)
    if not total or room < 6:
        return (head + tail)[:width]
    filled = min(room, room * done // total)
    full, empty = ("█", "░") if style.unicode else ("#", ".")
    drawn = style.paint(full * filled, "green") + style.paint(empty * (room - filled), "dim")
    return f"{head} {drawn} {100 * done // total:3d}%{tail}"


def result_line(style: Style, result: str, count: int) -> str:
    """`3 failed` in the colour of the result."""
    word = {"pass": "passed", "fail": "failed", "skip": "skipped", "unknown": "unknown"}.get(result, result)
    return style.paint(f"{count} {word}", RESULT_STYLE.get(result, "dim"))
