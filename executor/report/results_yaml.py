# SPDX-License-Identifier: Apache-2.0
"""Results as a YAML list of case maps, written item by item (spec: results-and-logs §5)."""

from __future__ import annotations

from collections.abc import Iterator

from executor.report.export import case_maps, suite_maps
from executor.report.logs_yaml import quote, scalar
from executor.report.summary import Summary


def results_yaml(
    summary: Summary, *, suite: str = "", limit: int | None = None, offset: int = 0
) -> Iterator[str]:
    """Pieces of the document: one item a case; `[]` when there is none."""
    written = False
    for item in case_maps(summary, suite=suite, limit=limit, offset=offset):
        written = True
        yield _item(item)
    if not written:
        yield "[]\n"


def suites_yaml(summary: Summary) -> Iterator[str]:
    """The summary form: name, job and id of each suite."""
    items = suite_maps(summary)
    yield "".join(_item(dict(item)) for item in items) or "[]\n"


def _item(item: dict[str, object]) -> str:
    """`- key: "value"` lines; a map stands in flow style, so that each key is one line."""
    lines: list[str] = []
    for key, value in item.items():
        lead = "- " if not lines else "  "
        lines.append(f"{lead}{key}: {quote(value) if isinstance(value, str) else scalar(value)}\n")
    return "".join(lines)
