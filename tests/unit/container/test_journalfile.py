# SPDX-License-Identifier: Apache-2.0
"""Reading a journal that grows, and ending one whose writer is dead."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from executor.container.beneath import disk_usage, open_beneath, plain_files
from executor.container.journalfile import count, read_journal, read_tail, seal
from executor.model import journal
from executor.model.journal import End, Header, Record

NOW = "2030-01-01T00:00:00.000000+00:00"


def lines(*messages: Any, level: str = journal.TARGET, first: int = 0) -> bytes:
    return journal.encode([Record(first + n, NOW, level, m) for n, m in enumerate(messages)])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.ndjson"


def test_only_complete_lines_are_read(path: Path) -> None:
    whole = lines("a", "b")
    path.write_bytes(whole + b'{"seq":2,')
    assert read_journal(path, 0) == whole
    assert read_journal(path, len(whole)) == b""
    assert read_journal(path, len(whole) + 1000) == b""
    assert read_journal(path.with_name("missing"), 0) == b""


def test_blocks_end_at_lines_and_a_long_line_comes_whole(path: Path) -> None:
    data = lines("short", "x" * 5000, "short")
    path.write_bytes(data)
    got, offset = [], 0
    while block := read_journal(path, offset, 100):
        assert block.endswith(b"\n")
        got.append(block)
        offset += len(block)
    assert b"".join(got) == data
    assert len(got) == 3


def test_long_line_that_is_still_being_written(path: Path) -> None:
    path.write_bytes(b"x" * 5000)
    assert read_journal(path, 0, 100) == b""


@pytest.mark.parametrize("size", [1, 100, 300_000, 3_000_000])
def test_tail_finds_the_last_record_however_long(path: Path, size: int) -> None:
    data = lines("first", "y" * size)
    path.write_bytes(data + b"torn")
    tail = read_tail(path)
    assert (tail.complete, tail.torn) == (len(data), b"torn")
    assert tail.last is not None
    assert tail.last.seq == 1


def test_tail_of_nothing(path: Path) -> None:
    assert read_tail(path).complete == 0
    path.touch()
    assert read_tail(path).last is None
    path.write_bytes(b"no newline")
    assert read_tail(path).torn == b"no newline"


def test_end_is_only_an_end_record(path: Path) -> None:
    path.write_bytes(lines(msgspec.to_builtins(End("Complete", 0)), level=journal.END))
    assert read_tail(path).end == End("Complete", 0)
    path.write_bytes(lines({"health": 5}, level=journal.END))
    assert read_tail(path).end is None
    path.write_bytes(lines("x"))
    assert read_tail(path).end is None


def test_seal_goes_on_without_a_gap_and_marks_what_is_torn(path: Path) -> None:
    case = {"definition": "0_x", "case": "a", "result": "fail"}
    path.write_bytes(lines("a", "b") + lines(case, level=journal.RESULTS, first=2) + b'{"seq":3,"dt"')
    tail = seal(
        path,
        End("Incomplete", 3, "Infrastructure", "died"),
        notes=[("debug", "said"), ("info", "z" * 70_000)],
    )
    records = journal.decode_lines(path.read_bytes())
    assert [r.seq for r in records] == list(range(len(records)))
    assert '{"seq":3,"dt"' in records[3].msg
    assert [r.lvl for r in records[3:]] == [
        "warning", "debug", "info", "info", "exception", "results", "end",
    ]  # fmt: skip
    assert records[-2].msg == {
        "definition": "lava", "case": "job", "result": "fail",
        "error_type": "Infrastructure", "error_msg": "died",
    }  # fmt: skip
    assert tail.complete == path.stat().st_size
    assert tail.end is not None
    assert tail.end.seq == 7
    assert tail.end.cases == {"fail": 1}


def test_seal_begins_an_empty_journal_with_a_header(path: Path) -> None:
    seal(path, End("Incomplete", 3), header=Header(job_id="7"))
    records = journal.decode_lines(path.read_bytes())
    assert records[0].msg["job_id"] == "7"
    seal(path, End("Incomplete", 3), header=Header(job_id="8"))
    assert b'"job_id":"8"' not in path.read_bytes()


def test_seal_of_a_journal_that_cannot_be_read(path: Path) -> None:
    path.write_bytes(b"garbage\nmore\n")
    seal(path, End("Incomplete", 3))
    assert journal.decode(path.read_bytes().splitlines()[2]).seq == 2


def test_seal_does_not_follow_a_link_that_a_job_has_put_there(path: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    path.symlink_to(victim)
    seal(path, End("Incomplete", 3))
    assert victim.read_text() == "precious"
    assert read_tail(path).end is not None


def test_count(path: Path) -> None:
    path.write_bytes(
        lines("x")
        + lines({"definition": "lava", "case": "job", "result": "pass"}, level=journal.RESULTS, first=1)
        + lines({"definition": "1_t", "case": "b", "result": "pass"}, level=journal.RESULTS, first=2)
    )
    assert count(path) == (3, {"pass": 1})


# -- a directory that a job writes


@pytest.mark.parametrize("kind", ["link", "directory link", "pipe", "directory", "dots", "absolute"])
def test_nothing_leads_out(tmp_path: Path, kind: str) -> None:
    root, outside = tmp_path / "out", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (outside / "secret").write_text("secret")
    (root / "link").symlink_to(outside / "secret")
    (root / "folder").symlink_to(outside)
    os.mkfifo(root / "pipe")
    name = {
        "link": "link",
        "directory link": "folder/secret",
        "pipe": "pipe",
        "directory": "folder",
        "dots": "../outside/secret",
        "absolute": str(outside / "secret"),
    }[kind]
    with pytest.raises(OSError, match=r".+"):
        open_beneath(root, name)
    assert [path for path, _ in plain_files(root)] == []


def test_what_is_plain_is_found_and_counted(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").write_bytes(b"x" * 10_000)
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 30)
    assert [path for path, _ in plain_files(tmp_path)] == ["a/b/file", "sparse"]
    assert 10_000 <= disk_usage(tmp_path) < 1 << 20
    with open_beneath(tmp_path, "a/b/file") as opened:
        assert opened.read(3) == b"xxx"
