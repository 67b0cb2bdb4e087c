# SPDX-License-Identifier: Apache-2.0
"""Finds signals in console text that comes in pieces, at next to no cost where there are none.

Text without `<LAVA_` and without a trailer of this run is only searched for these words; lines are looked at
one by one only where a parse pattern asks for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol

from executor.testshell.signals import BEGIN, TOKEN, TRACE, TRAILER, Trailer, trailer

MAX_LINE = 64 * 1024  # characters of a line without end that are kept
_ESCAPE = re.compile(
    r"\x1b(?:\[[0-?]{0,64}[ -/]{0,8}[@-~]|[\]PX^_][^\x07\x1b]{0,256}(?:\x07|\x1b\\)|[ -/]{0,8}[0-~])"
)
_RETURNS = re.compile(r"\r+")


class Reader(Protocol):
    """Who is told what was found. `line` is the journal's number of the line."""

    def token(self, match: re.Match[str], checked: Trailer | None, *, exact: bool, line: int) -> None:
        """A whole signal, with its trailer if one follows; `exact`: nothing else stands on the line."""

    def cut_trailer(self, match: re.Match[str], line: int) -> None:
        """A whole signal, and after it the beginning of a trailer that is not whole."""

    def fragment(self, text: str, line: int) -> None:
        """The beginning of a signal without its end."""

    def lonely(self, before: str, found: Trailer, line: int) -> None:
        """A trailer that follows no signal. `before`: what precedes it."""

    def output(self, text: str, line: int) -> None:
        """A line without signals, where `wants_output`."""

    @property
    def wants_output(self) -> bool:
        """Is every line of interest?"""


class Scanner:
    """Cuts text into lines and lines into signals.

    `locate(offset)` gives the journal's number of the line that ends at `offset` of the text being fed;
    without it lines are counted from 0.
    """

    def __init__(self, reader: Reader, locate: Callable[[int], int] | None) -> None:
        self._reader = reader
        self._locate = locate
        self._partial = ""
        self._counted = 0  # lines that have ended
        self._needle = ""

    def expect(self, run: str) -> None:
        """From now on look for trailers of this run."""
        self._needle = f"#{run}."

    def feed(self, text: str) -> None:
        """Take the next piece of text."""
        start = 0
        if self._partial:
            start = text.find("\n") + 1
            if not start:
                self._extend(text)
                return
            line, self._partial = self._partial + text[: start - 1], ""
            if self._interesting(line):
                self._line(line, start - 1, 0)
        if self._reader.wants_output:
            start = self._every_line(text, start)
        else:
            start = self._interesting_lines(text, start)
        self._extend(text[start:])
        if self._locate is None:
            self._counted += text.count("\n")

    def end(self) -> None:
        """Nothing more will come: what was not ended is a line as well."""
        line, self._partial = self._partial, ""
        if line and self._interesting(line):
            self._line(line, 0, 0)

    def _extend(self, text: str) -> None:
        self._partial += text
        if len(self._partial) > MAX_LINE:
            self.end()

    def _interesting(self, line: str) -> bool:
        return (
            self._reader.wants_output
            or BEGIN in line
            or bool(self._needle and self._needle in line)
            or "\x1b" in line
        )

    def _every_line(self, text: str, start: int) -> int:
        while (end := text.find("\n", start)) >= 0:
            self._line(text[start:end], end, text.count("\n", 0, end) if self._locate is None else 0)
            start = end + 1
        return start

    def _interesting_lines(self, text: str, start: int) -> int:
        """Go from one word that we look for to the next; where the last whole line ended."""
        last = text.rfind("\n") + 1
        while (at := self._next(text, start, last)) >= 0:
            begin = max(start, text.rfind("\n", start, at) + 1)
            end = text.index("\n", at)
            self._line(text[begin:end], end, text.count("\n", 0, end) if self._locate is None else 0)
            start = end + 1
            if self._reader.wants_output:
                return self._every_line(text, start)
        return max(start, last)

    def _next(self, text: str, start: int, end: int) -> int:
        found = text.find(BEGIN, start, end)
        if self._needle:
            lonely = text.find(self._needle, start, end if found < 0 else found)
            if lonely >= 0:
                return lonely
        return found

    def _line(self, line: str, offset: int, ended_before: int) -> None:
        number = self._counted + ended_before if self._locate is None else self._locate(offset)
        if "\x1b" in line:
            line = _ESCAPE.sub("", line)
        for part in _RETURNS.split(line) if "\r" in line else (line,):
            self._part(part, number)

    def _part(self, line: str, number: int) -> None:
        reader = self._reader
        begin = line.find(BEGIN)
        if begin < 0 and not (self._needle and self._needle in line):
            if reader.wants_output:
                reader.output(line, number)
            return
        traced = TRACE.match(line) is not None
        after = 0
        while begin >= 0:
            self._lonely(line[after:begin], number)
            match = TOKEN.match(line, begin)
            if match is None:
                after = line.find(BEGIN, begin + 1)
                if after < 0:
                    after = len(line)
                if not traced:
                    reader.fragment(line[begin:after], number)
            else:
                after = match.end()
                found = TRAILER.match(line, after)
                if found is not None:
                    after = found.end()
                    reader.token(match, trailer(found), exact=False, line=number)
                elif line.startswith(" #", after) and self._needle:
                    reader.cut_trailer(match, number)
                elif not traced:
                    exact = begin == 0 and not line[after:].strip()
                    reader.token(match, None, exact=exact, line=number)
            begin = line.find(BEGIN, after)
        self._lonely(line[after:], number)

    def _lonely(self, text: str, number: int) -> None:
        if not self._needle or self._needle not in text:
            return
        for found in TRAILER.finditer(text):
            self._reader.lonely(text[: found.start()], trailer(found), number)
