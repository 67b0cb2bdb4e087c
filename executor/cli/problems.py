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

    place = problem.file
    if problem.line:
        place += f":{problem.line}" + (f":{problem.column}" if problem.column else "")
    word = style.paint(f"{problem.severity}:", "error" if problem.severity == "error" else "warn")
    path = problem.action or dotted(problem.path)
    near = f" (did you mean {problem.near!r}?)" if problem.near else ""
    head = [f"{place}:"] if place else []
    head += [word, f"{path}: {problem.message}{near}" if path else f"{problem.message}{near}"]
    lines = [style.paint(head[0], "bold") + " " + " ".join(head[1:]) if place else " ".join(head)]
    lines += _excerpt(problem, style, source)
    if problem.expected:
        lines.append(f"  expected: {problem.expected}")
    if problem.hint:
        lines.append(f"  hint: {problem.hint}")
    return "\n".join(printable_lines(lines, style))


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


def printable_lines(lines: Iterable[str], style: Style) -> list[str]:
    """What input can bring along must not reach the terminal; our own colours may."""
    if style.colour:
        return ["\x1b".join(printable(piece) for piece in line.split("\x1b")) for line in lines]
    return [part for line in lines for part in map(printable, line.split("\n"))]


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
