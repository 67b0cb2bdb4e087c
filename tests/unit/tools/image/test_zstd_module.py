# SPDX-License-Identifier: Apache-2.0
"""Where the zstd tool is missing, the module does its work: in little memory, however much the data grows."""

import io
import tracemalloc

import pytest
import zstandard

from executor.tools.image.methods import METHODS


def read_all(packed: bytes) -> tuple[int, int]:
    """(bytes made, most bytes of memory in use meanwhile)"""
    opener = METHODS["zstd"].module
    assert opener is not None
    reader = opener(io.BytesIO(packed))
    made = 0
    tracemalloc.start()
    try:
        while chunk := reader.read(1 << 18):
            made += len(chunk)
        return made, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_zeros_do_not_fill_the_memory() -> None:
    zeros = zstandard.ZstdCompressor().compress(bytes(256 << 20))
    made, peak = read_all(zeros)
    assert made == 256 << 20
    assert peak < 64 << 20


def test_many_frames_in_one_piece() -> None:
    frame = zstandard.ZstdCompressor().compress(b"frame")
    skippable = b"\x50\x2a\x4d\x18\x04\x00\x00\x00skip"
    assert read_all((frame + skippable) * 1000)[0] == 5000


def test_a_frame_that_is_cut_off_is_not_taken_for_a_whole_one() -> None:
    frame = zstandard.ZstdCompressor().compress(bytes(range(256)) * 1000)
    with pytest.raises(EOFError):
        read_all(frame + frame[:-1])
