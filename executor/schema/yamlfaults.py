# SPDX-License-Identifier: Apache-2.0
"""What libyaml objects to, as a Problem that says where it is and what most likely helps."""

from __future__ import annotations

import re
from typing import Any

import yaml

from executor.model.problem import Problem

_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


def fault_at(mark: Any, message: str, filename: str, *, hint: str = "", severity: str = "error") -> Problem:
    line, column = (0, 0) if mark is None else (mark.line + 1, mark.column + 1)
    return Problem(message, file=filename, line=line, column=column, hint=hint, severity=severity)


def syntax_fault(error: yaml.MarkedYAMLError, text: str, filename: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line, mark.column) if mark is not None else (0, 0)
    lines = text.splitlines()
    if lines and line >= len(lines):
        line, column = len(lines) - 1, len(lines[-1])
    offending = lines[line] if lines else ""
    what = str(error.problem or error.context or "it cannot be parsed")
    return Problem(
        f"not valid YAML: {what}, in the line {cut(offending.strip())!r}",
        file=filename,
        line=line + 1,
        column=column + 1,
        hint=_advice(what, offending, error, line),
    )


def _advice(what: str, offending: str, error: yaml.MarkedYAMLError, line: int) -> str:
    if "\t" in offending[: len(offending) - len(offending.lstrip())] or "'\\t'" in what:
        return "the line is indented with a tab; YAML wants spaces"
    if "mapping values are not allowed" in what:
        return "put text that contains ': ' in quotes, or mend the indentation of this line or the one above"
    if "cannot start any token" in what:
        return "text that begins with % @ or ` must stand in quotes"
    if "while scanning an alias" in str(error.context):
        return "text that begins with * must stand in quotes"
    if "while scanning a quoted scalar" in str(error.context) or "end of stream" in what:
        start = error.context_mark.line + 1 if error.context_mark is not None else line + 1
        return f"a quote or a bracket that opens in line {start} is never closed"
    if "expected <block end>" in what or "did not find expected" in what:
        start = error.context_mark.line + 1 if error.context_mark is not None else line + 1
        return f"the indentation does not fit the block that begins in line {start}"
    return ""


def bad_character(error: Exception, text: str, filename: str) -> Problem:
    """A character that no YAML file may hold; libyaml names the byte, we find the line."""
    for number, content in enumerate(text.split("\n"), 1):
        for column, char in enumerate(content, 1):
            if _FORBIDDEN.match(char):
                return Problem(
                    f"not valid YAML: the character {char!r} is not allowed",
                    file=filename,
                    line=number,
                    column=column,
                    hint="is this a text file?",
                )
    return Problem(f"not valid YAML: {error}", file=filename, line=1, column=1)


def cut(text: str, limit: int = 100) -> str:
    return text if len(text) <= limit else text[: limit - 3] + "..."
