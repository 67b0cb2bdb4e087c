# SPDX-License-Identifier: Apache-2.0
"""Android's sparse images: there and back, and those that lie."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from executor.errors import InfrastructureError, JobError
from executor.model.deadline import Deadline
from executor.testing.clock import FakeClock
from executor.tools.image.android import BLOCK, MAGIC, is_sparse, to_plain, to_sparse

RAW, FILL, NOTHING, CHECKSUM = 0xCAC1, 0xCAC2, 0xCAC3, 0xCAC4
DATA = os.urandom(2 * BLOCK)
Chunk = tuple[int, int, bytes]  # kind, blocks, data


def image(
    path: Path, chunks: list[Chunk], *, blocks: int | None = None, magic: int = MAGIC, block: int = BLOCK
) -> Path:
    """A sparse image as Android's tools write it."""
    total = sum(count for _, count, _ in chunks) if blocks is None else blocks
    body = b"".join(struct.pack("<HHII", kind, 0, n, 12 + len(data)) + data for kind, n, data in chunks)
    path.write_bytes(struct.pack("<IHHHHIIII", magic, 1, 0, 28, 12, block, total, len(chunks), 0) + body)
    return path


def plain(path: Path) -> bytes:
    target = path.with_name("plain")
    size = to_plain(path, target, deadline=Deadline.after(60))
    assert size == target.stat().st_size
    return target.read_bytes()


WHOLE: list[Chunk] = [
    (RAW, 2, DATA),
    (FILL, 1, b"\xde\xad\xbe\xef"),
    (CHECKSUM, 0, b"1234"),
    (NOTHING, 3, b""),
    (FILL, 1, bytes(4)),
    (RAW, 1, DATA[:BLOCK]),
]


def test_every_kind_of_chunk(tmp_path: Path) -> None:
    source = image(tmp_path / "s.img", WHOLE)
    assert is_sparse(source)
    assert plain(source) == DATA + b"\xde\xad\xbe\xef" * (BLOCK // 4) + bytes(4 * BLOCK) + DATA[:BLOCK]


def test_a_word_is_repeated_beyond_what_is_written_at_a_time(tmp_path: Path) -> None:
    assert plain(image(tmp_path / "s.img", [(FILL, 300, b"abcd")])) == b"abcd" * (300 * BLOCK // 4)


@pytest.mark.parametrize("content", [b"", DATA, bytes(9 * BLOCK), bytes(4 * BLOCK) + DATA + b"tail"])
def test_there_and_back(tmp_path: Path, content: bytes) -> None:
    source, sparse = tmp_path / "p.img", tmp_path / "s.img"
    with source.open("wb") as file:
        for start in range(0, len(content), BLOCK):
            if any(content[start : start + BLOCK]):
                os.pwrite(file.fileno(), content[start : start + BLOCK], start)
        file.truncate(len(content))
    size = to_sparse(source, sparse, deadline=Deadline.after(60))
    assert size == sparse.stat().st_size
    assert plain(sparse) == content + bytes(-len(content) % BLOCK)


def test_holes_are_zeros_that_the_board_writes(tmp_path: Path) -> None:
    (tmp_path / "p.img").touch()
    os.truncate(tmp_path / "p.img", 1 << 30)
    to_sparse(tmp_path / "p.img", tmp_path / "s.img", deadline=Deadline.after(60))
    found = (tmp_path / "s.img").read_bytes()
    assert len(found) == 28 + 16
    assert struct.unpack_from("<HHII", found, 28) == (FILL, 0, (1 << 30) // BLOCK, 16)


@pytest.mark.parametrize(
    ("chunks", "fields", "words"),
    [
        ([], {"magic": 1}, "header"),
        ([], {"block": 0}, "0 bytes"),
        ([], {"block": 4098}, "4098 bytes"),
        ([], {"blocks": 0xFFFFFFFF}, "blocks of 4096"),
        ([(RAW, 1, DATA[:BLOCK])], {"blocks": 3}, "header says 12288"),
        ([(RAW, 1, DATA[:BLOCK])], {"blocks": 0}, "beyond its end"),
        ([(RAW, 2, DATA[:BLOCK])], {}, "kind 0xcac1"),
        ([(NOTHING, 1, b"1234")], {}, "kind 0xcac3"),
        ([(0xBEEF, 1, b"")], {}, "kind 0xbeef"),
    ],
)
def test_an_image_that_lies_is_refused_and_leaves_nothing(
    tmp_path: Path, chunks: list[Chunk], fields: dict[str, int], words: str
) -> None:
    source = image(tmp_path / "s.img", chunks, **fields)  # type: ignore[arg-type]
    with pytest.raises(JobError, match=words):
        plain(source)
    assert not (tmp_path / "plain").exists()


@pytest.mark.parametrize("length", [3, 20, 35, 100])
def test_an_image_that_is_cut_off_is_refused(tmp_path: Path, length: int) -> None:
    source = image(tmp_path / "s.img", WHOLE)
    os.truncate(source, length)
    with pytest.raises(JobError, match="no good sparse image"):
        plain(source)


def test_time_and_disk_are_the_labs(tmp_path: Path) -> None:
    clock = FakeClock()
    deadline = Deadline.after(1, clock)
    clock.advance(2)
    with pytest.raises(JobError, match="did not end within 1 seconds"):
        to_plain(image(tmp_path / "s.img", WHOLE), tmp_path / "plain", deadline=deadline)
    with pytest.raises(InfrastructureError, match="cannot be read"):
        to_sparse(tmp_path / "nothing", tmp_path / "s", deadline=deadline)
