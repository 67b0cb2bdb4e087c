# SPDX-License-Identifier: Apache-2.0
"""The writing end of the journal: numbers without gaps, bounds, whole lines, masks."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from executor.errors import InfrastructureError, JobError
from executor.model.journal import MAX_MESSAGE, ActionMark, Record, decode_lines
from executor.runner.journal import JournalBroken, JournalFull, JournalWriter
from executor.runner.masking import MASK


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.ndjson"


def records(path: Path) -> list[Record]:
    return decode_lines(path.read_bytes())


def test_records_are_numbered_from_0_and_carry_the_action(path: Path) -> None:
    writer = JournalWriter(path)
    writer.current = ("login-action", "2.1")
    assert writer.record("info", "hello") == 0
    assert writer.lines("target", ["a", "b"], "ns") == 1
    assert writer.record("action", ActionMark("start", "x", "1")) == 3
    assert writer.next_seq == 4
    writer.close()
    found = records(path)
    assert [r.seq for r in found] == [0, 1, 2, 3]
    assert [(r.lvl, r.msg, r.ns) for r in found[:3]] == [
        ("info", "hello", ""),
        ("target", "a", "ns"),
        ("target", "b", "ns"),
    ]
    assert {(r.act, r.level) for r in found} == {("login-action", "2.1")}
    assert found[3].msg["what"] == "start"


def test_what_was_there_is_continued(path: Path) -> None:
    for _ in range(2):
        writer = JournalWriter(path)
        writer.record("info", "x")
        writer.close()
    assert [r.seq for r in records(path)] == [0, 1]


def test_no_gap_and_no_mix_under_threads(path: Path) -> None:
    writer = JournalWriter(path)

    def write(name: str) -> None:
        for n in range(200):
            writer.lines("target", [f"{name} {n} {part}" for part in range(3)])
            writer.record("debug", f"{name} {n}")

    threads = [threading.Thread(target=write, args=[str(n)]) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    writer.close()
    found = records(path)
    assert [r.seq for r in found] == list(range(6 * 200 * 4))
    for n, record in enumerate(found):
        if record.lvl == "target" and record.msg.endswith(" 0"):
            begin = record.msg[:-1]
            assert [r.msg for r in found[n : n + 3]] == [f"{begin}0", f"{begin}1", f"{begin}2"]
    assert [r.dt for r in found] == sorted(r.dt for r in found)


@pytest.mark.parametrize("size", [MAX_MESSAGE, MAX_MESSAGE + 1, 2 * MAX_MESSAGE + 1])
@pytest.mark.parametrize("way", ["record", "lines"])
def test_a_long_line_is_split_marked_and_whole(path: Path, size: int, way: str) -> None:
    text = "".join(chr(0x4E00 + n % 1000) for n in range(size))
    writer = JournalWriter(path)
    first = writer.record("target", text) if way == "record" else writer.lines("target", ["before", text])
    assert writer.record("info", "after") == writer.next_seq - 1
    writer.close()
    found = [r for r in records(path) if r.msg not in ("before", "after")]
    assert first == 0
    assert "".join(r.msg for r in found) == text
    count = -(-size // MAX_MESSAGE)
    assert [r.part for r in found] == ([0] if count == 1 else list(range(1, count + 1)))
    assert [r.more for r in found] == [True] * (count - 1) + [False]
    assert [r.seq for r in records(path)] == list(range(len(records(path))))


def test_masks_come_before_escapes_and_before_splitting(path: Path) -> None:
    secret = 'say "hi"\\\n' + "x" * 20
    writer = JournalWriter(path, secrets=[secret])
    writer.record("info", f"<{secret}>")
    writer.record("results", {"extra": {secret: [secret]}})
    writer.lines("target", ["a" * (MAX_MESSAGE - 5) + secret + "b"])
    writer.hide(["later"])
    writer.record("info", "later")
    writer.close()
    assert b"xxxxx" not in path.read_bytes()
    assert [r.msg for r in records(path) if r.lvl == "info"] == [f"<{MASK}>", MASK]


def test_beyond_the_limit_console_lines_stop_and_the_program_goes_on(path: Path) -> None:
    told: list[int] = []
    writer = JournalWriter(path, limit=1000, on_full=told.append)
    while not told:
        writer.lines("target", ["x" * 100])
    count = writer.next_seq
    assert writer.lines("target", ["x"]) == count
    assert writer.record("error", "the end") == count
    writer.close()
    assert len(told) == 1
    assert told[0] > 1000
    assert records(path)[-1].msg == "the end"


def test_growth_is_told_with_the_size_of_the_file(path: Path) -> None:
    told: list[int] = []
    writer = JournalWriter(path, on_grow=told.append)
    writer.record("info", "a")
    writer.lines("target", ["b", "c"])
    writer.close()
    assert told[-1] == path.stat().st_size
    assert len(told) == 2


def test_after_the_end_nothing_is_written_and_nothing_raised(path: Path) -> None:
    writer = JournalWriter(path)
    writer.close()
    writer.close()
    writer.record("info", "late")
    assert path.read_bytes() == b""


class FullDisk:
    """`os.write` on a disk that takes `room` bytes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
        self.room = room
        self.real = os.write
        monkeypatch.setattr(os, "write", self.write)

    def write(self, fd: int, data: bytes) -> int:
        if self.room <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        done = self.real(fd, bytes(data)[: self.room])
        self.room -= done
        return done


def test_a_full_disk_leaves_whole_records_and_is_told_once(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    writer = JournalWriter(path, on_broken=told.append)
    disk = FullDisk(monkeypatch, 400)
    for n in range(20):
        writer.record("info", f"number {n}")
    assert told == ["No space left on device"]
    kept = records(path)
    assert [r.seq for r in kept] == list(range(len(kept)))
    assert path.read_bytes().endswith(b"\n")
    disk.room = 10_000
    writer.record("error", "the end")
    writer.close()
    assert records(path)[-1].msg == "the end"
    assert records(path)[-1].seq == len(kept)


@pytest.mark.parametrize("msg", ["half a pair \ud800", {"k": "\ud800"}, {b"b": object}, {"s": {1, 2}}])
def test_what_json_cannot_say_is_written_all_the_same(path: Path, msg: object) -> None:
    writer = JournalWriter(path)
    writer.record("info", msg)
    writer.lines("target", ["x \udcff y"])
    writer.close()
    assert len(records(path)) == 2


def test_structs_may_hold_anything_that_yaml_has(path: Path) -> None:
    class Loose(msgspec.Struct):
        metadata: dict[object, object]

    writer = JournalWriter(path)
    writer.record("header", Loose({1: None, 2.5: [True], None: "x"}))
    writer.close()
    assert records(path)[0].msg["metadata"] == {"1": None, "2.5": [True], "None": "x"}


def test_a_signal_in_the_middle_of_a_record_waits_for_its_end(path: Path) -> None:
    steps: list[str] = []

    @contextmanager
    def hold() -> Iterator[None]:
        steps.append("hold")
        yield
        steps.append("go")

    writer = JournalWriter(path, hold=hold, on_grow=lambda _: steps.append("grow"))
    writer.record("info", "x")
    writer.lines("target", ["y"])
    assert steps == ["hold", "grow", "go"] * 2


def test_both_errors_end_the_job_at_once_and_are_not_retried() -> None:
    full, broken = JournalFull(1 << 30), JournalBroken("No space left on device")
    assert isinstance(full, JobError)
    assert isinstance(broken, InfrastructureError)
    assert not full.retryable
    assert not broken.retryable
    assert "1024 MiB" in full.message
