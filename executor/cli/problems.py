# SPDX-License-Identifier: Apache-2.0
"""Problems as a compiler would show them: place, what is wrong, the line itself with a caret."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from executor.report.style import printable

if TYPE_CHECKING:
    from executor.cli.app import App
    from executor.model.problem import Problem
    from executor.report.style import Style

_MAX_LINE = 200


def show_problems(problems: Iterable[Problem], app: App, sources: Mapping[str, str]) -> None:
    """All of them on stderr. `sources`: text of each file by its name in the problems."""
    for problem in problems:
        print(as_text(problem, app.err, sources.get(problem.file, "")), file=sys.stderr)


def as_text(problem: Problem, style: Style, source: str = "") -> str:
    """`job.yaml:12:7: error: actions[0].deploy.images: unknown key 'imges' (did you mean 'images'?)`."""
    from executor.model.problem import dotted

    place = printable(problem.file)
    if problem.line:
        place += f":{problem.line}" + (f":{problem.column}" if problem.column else "")
    word = style.paint(f"{problem.severity}:", "error" if problem.severity == "error" else "warn")
    path = _lines(problem.action or dotted(problem.path))
    message = _lines(problem.message) + (f" (did you mean {_lines(problem.near)!r}?)" if problem.near else "")
    head = f"{word} {path}: {message}" if path else f"{word} {message}"
    lines = [f"{style.paint(f'{place}:', 'bold')} {head}" if place else head]
    lines += _excerpt(problem, style, source)
    if problem.expected:
        lines.append(f"  expected: {_lines(problem.expected)}")
    if problem.hint:
        lines.append(f"  hint: {_lines(problem.hint)}")
    return "\n".join(lines)


def as_data(problem: Problem) -> dict[str, Any]:
    """For programs; keys that say nothing are left out, but for `error_type` and `message`."""
    from executor.model.problem import dotted

    known = {
        "severity": problem.severity,
        "path": dotted(problem.path),
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "expected": problem.expected,
        "did_you_mean": problem.near,
        "action": problem.action,
        "hint": problem.hint,
    }
    found = {key: value for key, value in known.items() if value}
    return {"error_type": problem.error_type, "message": problem.message, **found}


def _lines(text: str) -> str:
    """What input can bring along must not reach the terminal; line ends of our own messages may."""
    return "\n".join(map(printable, text.split("\n")))


def _excerpt(problem: Problem, style: Style, source: str) -> list[str]:
    """The line at fault with its number, and a caret below the column."""
    rows = source.split("\n") if source else []
    if not 0 < problem.line <= len(rows):
        return []
    text = rows[problem.line - 1].rstrip("\r").replace("\t", " ")[:_MAX_LINE]
    number = f"{problem.line:5d}"
    out = [style.paint(f"{number} | ", "dim") + printable(text)]
    if 0 < problem.column <= len(text) + 1:
        rest = text[problem.column - 1 :]
        word = rest.split(":")[0].split(" #")[0].rstrip() or rest.rstrip()
        caret = "^" + "~" * (len(word) - 1)
        blank = style.paint(f"{' ' * len(number)} | ", "dim") + " " * (problem.column - 1)
        out.append(blank + style.paint(caret, "error" if problem.severity == "error" else "warn"))
    return out
