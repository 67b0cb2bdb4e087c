# SPDX-License-Identifier: Apache-2.0
"""From bytes to clean text, and from text to lines, a chunk at a time, without ever losing a character.

Consoles send escape sequences, NULs and broken UTF-8, and end lines in three ways (spec: results-and-logs
§1). Both classes are fed with whatever arrived and keep what is not complete yet; the usual chunk costs a
few calls into C.
"""

from __future__ import annotations

import codecs
import re

MAX_LINE = (
    256 * 1024
)  # characters of a line that is kept together; the journal splits further by its own limit
CONTINUES = " [the line continues in the next record]"

# All control characters but tab, newline, carriage return and escape.
_CONTROL = bytes(set(range(0x20)) - {0x09, 0x0A, 0x0D, 0x1B}) + b"\x7f"
_CONTROL_TEXT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_ESCAPE = re.compile(
    r"\x1b(?:"
    r"\[[0-?]{0,64}[ -/]{0,8}[@-~]"  # CSI: colours, cursor, busybox's ESC[6n
    r"|[\]PX^_][^\x07\x1b\r\n]{0,256}(?:\x07|\x1b\\)"  # OSC and other strings: window titles
    r"|[ -/]{1,8}[0-~]"  # character sets
    r"|[0-OQ-WYZ\\`-~]"  # two characters
    r")"
)
_ESCAPE_BEGUN = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|[\]PX^_][^\x07\x1b\r\n]*\x1b?|[ -/]*)\Z")
_HOLD = 264  # characters of an unfinished escape sequence that are held back

_RETURNS_BEFORE_NEWLINE = re.compile(r"\r+\n")
_RETURNS_AT_START = re.compile(r"^\r+", re.MULTILINE)
_RETURNS = re.compile(r"\r+")


class Cleaner:
    """Bytes in, text out: UTF-8 (bad bytes replaced), no escape sequences, no control characters but tab
    and line ends.
    """

    def __init__(self) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._held = ""  # the beginning of an escape sequence

    @property
    def holding(self) -> bool:
        """Is something held back that may be the beginning of an escape sequence?"""
        return bool(self._held)

    def give_up(self) -> str:
        """What was held back; the sequence was not completed in time, so it was none."""
        text, self._held = self._held, ""
        return _CONTROL_TEXT.sub("", text)

    def feed(self, data: bytes) -> str:
        if not self._held and b"\x1b" not in data:
            return self._decode(data.translate(None, _CONTROL))
        text = self._held + self._decode(data)
        self._held = ""
        text = _ESCAPE.sub("", text)
        if (begun := _ESCAPE_BEGUN.search(text)) and len(text) - begun.start() <= _HOLD:
            self._held = text[begun.start() :]
            text = text[: begun.start()]
        return _CONTROL_TEXT.sub("", text)

    def flush(self) -> str:
        """The rest, when nothing follows."""
        return self.give_up() + self._decode(b"", final=True)


class Lines:
    """Text in, complete lines out. A lone carriage return ends a line too, so progress bars stay readable."""

    def __init__(self) -> None:
        self.partial = ""  # the line that has not ended yet
        self.ended = ""  # the text of the lines that the last call of `add` or `end` completed
        self._shown = 0  # how much of the unfinished line `show` has given away

    def add(self, text: str) -> tuple[list[str], list[str]]:
        """(whole, rest): the lines that `text` completes, whole, and what of them `show` has not given
        away yet.

        Both are empty when no line ended. `rest` has no first line when it was shown to its end.
        """
        text = self.partial + text
        if "\r" in text:
            text = unify(text)
        end = text.rfind("\n")
        if end < 0:
            self.partial = text
            return self._overlong() if len(text) > MAX_LINE else ([], [])
        self.partial = text[end + 1 :]
        self.ended = text = text[:end]
        lines = text.split("\n")
        if not self._shown:
            return lines, lines
        rest = lines.copy()
        rest[0] = rest[0][self._shown :]
        self._shown = 0
        return lines, rest if rest[0] else rest[1:]

    def show(self) -> str:
        """What of the unfinished line was not given away yet, for a journal that should not wait for its
        end.
        """
        text = self.partial.rstrip("\r")
        new = text[self._shown :]
        self._shown = len(text)
        return new

    @property
    def hidden(self) -> bool:
        """Has the unfinished line a part that was not given away?"""
        return len(self.partial.rstrip("\r")) > self._shown

    def end(self) -> tuple[list[str], list[str]]:
        """As `add`, for the line that will not be completed."""
        text = self.partial.rstrip("\r")
        rest = text[self._shown :]
        self.partial, self._shown, self.ended = "", 0, text
        return [text] if text else [], [rest] if rest else []

    def _overlong(self) -> tuple[list[str], list[str]]:
        text, rest = self.partial, self.partial[self._shown :]
        self.partial, self._shown, self.ended = "", 0, text
        return [text], [rest + CONTINUES]


def unify(text: str) -> str:
    """All line ends as a newline; carriage returns at the very end stay, because a newline may follow
    them.
    """
    text = text.replace("\r\n", "\n")
    if "\r" not in text:
        return text
    text = _RETURNS_BEFORE_NEWLINE.sub("\n", text)
    body = text.rstrip("\r")
    held = text[len(body) :]
    return _RETURNS.sub("\n", _RETURNS_AT_START.sub("", body)) + held
