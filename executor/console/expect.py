# SPDX-License-Identifier: Apache-2.0
"""Waiting for one of several patterns in a stream of text, with memory and search time bounded.

The earliest match in the stream wins, then the order of the list; text up to the end of a match is
consumed (spec: action-pipeline §3). Patterns see clean text (no escape sequences) with line ends as the
device sent them.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from executor.errors import JobError

# As jobs of the field are written: `.` crosses lines, `^` and `$` know them.
FLAGS = re.DOTALL | re.MULTILINE
_SHOWN = 100  # characters of the console's last line that a message quotes
KEEP = 64 * 1024  # characters of unread text that are kept, and of the text before a match

Patterns = str | re.Pattern[str] | Sequence[str | re.Pattern[str]]

_LEADING_ANYTHING = re.compile(r"(?:\.\*\??)+(?=[^+?*{])")


@dataclass(frozen=True, slots=True)
class Match:
    """What was found. `seq` is the journal record that holds the end of the match (or will hold it, for a
    line that has not ended); `before` is the text since the last match, its end only when it was long.
    """

    index: int  # which pattern
    pattern: str
    text: str
    before: str
    groups: tuple[str | None, ...]
    named: dict[str, str]
    seq: int


class PromptTimeout(TimeoutError):
    """Nothing matched in time. What class of error this counts as, the waiting action decides (spec:
    job-format §3).
    """

    def __init__(self, waited_for: Sequence[str], seconds: float, last_text: str) -> None:
        self.waited_for = tuple(waited_for)
        self.seconds = seconds
        self.last_text = last_text  # the end of what was there instead
        wanted = " or ".join(repr(p) for p in self.waited_for)
        lines = [line for line in map(str.strip, last_text.splitlines()) if line]
        shown = f"the console last showed {lines[-1][-_SHOWN:]!r}" if lines else "the console showed nothing"
        super().__init__(f"waited {seconds:.0f} seconds for {wanted}; {shown}")


def check_patterns(patterns: Iterable[str]) -> list[str]:
    """What is wrong with these patterns, one sentence each; for validation."""
    problems = []
    for pattern in patterns:
        try:
            _compile(pattern)
        except JobError as error:
            problems.append(error.message)
    return problems


def compile_patterns(patterns: Patterns) -> list[re.Pattern[str]]:
    """Compiled, in order. Raises JobError naming the one that is not a regular expression, or is empty."""
    if isinstance(patterns, str | re.Pattern):
        patterns = [patterns]
    return [p if isinstance(p, re.Pattern) else _compile(p) for p in patterns]


def pattern_names(patterns: Patterns) -> list[str]:
    """The patterns as they were written, in order."""
    if isinstance(patterns, str | re.Pattern):
        patterns = [patterns]
    return [p if isinstance(p, str) else p.pattern for p in patterns]


def _compile(pattern: str) -> re.Pattern[str]:
    if not pattern:
        raise JobError("an empty pattern would match at once", "name some text that the device prints")
    try:
        # A leading `.*` adds nothing to a search but quadratic time.
        begun = _LEADING_ANYTHING.match(pattern)
        return re.compile(pattern[begun.end() :] if begun else pattern, FLAGS)
    except (re.error, OverflowError, RecursionError) as error:
        raise JobError(
            f"{pattern!r} is not a regular expression: {error}",
            "put a backslash before each of ( ) [ ] * + ? . that is meant literally",
        ) from error


class Window:
    """The text that nobody has consumed yet.

    While nobody searches, the last KEEP characters wait. A search that finds nothing leaves the last
    `span` characters to be searched again together with what comes, so that a prompt is found however the
    chunks were cut.
    """

    def __init__(self, span: int) -> None:
        self._span = span
        self._new: deque[str] = deque()
        self._new_size = 0
        self._lead = 0  # characters at the beginning that were consumed, kept for `^` and lookbehind
        self._old: deque[str] = deque()  # searched in vain; only for `before`
        self._old_size = 0

    def add(self, text: str) -> None:
        """Text that a search follows, or else `trim`."""
        self._new.append(text)
        self._new_size += len(text)

    def trim(self) -> None:
        """Nobody searches now: let go of what is too old."""
        while len(self._new) > 1 and self._new_size - len(self._new[0]) >= KEEP:
            self._new_size -= len(self._new.popleft())
            self._lead = 0

    def search(
        self, patterns: Sequence[re.Pattern[str]], keep: int = KEEP
    ) -> tuple[int, re.Match[str], str, str] | None:
        """(index, match, text before it, text after it) and consume; None when no pattern matches."""
        text = "".join(self._new)
        best: tuple[int, re.Match[str]] | None = None
        for index, pattern in enumerate(patterns):
            found = pattern.search(text, self._lead)
            if found is not None and (best is None or found.start() < best[1].start()):
                best = index, found
        if best is None:
            self._put_by(text, keep)
            return None
        index, found = best
        before = ("".join(self._old) + text[self._lead : found.start()])[-keep:]
        self.clear()
        start = max(0, found.end() - 1)
        self._set(text[start:], found.end() - start)
        return index, found, before, text[found.end() :]

    def take(self) -> str:
        """All that is there, consumed."""
        text = ("".join(self._old) + "".join(self._new)[self._lead :])[-KEEP:]
        self.clear()
        return text

    def peek(self, size: int = 1000) -> str:
        """The last characters, for messages."""
        text = "".join(self._new)[self._lead :]
        return ("".join(self._old) + text if len(text) < size else text)[-size:]

    def clear(self) -> None:
        self._old.clear()
        self._old_size = 0
        self._set("", 0)

    def _set(self, text: str, lead: int) -> None:
        self._new = deque([text]) if text else deque()
        self._new_size = len(text)
        self._lead = lead

    def _put_by(self, text: str, keep: int) -> None:
        """Leave `span` characters, and one more for `^`; the others can only be `before` now."""
        cut = len(text) - self._span - 1
        if cut <= self._lead:
            self._set(text, self._lead)
            return
        # The first of the characters that stay is the context character, so it belongs to the old text as
        # well.
        self._old.append(text[self._lead : cut + 1])
        self._old_size += cut + 1 - self._lead
        while self._old_size - len(self._old[0]) >= keep:
            self._old_size -= len(self._old.popleft())
        self._set(text[cut:], 1)
