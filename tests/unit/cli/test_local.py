# SPDX-License-Identifier: Apache-2.0
"""`logs`, `results`, `show` and `jobs --local` over runs of this machine."""

from __future__ import annotations

import json
import os
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import yaml

from executor.cli.jobset import exit_code
from executor.model.journal import END, HEADER, End, Header
from executor.testing.book import Book

from .conftest import Cli

METADATA = {"branch": "next", "build": 7}


@pytest.fixture
def book() -> Book:
    book = Book()
    book.add(HEADER, Header(job_id="r1", job_name="demo", device="qemu-01", metadata=METADATA))
    book.add("info", "hello")  # log line 0
    start = book.target("<LAVA_SIGNAL_STARTTC disk>")  # 1
    book.target("broken")  # 2
    book.add("debug", "detail")  # 3
    book.result("0_smoke", "disk", "fail", starttc=start, endtc=start + 1)  # 4
    book.result("0_smoke", "boot", "pass", set="early")  # 5
    book.add(END, End("Complete", 1, cases={"pass": 1, "fail": 1}, seconds=3.0))
    return book


@pytest.fixture
def run(env: dict[str, str], book: Book) -> Path:
    """A finished run with the id r1."""
    directory = Path(env["LAVA_EXEC_STATE"]) / "run" / "r1"
    (directory / "out").mkdir(parents=True)
    (directory / "out" / "journal.ndjson").write_bytes(book.data)
    return directory


def test_a_log_by_id_directory_and_file(cli: Cli, run: Path) -> None:
    by_id = cli("logs", "r1", "--no-timestamps")
    assert by_id.exit_code == 0
    assert by_id.stdout.splitlines() == [
        "hello",
        "<LAVA_SIGNAL_STARTTC disk>",
        "broken",
        "detail",
        "✗ 0_smoke/disk fail",
        "✓ 0_smoke/early/boot pass",
    ]
    for what in (run, run / "out" / "journal.ndjson"):
        assert cli("logs", what, "--no-timestamps").stdout == by_id.stdout
    assert cli("logs", "r1", "-f", "--no-timestamps").stdout == by_id.stdout


def test_parts_of_a_log(cli: Cli, run: Path) -> None:
    def lines(*args: str) -> list[str]:
        result = cli("logs", "r1", "--no-timestamps", *args)
        assert result.exit_code == 0, result.stderr
        return result.stdout.splitlines()

    assert lines("--lines", "1-2") == ["<LAVA_SIGNAL_STARTTC disk>", "broken"]
    assert lines("--lines", "5-") == ["✓ 0_smoke/early/boot pass"]
    assert lines("--lines", "0") == ["hello"]
    assert lines("--lines", "-0") == ["hello"]
    assert lines("--level", "target") == ["<LAVA_SIGNAL_STARTTC disk>", "broken"]
    assert lines("--level", "info,debug") == ["hello", "detail"]
    assert lines("-n", "3")[0] == "✗ 0_smoke/disk fail"
    assert "detail" not in lines("-q")


@pytest.mark.parametrize(
    "args", [("--lines", "x"), ("--lines", "-"), ("--level", "loud"), ("--lines", "1-2", "-f"), ("-n", "0")]
)
def test_wrong_parts_are_wrong_usage(cli: Cli, run: Path, args: tuple[str, ...]) -> None:
    assert cli("logs", "r1", *args).exit_code == 64


def test_formats_of_a_log(cli: Cli, run: Path, book: Book) -> None:
    assert cli("logs", "r1", "--format", "json").stdout_bytes == book.data
    loaded = yaml.safe_load(cli("logs", "r1", "--format", "yaml").stdout)
    assert [item["msg"] for item in loaded[:4]] == ["hello", "<LAVA_SIGNAL_STARTTC disk>", "broken", "detail"]
    only = cli("logs", "r1", "--format", "json", "--level", "debug").stdout.splitlines()
    assert [json.loads(line)["msg"] for line in only] == ["detail"]


def test_results_for_people(cli: Cli, run: Path) -> None:
    result = cli("results", "r1")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[:2] == ["✗  0_smoke/disk        fail", "✓  0_smoke/early/boot  pass"]
    assert "Complete: 1 passed, 1 failed in 3.0 s" in result.stdout
    assert cli("results", "r1", "0_smoke", "disk").stdout == "fail\n"
    assert cli("results", "r1", "0_smoke", "early/boot").stdout == "pass\n"


