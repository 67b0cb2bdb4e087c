# SPDX-License-Identifier: Apache-2.0
"""The page as text; what a browser makes of it is in tests/integration/test_page.py."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.model import journal
from executor.report.page import MAX_CASES, PageBuilder
from executor.report.page.timeline import MAX_ROWS, timeline
from executor.report.summarize import summarize
from executor.testing.book import Book
from tests.integration import pagejobs

VOID = {"meta", "link", "input", "br", "img"}


class Page(HTMLParser):
    """Elements, ids and links; a tag that is not closed in order is an error."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.names: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.outside: list[str] = []
        self.stack: list[str] = []
        self.feed(text)
        self.close()
        assert self.stack == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.names.append(tag)
        if tag not in VOID and tag != "rect":
            self.stack.append(tag)
        if "id" in given:
            self.ids.append(given["id"] or "")
        if tag == "a":
            self.links.append(given.get("href") or "")
        self.outside += [
            name for name, _ in attrs if name in ("src", "srcset", "action", "style") or name[:2] == "on"
        ]

    def handle_endtag(self, tag: str) -> None:
        if tag != "rect":
            assert self.stack.pop() == tag


def text_of(book: Book) -> str:
    builder = PageBuilder()
    builder.add(book.records)
    return "".join(builder.page(summarize(io.BytesIO(book.data))))


@pytest.fixture(scope="module")
def panicked() -> str:
    return text_of(pagejobs.panicked())


def test_it_is_well_formed_and_every_link_leads_somewhere(panicked: str, failing_job: Book) -> None:
    for text in (panicked, text_of(failing_job), text_of(Book()), text_of(pagejobs.half_passed(cases=9))):
        page = Page(text)
        assert len(page.ids) == len(set(page.ids))
        assert [link for link in page.links if link[1:] not in page.ids] == []
        assert all(link.startswith("#") for link in page.links)


def test_nothing_is_fetched_and_only_its_own_script_may_run(panicked: str) -> None:
    page = Page(panicked)
    assert page.outside == []
    assert not {"img", "iframe", "object", "base", "form"} & set(page.names)
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', panicked)
    assert policy is not None
    for tag in ("script", "style"):
        (inner,) = re.findall(f"<{tag}>(.*?)</{tag}>", panicked, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inner.encode()).digest()).decode()
        assert f"{tag}-src &#39;sha256-{digest}&#39;" in policy[1]
    assert "default-src &#39;none&#39;" in policy[1]


def test_the_cause_comes_first(panicked: str) -> None:
    at = panicked.index('id="cause"')
    assert pagejobs.PANIC in panicked[at : at + 200]
    assert "For the test writer" in panicked[at - 200 : at]
    assert "attempt 2 of 2" in panicked[at : at + 500]
    assert at < panicked.index('id="results"') < panicked.index('id="timeline"') < panicked.index('id="log"')


def test_hostile_text_stays_text() -> None:
    text = text_of(pagejobs.panicked(hostile=pagejobs.HOSTILE))
    page = Page(text)
    assert page.names.count("script") == 1
    assert "img" not in page.names
    assert page.outside == []
    assert "window.hacked = 1</script>" not in text
    assert "\u202e" not in text, "nor can it turn the direction of what is read"
    assert "\x1b" not in text
    assert r"\x1b[31mred\x07" in text


@given(st.text(), st.text())
def test_no_text_whatsoever_changes_the_page(line: str, name: str) -> None:
    def of(line: str, name: str) -> list[str]:
        book = Book()
        book.add(journal.HEADER, {"job_id": name, "job_name": name, "metadata": {name: line}})
        book.start("1", "step")
        book.target(line)
        book.result("0_" + name, "a" + line, "fail", units=line, measurement=1)
        book.finish("1", "step", "fail", error_msg=line)
        page = Page(text_of(book))
        assert page.outside == []
        return page.names

    assert of("a" + line, "a" + name) == of("plain", "x")


def test_a_job_that_still_runs_has_a_page() -> None:
    book = pagejobs.panicked()
    del book.records[-4:]
    text = text_of(book)
    Page(text)
    assert "Not ended" in text
    assert "The last error so far" in text
    assert 'class="a running"' in text


def test_the_part_of_a_failed_case_stands_with_the_cause() -> None:
    text = text_of(pagejobs.half_passed(cases=12))
    excerpt = text[text.index('class="log excerpt"') : text.index("<nav")]
    assert "output of case 3" in excerpt
    assert "case-2" not in excerpt
    assert "case-4" not in excerpt


def test_a_long_log_gives_a_page_of_bounded_size() -> None:
    small, large = (len(text_of(pagejobs.panicked(noise=noise))) for noise in (2_000, 20_000))
    assert large < small + 1_000


def test_many_cases_keep_those_that_did_not_pass() -> None:
    book = pagejobs.half_passed(cases=MAX_CASES)
    for number in range(20):
        book.result("0_late", f"late-{number}", "fail")
    text = text_of(book)
    assert text.count("<tr data-result=") == MAX_CASES + 1  # and the record of the executor
    assert text.count('<tr data-result="fail"') == 21
    assert "20 more test cases have no row here" in text


def test_the_timeline_has_the_long_the_failed_and_the_top_actions() -> None:
    book = Book()
    book.start("1", "top")
    for number in range(1, 400):
        book.start(f"1.{number}", "child")
        book.finish(f"1.{number}", "child", "fail" if number == 200 else "pass")
    book.finish("1", "top")
    rows, more = timeline(summarize(io.BytesIO(book.data)))
    assert [(row.node.level, row.result) for row in rows] == [("1", "pass"), ("1.200", "fail")]
    assert more == 0
    assert rows[0].left == pytest.approx(0.06, abs=0.1)
    for number in range(2, 300):
        book.start(str(number), "top")
        book.finish(str(number), "top")
    rows, more = timeline(summarize(io.BytesIO(book.data)))
    assert len(rows) == MAX_ROWS
    assert more == 300 - MAX_ROWS
    assert any(row.node.level == "1.200" for row in rows)


def test_the_page_is_a_function_of_the_journal(panicked: str) -> None:
    assert text_of(pagejobs.panicked()) == panicked


def test_secrets_are_masked_where_the_journal_has_them_masked() -> None:
    book = Book()
    book.add(journal.HEADER, {"job_id": "1", "pipeline_job": "secrets: {a: '[MASKED]'}"})
    assert "secrets: {a: &#x27;[MASKED]&#x27;}" in text_of(book)
