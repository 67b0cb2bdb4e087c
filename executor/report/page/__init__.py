# SPDX-License-Identifier: Apache-2.0
"""One job as one HTML page that needs nothing else: no server, no network, no other file.

The page is made of the Summary and the PageLog of a journal, so it is a pure function of the journal and its
size is bounded. It carries a policy by which a browser runs its own script and style only: even a text that
slipped through the escaping could do nothing.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

from executor.model.journal import Record
from executor.report.page.lines import LogHtml, block_id, escaped
from executor.report.page.log import PageLog
from executor.report.page.timeline import timeline, total_seconds
from executor.report.style import duration, printable, quantity
from executor.report.summary import Case, Summary

if TYPE_CHECKING:
    from jinja2 import Template

MAX_CASES = 3_000  # rows of the table of results; those that did not pass come first
_EXCERPT = 8  # lines of the log shown with the cause
_FOLDER = Path(__file__).parent


class PageBuilder:
    """Takes the records as they come, beside a SummaryBuilder; then `page` has all of the log."""

    def __init__(self) -> None:
        self.log = PageLog()

    def add(self, batch: Iterable[Record]) -> None:
        """The next records, in order."""
        self.log.add(batch)

    def page(self, summary: Summary) -> Iterator[str]:
        """The page in pieces."""
        self.log.close()
        return job_page(summary, self.log)


def job_page(summary: Summary, log: PageLog) -> Iterator[str]:
    """The page in pieces. `log` is closed."""
    cause = summary.cause()
    at = cause.line if cause is not None else -1
    html = LogHtml(log, begin=summary.first_dt, job=summary.header.job_id, open_at=at)
    rows, more = timeline(summary)
    cases, hidden = _listed(summary.tests)
    yield from _template().generate(
        summary=summary,
        header=summary.header,
        end=summary.end,
        cause=cause,
        verdict=_verdict(summary),
        excerpt=[_made(html.line(line, anchor=False)) for line in html.between(*_excerpt(summary, at))],
        suites=_by_suite(cases),
        hidden=hidden,
        repeated=summary.repeated,
        own=[case for case in summary.cases if case.suite == "lava"][:MAX_CASES],
        rows=rows,
        more_rows=more,
        total=total_seconds(summary),
        log=map(_made, html.pieces()),
        place=html.place,
        block_id=block_id,
        style=_made(_asset("page.css")),
        script=_made(_asset("page.js")),
        policy=_policy(),
    )


def _made(html: str) -> Markup:
    """HTML that was made here, every text in it escaped."""
    return Markup(html)  # noqa: S704


def _excerpt(summary: Summary, at: int) -> tuple[int, int]:
    """First and last line of the log that stand with the cause: what led to an error, or what a test said."""
    end = summary.end
    if end is None or end.error_type or end.error_msg:
        return at - _EXCERPT, at
    bad = next((case for case in summary.tests if case.result in ("fail", "unknown")), None)
    last = bad.end_line if bad is not None and bad.end_line >= at else at
    return at, min(last, at + _EXCERPT)


def _verdict(summary: Summary) -> tuple[str, str]:
    """(class, word)"""
    end = summary.end
    if end is None:
        return "running", "Not ended"
    return ("pass" if end.exit_code == 0 else "warn" if end.exit_code == 1 else "fail"), end.health


def _listed(cases: list[Case]) -> tuple[list[Case], int]:
    """The cases that have a row, and how many passed ones have none."""
    if len(cases) <= MAX_CASES:
        return cases, 0
    room = MAX_CASES - sum(case.result != "pass" for case in cases)
    kept = []
    for case in cases:
        if case.result == "pass":
            room -= 1
        if case.result != "pass" or room >= 0:
            kept.append(case)
    return kept[:MAX_CASES], len(cases) - min(len(kept), MAX_CASES)


def _by_suite(cases: list[Case]) -> dict[str, list[Case]]:
    suites: dict[str, list[Case]] = {}
    for case in cases:
        suites.setdefault(case.suite, []).append(case)
    return suites


@cache
def _template() -> Template:
    import jinja2  # only when a page is made: to import it takes longer than a short command

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "duration": duration,
        "quantity": quantity,
        "shown": lambda value: _made(escaped(str(value))),
        "visible": printable,
    }
    return environment.get_template("job.html")


@cache
def _asset(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8").strip()


def _policy() -> str:
    """What a browser may do with the page: run and apply what is in it as it was made, fetch nothing."""
    style, script = (_hash(_asset(name)) for name in ("page.css", "page.js"))
    return (
        f"default-src 'none'; style-src {style}; script-src {script}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
