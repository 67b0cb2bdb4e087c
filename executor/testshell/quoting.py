# SPDX-License-Identifier: Apache-2.0
"""Quoting for the scripts that are made for the device (spec: test-shell §3)."""

from __future__ import annotations

import re
import shlex

_INNER = re.compile(r"(?<!\S)--(?:shell|cmd)(?!\S)")
_POSITIONAL = re.compile(r"\$(?=[0-9])")
_ACTIVE = re.compile(r"[$`]")
_ENDS_COMMAND = frozenset(";|&<>()\n")


def word(text: str) -> str:
    """One word for the shell. Variables and command substitution stay active, definitions use them."""
    if not _ACTIVE.search(text):
        return shlex.quote(text)
    return '"' + re.sub(r'([\\"])', r"\\\1", text) + '"'


def words(text: str) -> str:
    """As `word`, but blanks separate."""
    return text if _ACTIVE.search(text) else " ".join(shlex.quote(part) for part in text.split())


def escape_positional(step: str) -> str:
    """`$1` in a step with --shell or --cmd belongs to the command inside, not to the script.

    It is escaped wherever the script's shell would replace it. Between single quotes it would not; there it
    is escaped only when the quoted text is the whole command line, which a second shell then reads.
    """
    inner = _INNER.search(step)
    if inner is None:
        return step
    out = []
    position = 0
    for start, end, quote in _quoted(step):
        out.append(_escaped(step[position:start]))
        piece = step[start:end]
        if quote != "'" or _is_whole_command(step, inner.end(), start, end):
            piece = _escaped(piece)
        out.append(piece)
        position = end
    out.append(_escaped(step[position:]))
    return "".join(out)


def _escaped(text: str) -> str:
    return _POSITIONAL.sub(
        lambda match: "$" if _backslashes(match.string, match.start()) % 2 else "\\$", text
    )


def _backslashes(text: str, end: int) -> int:
    """How many stand directly before `end`."""
    return end - len(text[:end].rstrip("\\"))


def _quoted(text: str) -> list[tuple[int, int, str]]:
    """(start, end, quote) of the quoted parts, quotes included; an open quote goes to the end."""
    found = []
    at = 0
    while at < len(text):
        character = text[at]
        if character == "\\":
            at += 2
        elif character == "'":
            end = text.find("'", at + 1)
            end = len(text) if end < 0 else end + 1
            found.append((at, end, "'"))
            at = end
        elif character == '"':
            end = at + 1
            while end < len(text) and text[end] != '"':
                end += 2 if text[end] == "\\" else 1
            end = min(end + 1, len(text))
            found.append((at, end, '"'))
            at = end
        else:
            at += 1
    return found


def _is_whole_command(step: str, after: int, start: int, end: int) -> bool:
    """Is the quoted part all that follows --shell in this command?"""
    if step[after:start].strip(" \t"):
        return False
    rest = step[end:].lstrip(" \t")
    return not rest or rest[0] in _ENDS_COMMAND
