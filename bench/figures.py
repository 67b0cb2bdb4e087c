# SPDX-License-Identifier: Apache-2.0
"""What a benchmark hands back, and the table that people read."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

GOOD, BAD = "✓", "✗"


@dataclass(frozen=True)
class Row:
    """One line of the table. `limit` is the aim in the unit of `values`, of which the median counts."""

    topic: str
    what: str
    unit: str  # s, MB or lines/s
    values: list[float]
    aim: str  # the aim in words
    limit: float
    at_least: bool = False  # larger is better
    reference: list[float] = field(default_factory=list)
    reference_what: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def measured(self) -> float:
        """The median of all runs."""
        return statistics.median(self.values)

    @property
    def met(self) -> bool:
        """Is it as good as it should be?"""
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit

    def as_data(self) -> dict[str, Any]:
        """For programs."""
        return {
            "topic": self.topic,
            "what": self.what,
            "unit": self.unit,
            "median": self.measured,
            "values": self.values,
            "reference": {"what": self.reference_what, "values": self.reference},
            "aim": self.aim,
            "limit": self.limit,
            "met": self.met,
            "notes": self.notes,
        }


def number(value: float, unit: str) -> str:
    """A value as it stands in the table."""
    return f"{value:,.0f}" if unit == "lines/s" else f"{value:.0f}" if unit == "MB" else f"{value:.3f}"


def spread(values: Sequence[float], unit: str) -> str:
    """Median and the range of the runs."""
    middle = number(statistics.median(values), unit)
    if len(values) == 1:
        return f"{middle} {unit}"
    return f"{middle} {unit} ({number(min(values), unit)}–{number(max(values), unit)})"


def table(rows: Sequence[Row]) -> str:
    """The rows with aligned columns."""
    cells = [["what", "measured", "reference", "aim", ""]]
    for row in rows:
        reference = ""
        if row.reference:
            reference = f"{row.reference_what} {spread(row.reference, row.unit)}"
        aim = f"{row.aim} = {number(row.limit, row.unit)}" if "reference" in row.aim else row.aim
        cells.append([row.what, spread(row.values, row.unit), reference, aim, GOOD if row.met else BAD])
    widths = [max(len(line[column]) for line in cells) for column in range(5)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in cells]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(line.rstrip() for line in lines)


def notes(rows: Sequence[Row]) -> str:
    """What the rows have to say beside their figures."""
    out: list[str] = []
    for row in rows:
        if row.notes:
            out += [f"{row.what}:", *(f"  {note}" for note in row.notes)]
    return "\n".join(out)
