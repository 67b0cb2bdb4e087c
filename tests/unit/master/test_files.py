# SPDX-License-Identifier: Apache-2.0
"""Kept files: chunks, resuming, hashes, names that try to escape, limits."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from executor.master import files as module
from executor.master.files import BadFile, Files, check_path
from executor.wire.messages import FileChunk, FileRow


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def chunk(data: bytes, at: int = 0, length: int = -1, path: str = "a/b.txt") -> FileChunk:
    end = len(data) if length < 0 else at + length
    return FileChunk("1", path, at, data[at:end], len(data), sha(data))


def keep(files: Files, data: bytes, path: str = "a/b.txt", step: int = 3) -> FileRow:
    """Send a file in small chunks, as an agent does."""
    offset, whole = 0, False
    while not whole:
        offset, whole = files.write(1, chunk(data, offset, step, path))
    row = files.finish(1, path, len(data), sha(data))
    files.finished(1, row)
    return row


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path, limit=1000)


def test_file_in_chunks(files: Files, tmp_path: Path) -> None:
    keep(files, b"hello world")
    assert (tmp_path / "1" / "files" / "a" / "b.txt").read_bytes() == b"hello world"
    assert files.rows(1) == [FileRow("a/b.txt", 11, sha(b"hello world"))]
    assert files.read(1, "a/b.txt", 6, 100) == (b"world", files.rows(1)[0])
    assert files.read(1, "a/b.txt", 50, 100)[0] == b""
    assert files.size(1) == 11


def test_empty_file(files: Files) -> None:
    keep(files, b"", "empty")
    assert files.read(1, "empty", 0, 10)[0] == b""


def test_list_survives_a_restart_and_a_torn_line(files: Files, tmp_path: Path) -> None:
    keep(files, b"one", "one")
    with (tmp_path / "1" / "files.ndjson").open("ab") as file:
        file.write(b'{"path":"tw')
    again = Files(tmp_path, 1000)
    assert [row.path for row in again.rows(1)] == ["one"]
    keep(again, b"three", "three")
    assert [row.path for row in Files(tmp_path, 1000).rows(1)] == ["one", "three"]


def test_upload_goes_on_after_a_restart(files: Files, tmp_path: Path) -> None:
    data = b"0123456789"
    assert files.write(1, chunk(data, 0, 4)) == (4, False)
    again = Files(tmp_path, 1000)
    assert again.write(1, chunk(data, 9, 1)) == (4, False)
    assert again.write(1, chunk(data, 4, 6)) == (10, True)
    again.finished(1, again.finish(1, "a/b.txt", len(data), sha(data)))
    assert again.read(1, "a/b.txt", 0, 100)[0] == data


def test_upload_may_begin_again(files: Files) -> None:
    data = b"0123456789"
    files.write(1, chunk(data, 0, 4))
    assert files.write(1, chunk(data, 0, 6)) == (6, False)
    assert files.write(1, chunk(data, 6, 4)) == (10, True)


def test_chunk_for_another_place_says_where_to_go_on(files: Files) -> None:
    data = b"0123456789"
    assert files.write(1, chunk(data, 4, 2)) == (0, False)
    files.write(1, chunk(data, 0, 4))
    assert files.write(1, chunk(data, 8, 2)) == (4, False)


def test_complete_file_is_not_sent_again(files: Files) -> None:
    keep(files, b"same")
    assert files.write(1, chunk(b"same", 0, 2)) == (4, False)
    assert files.is_complete(1, chunk(b"same"))
    assert not files.is_complete(1, chunk(b"other"))
    keep(files, b"other")
    assert files.read(1, "a/b.txt", 0, 100)[0] == b"other"


def test_wrong_hash_is_refused_and_forgotten(files: Files) -> None:
    with pytest.raises(BadFile, match="announced hash"):
        files.write(1, FileChunk("1", "x", 0, b"abc", 3, sha(b"other")))
    assert files.rows(1) == []
    keep(files, b"abc", "x")


def test_more_bytes_than_announced_are_refused(files: Files) -> None:
    with pytest.raises(BadFile, match="more bytes"):
        files.write(1, FileChunk("1", "x", 0, b"abcd", 3, sha(b"abc")))


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/etc/passwd",
        "../x",
        "a/../x",
        "a//b",
        ".",
        "a/.",
        "x\n",
        "a/b/c/d/e/f/g/h/i",
        "x" * 401,
        ".partial-x",
        "\ud800",
    ],
)
def test_names_that_try_something(files: Files, path: str) -> None:
    with pytest.raises(BadFile, match="is no path"):
        check_path(path)
    with pytest.raises(BadFile):
        files.write(1, FileChunk("1", path, 0, b"", 0, sha(b"")))
    with pytest.raises(BadFile):
        files.read(1, path, 0, 10)


@pytest.mark.parametrize("more", [{"sha256": "x"}, {"size": -1}, {"offset": -1}])
def test_senseless_numbers(files: Files, more: dict[str, object]) -> None:
    fields = {"job": "1", "path": "x", "offset": 0, "data": b"", "size": 0, "sha256": sha(b""), **more}
    with pytest.raises(BadFile):
        files.write(1, FileChunk(**fields))  # type: ignore[arg-type]


def test_limits(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(files, b"x" * 600, "one")
    with pytest.raises(BadFile, match="larger than the limit"):
        files.write(1, chunk(b"y" * 500, path="two"))
    keep(files, b"y" * 900, "one")  # replaces the first, so there is room
    monkeypatch.setattr(module, "MAX_FILES", 1)
    with pytest.raises(BadFile, match="keeps 1 files already"):
        files.write(1, chunk(b"z", path="two"))


def test_file_where_a_directory_must_be(files: Files) -> None:
    keep(files, b"x", "a")
    with pytest.raises(BadFile):
        files.write(1, chunk(b"y", path="a/b"))


def test_links_are_not_followed(files: Files, tmp_path: Path) -> None:
    keep(files, b"x", "a")
    target = tmp_path / "1" / "files" / "a"
    target.unlink()
    target.symlink_to("/etc/hostname")
    with pytest.raises(BadFile, match="has been removed"):
        files.read(1, "a", 0, 100)
