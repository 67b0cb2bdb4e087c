# SPDX-License-Identifier: Apache-2.0
"""Secret words out of everything that is written, before it is escaped for JSON (design §9, Secrets)."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from executor.model import journal

MASK = "[MASKED]"
# Keys whose values are the program's own words: a job whose secret is `pass` must not lose its results.
_ACTION = frozenset({"what", "name", "level", "section", "class", "result", "summary", "description"})
_WORDS = {
    journal.ACTION: _ACTION,
    journal.PIPELINE: _ACTION,
    journal.RESULTS: frozenset({"result", "level", "duration"}),
    journal.END: frozenset({"health", "error_type", "who", "action", "level"}),
}
_LEAST_LINE = 6  # characters of one line of a secret that is masked by itself, such as one of a private key
_LEAST_HALVES = 6  # characters of a secret that is looked for across two pieces of an unfinished line


class Masker:
    """Knows the secrets of a job. Not thread-safe: its owner holds a lock."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._words: set[str] = set()
        self._any: re.Pattern[str] | None = None
        self._halves: re.Pattern[str] | None = None
        self._longest = 0
        self._tails: dict[tuple[str, str], str] = {}
        self.hide(secrets)

    @property
    def active(self) -> bool:
        """Is there anything to mask at all?"""
        return self._any is not None

    def hide(self, secrets: Iterable[str]) -> None:
        """Know these as well; in the spellings of a shell, of Python and of JSON too, and line by line."""
        for secret in secrets:
            if secret and secret != MASK:
                lines = [line for line in secret.splitlines() if len(line.strip()) >= _LEAST_LINE]
                for word in (secret, *lines):
                    self._words |= _spellings(word)
        if not self._words:
            return
        ordered = sorted(self._words, key=len, reverse=True)  # what begins like another is tried before it
        self._any = re.compile("|".join(map(re.escape, ordered)))
        long = [word for word in ordered if len(word) >= _LEAST_HALVES and "\n" not in word]
        self._halves = re.compile("|".join(map(re.escape, long))) if long else None
        self._longest = len(long[0]) if long else 0

    def text(self, text: str) -> str:
        """`text` without secrets."""
        return self._any.sub(MASK, text) if self._any is not None else text

    def pieces(self, channel: tuple[str, str], texts: Sequence[str]) -> list[str]:
        """Lines of a console. The first may go on with an unfinished line of which the begin was written."""
        if self._any is None:
            return list(texts)
        out = [self.text(text) for text in texts]
        if self._halves is not None and texts:
            begun = self._tails.get(channel, "")
            for found in self._halves.finditer(begun + texts[0]) if begun else ():
                if found.start() < len(begun) < found.end():
                    out[0] = MASK + self.text(texts[0][found.end() - len(begun) :])
            last = texts[-1] if len(texts) > 1 else begun + texts[0]
            self._tails[channel] = last[1 - self._longest :]
        return out

    def message(self, level: str, value: Any) -> Any:
        """`msg` of a record: everything inside maps and lists, but for the words of the format itself."""
        return self._any_value(value, _WORDS.get(level, frozenset()))

    def _any_value(self, value: Any, kept: frozenset[str]) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {
                self.text(key) if isinstance(key, str) else key: self._under(key, inner, kept)
                for key, inner in value.items()
            }
        if isinstance(value, list | tuple):
            return [self._any_value(inner, kept) for inner in value]
        return value

    def _under(self, key: object, value: Any, kept: frozenset[str]) -> Any:
        if key in kept and isinstance(value, str):
            return value
        return self._any_value(value, frozenset() if key == "extra" else kept)


def _spellings(word: str) -> set[str]:
    try:
        escaped = msgspec.json.encode(word).decode()[1:-1]
    except UnicodeEncodeError:  # half a surrogate pair
        escaped = word
    return {word, shlex.quote(word), repr(word)[1:-1], escaped}
