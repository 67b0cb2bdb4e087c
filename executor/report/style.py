# SPDX-License-Identifier: Apache-2.0
"""Colours and tables for people: ANSI strings where a terminal shows them, aligned plain text elsewhere."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TextIO

_CODES = {
    "bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "blue": "34", "magenta": "35",
    "cyan": "36", "error": "1;31", "ok": "32", "heading": "1;36", "warn": "33", "key": "2",
}  # fmt: skip
_RESET = "\x1b[0m"
_SEQUENCE = re.compile("\x1b\\[[0-9;]*m")
_UNSAFE = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")

RESULT_STYLE = {"pass": "green", "fail": "red", "skip": "yellow", "unknown": "magenta"}
_MARKS = {"pass": "✓", "fail": "✗", "skip": "–", "unknown": "?"}
_ASCII_MARKS = {"pass": "+", "fail": "x", "skip": "-", "unknown": "?"}


@dataclass(frozen=True)
class Style:
    """How text for people may look on one stream. `width` 0 means: no limit, do not cut."""

    colour: bool = False
    unicode: bool = True
    width: int = 0
    tty: bool = False

    def paint(self, text: str, *names: str) -> str:
        """`text` in a colour or weight, when colours are wanted."""
        if not self.colour or not text:
            return text
        return f"\x1b[{';'.join(_CODES[name] for name in names)}m{text}{_RESET}"

    def mark(self, result: str) -> str:
        """One character for a result."""
        marks = _MARKS if self.unicode else _ASCII_MARKS
        return self.paint(marks.get(result, "?"), RESULT_STYLE.get(result, "dim"))

    def result(self, result: str) -> str:
        """The word for a result, in its colour."""
        return self.paint(result, RESULT_STYLE.get(result, "dim"))


def style_of(stream: TextIO, environment: Mapping[str, str] | None = None, *, colour: str = "auto") -> Style:
    """What `stream` can show. `colour`: auto, always or never; under auto NO_COLOR and FORCE_COLOR decide."""
    env = os.environ if environment is None else environment
    tty = stream.isatty()
    if colour == "auto":
        if env.get("NO_COLOR"):
            wanted = False
        elif env.get("FORCE_COLOR"):
            wanted = env["FORCE_COLOR"] != "0"
        else:
            wanted = tty and env.get("TERM") != "dumb"
    else:
        wanted = colour == "always"
    encoding = (getattr(stream, "encoding", None) or "ascii").lower().replace("-", "")
    return Style(wanted, encoding.startswith("utf"), _columns(env) if tty else 0, tty)


def _columns(env: Mapping[str, str]) -> int:
    if env.get("COLUMNS", "").isdigit():
        return int(env["COLUMNS"])
    try:
        return os.get_terminal_size().columns
    except OSError:
        return 80


def printable(text: str) -> str:
    """`text` without anything that a terminal would obey: control characters as `\\x1b`, tabs kept."""
    return text if text.isprintable() else _UNSAFE.sub(_visible, text)


def _visible(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def length(text: str) -> int:
    """Columns that `text` takes, colours not counted."""
    return len(_SEQUENCE.sub("", text))


def table(rows: Sequence[Sequence[str]], header: Sequence[str] = (), *, style: Style) -> str:
    """Aligned columns, two blanks between. On a terminal the last column is cut to the width."""
    every = [list(header), *map(list, rows)] if header else list(map(list, rows))
    if not every:
        return ""
    count = max(map(len, every))
    widths = [max((length(row[i]) for row in every if i < len(row)), default=0) for i in range(count)]
    out = []
    for number, row in enumerate(every):
        cells = [cell + " " * (widths[i] - length(cell)) for i, cell in enumerate(row[:-1])]
        line = "  ".join(
            [*cells, _cut(row[-1], style.width - sum(widths[: len(row) - 1]) - 2 * len(cells), style)]
        )
        out.append(style.paint(line.rstrip(), "bold") if header and number == 0 else line.rstrip())
    return "\n".join(out) + "\n"


def _cut(text: str, room: int, style: Style) -> str:
    if not style.width or room < 8 or length(text) <= room:
        return text
    if "\x1b" in text:
        return text  # cutting could lose the reset; coloured cells are short words
    return text[: room - 1] + ("…" if style.unicode else ".")


def quantity(value: float | str, units: str = "") -> str:
    """A measurement with its units, without a `.0` that says nothing."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        value = int(value)
    return f"{value} {units}".rstrip()


def duration(seconds: float) -> str:
    """Seconds as people say them: `0.3 s`, `42 s`, `3 min 20 s`, `2 h 5 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def size(count: float) -> str:
    """Bytes as people say them: `812 B`, `12.3 MiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"
