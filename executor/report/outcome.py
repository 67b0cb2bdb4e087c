# SPDX-License-Identifier: Apache-2.0
"""The end of a job for people: table of results, what did not run, and the one line that says why."""

from __future__ import annotations

from executor.report.style import Style, duration, printable, quantity, table
from executor.report.summary import Case, Summary
from executor.report.terminal import result_line

MANY = 100  # with more cases only those that did not pass are listed


def outcome(summary: Summary, style: Style, *, every: bool = False) -> str:
    """Table, verdict, cause. `every` lists all cases however many, and those of suite `lava`."""
    return results_table(summary, style, every=every) + verdict(summary, style)


def results_table(summary: Summary, style: Style, *, every: bool = False, suite: str = "") -> str:
    """One row a case; attempts that were repeated say which one they are."""
    cases = [c for c in (summary.cases if every else summary.tests) if not suite or c.suite == suite]
    hidden = 0
    if len(cases) > MANY and not every and not suite:
        hidden = sum(case.result == "pass" for case in cases)
        cases = [case for case in cases if case.result != "pass"]
    repeated = summary.repeated
    rows = [_row(case, style, numbered=case.address in repeated) for case in cases]
    text = table(rows, style=style) if cases else ""
    if hidden:
        text += style.paint(f"and {hidden} passed\n", "dim")
    return text


def verdict(summary: Summary, style: Style) -> str:
    """`Complete: 8 passed, 1 failed in 42 s`, then the cause and what to do."""
    end = summary.end
    counts = ", ".join(
        result_line(style, result, summary.counts[result])
        for result in ("pass", "fail", "unknown", "skip")
        if summary.counts.get(result)
    )
    if end is None:
        text = style.paint("The journal has no end: the job still runs, or its runner died.", "warn")
    else:
        good = end.exit_code == 0
        health = style.paint(end.health, "green" if good else "yellow" if end.exit_code == 1 else "error")
        text = f"{health}: {counts or 'no test cases'} in {duration(end.seconds)}"
    lines = [text]
    if end is not None and summary.unseen_definitions:
        names = ", ".join(summary.unseen_definitions)
        lines.append(style.paint(f"Fewer definitions ran than were submitted; missing: {names}", "warn"))
    if summary.missing or summary.bad:
        lines.append(
            style.paint(f"{summary.missing + summary.bad} records of the journal are missing", "warn")
        )
    cause = summary.cause()
    if cause is not None:
        colour = "red" if end is not None else "yellow"
        lines.append(style.paint(printable(cause.sentence()), colour))
        if cause.hint:
            lines.append(f"hint: {printable(cause.hint)}")
    return "\n".join(lines) + "\n"


def _row(case: Case, style: Style, *, numbered: bool) -> list[str]:
    value = "" if case.measurement is None else quantity(case.measurement, case.units)
    attempt = f"attempt {case.attempt}" if case.attempt > 1 or (numbered and case.attempt) else ""
    notes = "  ".join(part for part in (printable(value), attempt) if part)
    return [style.mark(case.result), printable(case.address), style.result(case.result), notes]
