# SPDX-License-Identifier: Apache-2.0
"""Relative file URLs of a job (`file:images/rootfs.ext4`) become absolute by the place of the job file (ADR
0007).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from executor.model.problem import Path as Place
from executor.schema.loader import load_yaml

_PREFIX = "file:"


def absolute_urls(text: str, base: Path) -> str:
    """The job's text with each relative `file:` URL made absolute; all else stays byte for byte.

    `base` is the directory of the job file. Text that is no YAML comes back as it is: the parser tells what
    is wrong.
    """
    if _PREFIX not in text:
        return text
    document = load_yaml(text, "")
    lines = text.split("\n")
    for place, url in _strings(document.data, ("actions",)):
        if not _relative(url):
            continue
        line, column = document.mark(place)
        start, rest = lines[line - 1][: column - 1], lines[line - 1][column - 1 :]
        if url in rest:
            lines[line - 1] = start + rest.replace(url, _absolute(url, base), 1)
    return "\n".join(lines)


def _relative(url: str) -> bool:
    return url.startswith(_PREFIX) and len(url) > len(_PREFIX) and url[len(_PREFIX)] != "/" and " " not in url


def _absolute(url: str, base: Path) -> str:
    return (base.resolve() / url[len(_PREFIX) :]).resolve().as_uri()


def _strings(data: Any, only: Place) -> Iterator[tuple[Place, str]]:
    """Every text below the top-level keys in `only`, with its place; without recursion."""
    if not isinstance(data, dict):
        return
    todo: list[tuple[Place, Any]] = [((key,), data[key]) for key in only if key in data]
    while todo:
        place, value = todo.pop()
        if isinstance(value, str):
            yield place, value
        elif isinstance(value, dict):
            todo += [((*place, key), inner) for key, inner in value.items()]
        elif isinstance(value, list):
            todo += [((*place, n), inner) for n, inner in enumerate(value)]