def test_results_that_are_not_there(cli: Cli, run: Path) -> None:
    result = cli("results", "r1", "1_other")
    assert result.exit_code == 64
    assert "Its suites: 0_smoke" in result.stderr
    assert cli("results", "r1", "0_smoke", "none").exit_code == 64
    assert cli("results", "/nonexistent/journal").exit_code == 64


def test_results_in_every_format(cli: Cli, run: Path, tmp_path: Path) -> None:
    assert [item["name"] for item in yaml.safe_load(cli("results", "r1", "--format", "yaml").stdout)] == [
        "disk",
        "boot",
    ]
    root = ET.fromstring(cli("results", "r1", "--format", "junit", "--prefix", "lab").stdout)  # noqa: S314
    assert root[0][0].get("classname") == "lab_0_smoke"
    assert "broken" in (root[0][0][0].text or "")
    assert cli("results", "r1", "--format", "tap").stdout.startswith("TAP version 13\n1..2\n")
    assert cli("results", "r1", "--format", "csv").stdout.count("\n") == 3
    assert json.loads(cli("results", "r1", "--format", "json").stdout)["exit_code"] == 1
    out = tmp_path / "results.xml"
    assert cli("results", "r1", "--format", "junit", "-o", out).stdout == ""
    ET.fromstring(out.read_text())  # noqa: S314


def test_the_page_of_a_run(cli: Cli, run: Path, tmp_path: Path) -> None:
    out = tmp_path / "job.html"
    assert cli("results", "r1", "--format", "html", "-o", out).stdout == ""
    text = out.read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    assert "1 of 2 test cases did not pass: 0_smoke/disk" in text
    assert "broken" in text
    assert cli("results", "r1", "0_smoke", "--format", "html").exit_code == 64


def test_the_metadata_of_a_job(cli: Cli, run: Path) -> None:
    assert yaml.safe_load(cli("results", "r1", "--metadata").stdout) == METADATA
    assert json.loads(cli("results", "r1", "--metadata", "--format", "json").stdout) == METADATA
    assert cli("results", "r1", "--metadata", "--format", "csv").exit_code == 64


def test_parts_of_the_yaml_results(cli: Cli, run: Path) -> None:
    def loaded(*args: str) -> list[str]:
        return [
            item["name"] for item in yaml.safe_load(cli("results", "r1", "--format", "yaml", *args).stdout)
        ]

    assert loaded("--suites") == ["0_smoke"]
    assert loaded("--limit", "1") == ["disk"]
    assert loaded("--offset", "1") == ["boot"]
    assert cli("results", "r1", "--suites").exit_code == 64


def test_lines_of_the_fields_log_keep_the_numbers_of_the_whole(cli: Cli, run: Path) -> None:
    (only,) = yaml.safe_load(cli("logs", "r1", "--format", "yaml", "--lines", "4").stdout)
    assert (only["msg"]["starttc"], only["msg"]["endtc"]) == (1, 2)
    last = yaml.safe_load(cli("logs", "r1", "--format", "yaml", "-n", "3").stdout)
    assert "starttc" not in last[0]["msg"]


def test_runs_are_listed_and_shown(cli: Cli, run: Path) -> None:
    result = cli("jobs", "--local")
    assert result.stdout.splitlines() == [
        "id  state     device   name  results",
        "r1  Complete  qemu-01  demo  1 pass 1 fail",
    ]
    (row,) = json.loads(cli("jobs", "--local", "--format", "json").stdout)
    assert (row["id"], row["exit_code"]) == ("r1", 1)
    shown = cli("show", "r1").stdout
    assert "device  : qemu-01\n" in shown
    assert str(run) in shown
    assert json.loads(cli("show", "r1", "--format", "json").stdout)["directory"] == str(run)


def test_a_run_that_is_not_over_is_listed_as_running(cli: Cli, run: Path, book: Book) -> None:
    (run / "out" / "journal.ndjson").write_bytes(b"".join(book.data.splitlines(keepends=True)[:-1]))
    assert "r1  Running" in cli("jobs", "--local").stdout


def test_a_slow_follower_of_a_finished_run_sees_its_end(cli: Cli, run: Path) -> None:
    os.utime(run / "out" / "journal.ndjson", (0, 0))
    assert cli("logs", "r1", "--follow").exit_code == 0


@pytest.mark.parametrize(
    ("codes", "expected"),
    [([], 0), ([0], 0), ([0, 1], 1), ([1, 4], 4), ([4, 5, 1], 5), ([5, 2], 2), ([2, 3], 3), ([3, 70, 0], 70)],
)
def test_the_gravest_of_several_codes(codes: list[int], expected: int) -> None:
    assert exit_code(codes) == expected
