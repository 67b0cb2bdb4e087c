# SPDX-License-Identifier: Apache-2.0
"""YAML, CSV, JUnit, TAP and JSON of the same job (spec: results-and-logs §5)."""

from __future__ import annotations

import csv
import io
import json
import xml.etree.ElementTree as ET

import pytest
import yaml

from executor.report.csv import results_csv
from executor.report.json import results_json
from executor.report.junit import results_junit
from executor.report.results_yaml import results_yaml, suites_yaml
from executor.report.summarize import summarize
from executor.report.summary import Summary
from executor.report.tap import results_tap
from executor.testing.book import Book

YAML_KEYS = [
    "job", "suite", "result", "measurement", "unit", "logged", "level", "metadata", "url", "name", "id",
    "log_start_line", "log_end_line",
]  # fmt: skip


@pytest.fixture
def summary(failing_job: Book) -> Summary:
    return summarize(io.BytesIO(failing_job.data), excerpts=True)


def test_yaml_has_the_map_of_each_case(summary: Summary) -> None:
    loaded = yaml.safe_load("".join(results_yaml(summary)))
    assert [item["name"] for item in loaded] == [case.name for case in summary.cases]
    assert all(list(item) == YAML_KEYS for item in loaded)
    assert all(type(v) is str for item in loaded for k, v in item.items() if k != "metadata")
    disk = next(item for item in loaded if item["name"] == "disk")
    assert disk == {
        "job": "42",
        "suite": "0_smoke",
        "result": "fail",
        "measurement": "None",
        "unit": "",
        "logged": summary.tests[0].dt,
        "level": "",
        "metadata": {"definition": "0_smoke", "case": "disk", "result": "fail", "starttc": 10, "endtc": 12},
        "url": "/results/42/0_smoke/disk",
        "name": "disk",
        "id": str(summary.tests[0].seq),
        "log_start_line": "10",
        "log_end_line": "12",
    }


def test_extra_becomes_a_list_of_maps_with_one_key(summary: Summary) -> None:
    loaded = yaml.safe_load("".join(results_yaml(summary)))
    retry = next(item for item in loaded if item["name"] == "boot-retry")
    assert retry["metadata"]["extra"] == [{"a": 1}, {"b": "x"}]
    assert (retry["measurement"], retry["unit"], retry["level"]) == ("3.25", "seconds", "1")


def test_yaml_of_a_suite_with_limit_and_offset(summary: Summary) -> None:
    loaded = yaml.safe_load("".join(results_yaml(summary, suite="0_smoke", limit=2, offset=1)))
    assert [item["name"] for item in loaded] == ["speed", "lost"]
    assert yaml.safe_load("".join(results_yaml(summary, suite="none"))) == []
    assert yaml.safe_load("".join(results_yaml(summary, limit=0))) == []


def test_yaml_of_the_suites(summary: Summary) -> None:
    assert yaml.safe_load("".join(suites_yaml(summary))) == [
        {"name": "lava", "job": "42", "id": "1"},
        {"name": "0_smoke", "job": "42", "id": "2"},
    ]
    assert yaml.safe_load("".join(suites_yaml(Summary()))) == []


def test_addresses_are_quoted_in_urls(summary: Summary) -> None:
    text = "".join(results_yaml(summary))
    assert "/results/42/0_smoke/io/speed" in text
    assert "/results/42/0_smoke/later%20%231" in text


def test_csv_has_all_columns_and_quotes_every_field(summary: Summary) -> None:
    text = "".join(results_csv(summary))
    head = text.splitlines()[0]
    assert head == (
        '"job","suite","result","measurement","unit","duration","timeout","logged","level","metadata",'
        '"url","name","id","log_start_line","log_end_line"'
    )
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["name"] for row in rows] == [case.name for case in summary.cases]
    assert {row["duration"] + row["timeout"] for row in rows} == {""}
    assert json.loads(rows[-2]["metadata"])["commit_id"] == "abc"
    minimal = "".join(results_csv(summary, minimal=True))
    assert minimal.startswith("job,suite,")
    assert list(csv.DictReader(io.StringIO(minimal))) == rows


