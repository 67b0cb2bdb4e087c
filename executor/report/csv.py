# SPDX-License-Identifier: Apache-2.0
"""Results as CSV: a header line, then one line a case (spec: results-and-logs §5)."""

from __future__ import annotations

import csv
from collections.abc import Iterator

import msgspec

from executor.report.export import COLUMNS, case_maps
from executor.report.summary import Summary


def results_csv(summary: Summary, *, suite: str = "", minimal: bool = False) -> Iterator[str]:
    """Lines of the table. All fields are quoted, or with `minimal` only those that need it."""
    line = _Line()
    writer = csv.DictWriter(
        line,
        COLUMNS,
        restval="",
        lineterminator="\n",
        quoting=csv.QUOTE_MINIMAL if minimal else csv.QUOTE_ALL,
    )
    writer.writeheader()
    yield line.text
    for item in case_maps(summary, suite=suite):
        writer.writerow({**item, "metadata": msgspec.json.encode(item["metadata"]).decode()})
        yield line.text


class _Line:
    """The file that csv writes to: holds the line just written."""

    text = ""

    def write(self, text: str) -> None:
        self.text = text
