# SPDX-License-Identifier: Apache-2.0
"""The u-boot header: what is read is what is written, and every damage is seen."""

from __future__ import annotations

import os
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.errors import JobError, JobTimeout
from executor.model.deadline import Deadline
from executor.tools.image.uimage import ARCHES, SIZE, Header, pack, parse, payload_crc

WORD = st.integers(0, 0xFFFFFFFF)
BYTE = st.integers(0, 255)
NAME = st.binary(max_size=32).map(lambda name: name.rstrip(b"\0"))


@given(st.builds(Header, WORD, WORD, WORD, WORD, WORD, BYTE, BYTE, BYTE, BYTE, NAME))
def test_round_trip(header: Header) -> None:
    raw = pack(header)
    assert len(raw) == SIZE
    assert parse(raw) == header


@given(st.integers(0, SIZE * 8 - 1))
def test_every_flipped_bit_is_seen(bit: int) -> None:
    raw = bytearray(pack(Header(size=10, dcrc=20, arch=ARCHES["arm64"], name=b"ramdisk")))
    raw[bit // 8] ^= 1 << bit % 8
    with pytest.raises(JobError):
        parse(bytes(raw))


@given(st.binary(max_size=200))
def test_anything_else_is_refused(raw: bytes) -> None:
    with pytest.raises(JobError):
        parse(raw)


def test_the_checksum_of_a_payload_in_parts(tmp_path: Path) -> None:
    data = os.urandom(5_000_000)
    path = tmp_path / "payload"
    path.write_bytes(bytes(64) + data)
    with path.open("rb") as file:
        first = payload_crc(file.fileno(), 64, 3_000_000, deadline=Deadline.after(60))
        both = payload_crc(file.fileno(), 64 + 3_000_000, 2_000_000, deadline=Deadline.after(60), crc=first)
        assert both == zlib.crc32(data)
        with pytest.raises(JobError, match="shorter"):
            payload_crc(file.fileno(), 64, 5_000_001, deadline=Deadline.after(60))
        with pytest.raises(JobTimeout):
            payload_crc(file.fileno(), 64, 10, deadline=Deadline.after(0))


def test_the_name_is_cut_to_its_field() -> None:
    header = Header(size=1, dcrc=2, name=b"n" * 40)
    assert parse(pack(header)) == replace(header, name=b"n" * 32)