def test_junit_is_xml_with_a_suite_a_suite(summary: Summary) -> None:
    root = ET.fromstring("".join(results_junit(summary, prefix="lab")))  # noqa: S314 - our own text
    assert root.tag == "testsuites"
    assert [suite.get("name") for suite in root] == ["lava", "0_smoke"]
    assert root.get("tests") == "8"
    smoke = root[1]
    assert {k: smoke.get(k) for k in ("tests", "failures", "errors", "skipped")} == {
        "tests": "4",
        "failures": "1",
        "errors": "0",
        "skipped": "1",
    }
    kinds = {case.get("name"): [child.tag for child in case] for case in smoke}
    assert kinds == {"disk": ["failure"], "speed": [], "lost": [], "later #1": ["skipped"]}
    disk = smoke[0]
    assert disk.get("classname") == "lab_0_smoke"
    assert disk[0].get("message") == "failed"
    assert disk[0].text == summary.tests[0].excerpt
    retry = next(case for case in root[0] if case.get("name") == "boot-retry")
    assert retry.get("time") == "3.25"


def test_junit_of_a_hostile_log() -> None:
    book = Book()
    start = book.target("\x1b[31m ]]> <!-- & \x00 \ufffe \ud7ff")
    book.result('s"<&>', 'n"<\n&>', "fail", starttc=start, endtc=start)
    text = "".join(results_junit(summarize(io.BytesIO(book.data), excerpts=True)))
    case = ET.fromstring(text)[0][0]  # noqa: S314
    assert (case.get("classname"), case.get("name")) == ('s"<&>', 'n"<_&>')
    assert case[0].text == "?[31m ]]> <!-- & ? ? \ud7ff"


def test_tap(summary: Summary) -> None:
    text = "".join(results_tap(summary, suite="0_smoke"))
    assert text == (
        "TAP version 13\n"
        "1..4\n"
        "# suite 0_smoke\n"
        "not ok 1 - disk\n"
        "  ---\n"
        "  log: |2-\n"
        "    <LAVA_SIGNAL_STARTTC disk>\n"
        "    I/O error & more <bad>\n"
        "    <LAVA_SIGNAL_ENDTC disk>\n"
        "  ...\n"
        "ok 2 - speed\n"
        "not ok 3 - lost # TODO the result is not known\n"
        "ok 4 - later \\#1 # SKIP\n"
    )
    block = text.split("  ---\n")[1].split("  ...\n")[0]
    assert yaml.safe_load(block) == {"log": summary.tests[0].excerpt}


def test_tap_plan_counts_all_suites(summary: Summary) -> None:
    lines = "".join(results_tap(summary)).splitlines()
    assert lines[1] == "1..8"
    assert sum(line.startswith(("ok ", "not ok ")) for line in lines) == 8


def test_tap_block_of_a_log_with_leading_blanks_is_yaml() -> None:
    book = Book()
    start = book.target("   indented \x1b[0m")
    book.target("")
    end = book.target("  --- ")
    book.result("0_x", "a", "fail", starttc=start, endtc=end)
    text = "".join(results_tap(summarize(io.BytesIO(book.data), excerpts=True)))
    block = text.split("  ---\n", 1)[1].split("  ...\n")[0]
    assert yaml.safe_load(block) == {"log": "   indented ?[0m\n\n  --- "}


def test_json_tells_everything(summary: Summary) -> None:
    data = json.loads(results_json(summary))
    assert (data["job"], data["health"], data["exit_code"], data["seconds"]) == ("42", "Complete", 1, 61.5)
    assert data["counts"] == {"fail": 1, "pass": 1, "unknown": 1, "skip": 1}
    assert [suite["name"] for suite in data["suites"]] == ["lava", "0_smoke"]
    assert data["suites"][1]["cases"][1]["measurement"] == 1.5
    assert data["cause"]["log_line"] == 10
    assert data["actions"][0]["actions"][0]["error_msg"] == "no prompt"
    assert data["warnings"] == ["definition 1_more did not run"]


def test_json_of_a_job_that_did_not_end(panicked_job: Book) -> None:
    del panicked_job.records[-1]
    data = json.loads(results_json(summarize(io.BytesIO(panicked_job.data))))
    assert (data["health"], data["exit_code"], data["ended"]) == ("Unknown", None, None)
    assert data["actions"][0]["seconds"] is None
