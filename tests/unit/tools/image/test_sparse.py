# SPDX-License-Identifier: Apache-2.0
"""Zeros become holes, and every byte is where it was."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from executor.errors import InfrastructureError
from executor.tools.image.sparse import BLOCK, SparseWriter, data_extents, data_runs, new_file

PIECES = st.lists(
    st.tuples(st.sampled_from([b"\0", b"x"]), st.integers(0, 3 * 65536 // BLOCK).map(lambda n: n * BLOCK)),
    max_size=8,
)


@given(PIECES, st.integers(0, BLOCK - 1), st.booleans())
@settings(deadline=None)
def test_what_is_not_in_a_run_is_zero(pieces: list[tuple[bytes, int]], rest: int, zero: bool) -> None:
    data = bytearray(b"".join(byte * size for byte, size in pieces) + (b"\0" if zero else b"y") * rest)
    copy = bytearray(len(data))
    last = -1
    for start, stop in data_runs(data, len(data)):
        assert last < start < stop <= len(data)
        assert start % BLOCK == 0
        assert any(data[start : start + BLOCK])
        copy[start:stop] = data[start:stop]
        last = stop
    assert copy == data


def test_a_file_with_holes(tmp_path: Path) -> None:
    data = bytes(1 << 20) + b"x" * 5000 + bytes(3 << 20) + b"y" + bytes(100_000)
    with new_file(tmp_path / "f") as handle:
        writer = SparseWriter(handle)
        for start in range(0, len(data), 1 << 20):
            piece = bytearray(data[start : start + (1 << 20)])
            writer.write(piece, len(piece))
        writer.finish()
        extents = list(data_extents(handle, writer.size))
    path = tmp_path / "f"
    assert path.read_bytes() == data
    assert writer.size == len(data)
    assert writer.stored == 8192 + 4096
    assert path.stat().st_blocks * 512 < 100_000
    assert sum(stop - start for start, stop in extents) < 100_000
    assert extents[0][0] <= 1 << 20 < extents[0][1]


def test_a_file_appears_only_when_it_is_done(tmp_path: Path) -> None:
    path = tmp_path / "deep/f"
    with suppress(ValueError), new_file(path) as handle:
        os.write(handle, b"half")
        raise ValueError
    assert list(path.parent.iterdir()) == []
    with new_file(path) as handle:
        os.write(handle, b"whole")
        assert not path.exists()
    assert path.read_bytes() == b"whole"
    assert list(path.parent.iterdir()) == [path]


def test_a_full_disk_is_infrastructure(tmp_path: Path) -> None:
    with pytest.raises(InfrastructureError, match="No space"), new_file(tmp_path / "f"):
        raise OSError(28, "No space left on device")
    (tmp_path / "file").touch()
    with pytest.raises(InfrastructureError), new_file(tmp_path / "file" / "f"):
        pass
