# SPDX-License-Identifier: Apache-2.0
"""Decompression by tools and by modules, of files and of downloads under way; wrong data, bombs, limits."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from executor.errors import InfrastructureError, JobError, JobTimeout
from executor.model.deadline import Deadline
from executor.tools.image.compress import Limits, decompress
from executor.tools.image.methods import METHODS
from executor.tools.image.streams import open_stream

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}
DATA = os.urandom(1 << 20) + bytes(3 << 20) + b"end" * 1000
PACKED = {how: pack(DATA) for how, pack in PACKERS.items()}


@pytest.fixture(params=["tools", "modules"])
def by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run the test with the tools and again as if none were installed."""
    how = str(request.param)
    if how == "modules":
        monkeypatch.setenv("PATH", "/nowhere")
    return how


def left(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in tmp_path.iterdir() if path.name != "in")


@pytest.mark.usefixtures("by")
@pytest.mark.parametrize("how", PACKERS)
@pytest.mark.parametrize("streamed", [False, True])
def test_good_data(tmp_path: Path, how: str, streamed: bool) -> None:
    packed = PACKED[how]
    (tmp_path / "in").write_bytes(packed)
    source = io.BytesIO(packed) if streamed else tmp_path / "in"
    seen: list[tuple[int, int]] = []
    done = decompress(
        source, tmp_path / "out", how, deadline=Deadline.after(60), progress=lambda *both: seen.append(both)
    )
    assert (tmp_path / "out").read_bytes() == DATA
    assert (done.bytes_in, done.bytes_out) == (len(packed), len(DATA))
    assert seen[-1] == (len(packed), len(DATA))
    assert (tmp_path / "out").stat().st_blocks * 512 < 2 << 20  # the zeros are a hole
    assert done.stored < 2 << 20
    assert left(tmp_path) == ["out"]


@pytest.mark.usefixtures("by")
@pytest.mark.parametrize("how", PACKERS)
def test_several_streams_behind_each_other(tmp_path: Path, how: str) -> None:
    (tmp_path / "in").write_bytes(PACKERS[how](b"one ") + PACKERS[how](b"two"))
    decompress(tmp_path / "in", tmp_path / "out", how, deadline=Deadline.after(60))
    assert (tmp_path / "out").read_bytes() == b"one two"


@pytest.mark.usefixtures("by")
@pytest.mark.parametrize("how", PACKERS)
@pytest.mark.parametrize("streamed", [False, True])
def test_damaged_data(tmp_path: Path, how: str, streamed: bool) -> None:
    packed = bytearray(PACKED[how])
    cut = bytes(packed[: len(packed) // 2])
    packed[500_000] ^= 0xFF
    for bad in (cut, bytes(packed)):
        if how == "zstd" and bad is not cut:
            continue  # no checksum in these frames
        (tmp_path / "in").write_bytes(bad)
        source = io.BytesIO(bad) if streamed else tmp_path / "in"
        with pytest.raises(JobError, match=f"rootfs is damaged {how} data"):
            decompress(source, tmp_path / "out", how, deadline=Deadline.after(60), name="rootfs")
        assert left(tmp_path) == []


@pytest.mark.parametrize("how", METHODS)
def test_other_data_is_named(tmp_path: Path, how: str) -> None:
    other, name = (lzma.compress(b"x"), "xz") if how != "xz" else (gzip.compress(b"x"), "gz")
    (tmp_path / "in").write_bytes(other)
    with pytest.raises(JobError) as caught:
        decompress(tmp_path / "in", tmp_path / "out", how, deadline=Deadline.after(60))
    assert f"in is not {how} data (starts with " in caught.value.message
    assert f"looks like {name}" in caught.value.message
    with pytest.raises(JobError, match="the download is not .* data .is empty."):
        decompress(io.BytesIO(), tmp_path / "out", how, deadline=Deadline.after(60))


def test_unknown_method(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="unknown compression 'rar'") as caught:
        decompress(tmp_path / "in", tmp_path / "out", "rar", deadline=Deadline.after(60))
    assert "zstd" in caught.value.hint


def test_aliases(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(PACKERS["zstd"](b"data"))
    decompress(tmp_path / "in", tmp_path / "out", "zst", deadline=Deadline.after(60))
    assert (tmp_path / "out").read_bytes() == b"data"


@pytest.mark.usefixtures("by")
@pytest.mark.parametrize("how", PACKERS)
def test_larger_than_allowed(tmp_path: Path, how: str) -> None:
    (tmp_path / "in").write_bytes(PACKED[how])
    with pytest.raises(JobError, match="larger than 1000000 bytes"):
        decompress(
            tmp_path / "in", tmp_path / "out", how, deadline=Deadline.after(60), limits=Limits(size=1_000_000)
        )
    assert left(tmp_path) == []


@pytest.mark.parametrize("how", PACKERS)
def test_bombs_but_not_for_zeros(tmp_path: Path, how: str) -> None:
    limits = Limits(ratio=20, free=1 << 20)
    (tmp_path / "in").write_bytes(PACKERS[how](b"x" * (32 << 20)))
    with pytest.raises(JobError, match="bomb"):
        decompress(tmp_path / "in", tmp_path / "out", how, deadline=Deadline.after(60), limits=limits)
    (tmp_path / "in").write_bytes(PACKERS[how](bytes(32 << 20)))
    done = decompress(tmp_path / "in", tmp_path / "out", how, deadline=Deadline.after(60), limits=limits)
    assert done.bytes_out == 32 << 20


@pytest.mark.usefixtures("by")
@pytest.mark.parametrize("how", PACKERS)
def test_deadline(tmp_path: Path, how: str) -> None:
    (tmp_path / "in").write_bytes(PACKED[how])
    with pytest.raises(JobTimeout, match="decompressing did not end"):
        decompress(tmp_path / "in", tmp_path / "out", how, deadline=Deadline.after(0))
    assert left(tmp_path) == []


@pytest.mark.parametrize("how", PACKERS)
def test_a_download_that_breaks_is_not_blamed_on_the_data(tmp_path: Path, how: str) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() > 500_000:
                raise InfrastructureError("the connection broke")
            return super().read(size)

    with pytest.raises(InfrastructureError, match="the connection broke"):
        decompress(Broken(PACKED[how]), tmp_path / "out", how, deadline=Deadline.after(60))
    assert left(tmp_path) == []


def test_zip_with_one_file(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "in", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.mkdir("dir")
        archive.writestr("dir/image", DATA)
    done = decompress(tmp_path / "in", tmp_path / "out", "zip", deadline=Deadline.after(60))
    assert (tmp_path / "out").read_bytes() == DATA
    assert done.bytes_out == len(DATA)
    (tmp_path / "in").write_bytes((tmp_path / "in").read_bytes()[:100_000])
    with pytest.raises(JobError, match="damaged zip data"):
        decompress(tmp_path / "in", tmp_path / "out2", "zip", deadline=Deadline.after(60))


def test_zip_with_two_files(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "in", "w") as archive:
        archive.writestr("a", b"1")
        archive.writestr("b", b"2")
    with pytest.raises(JobError, match="holds 2 files"):
        decompress(tmp_path / "in", tmp_path / "out", "zip", deadline=Deadline.after(60))
    with (tmp_path / "in").open("rb") as stream, pytest.raises(JobError, match="all of it"):
        decompress(stream, tmp_path / "out", "zip", deadline=Deadline.after(60))


def test_trailing_garbage_is_ignored_as_gzip_does(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(gzip.compress(b"data") + b"garbage behind it")
    decompress(tmp_path / "in", tmp_path / "out", "gz", deadline=Deadline.after(60))
    assert (tmp_path / "out").read_bytes() == b"data"


def test_a_missing_tool_without_a_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    (tmp_path / "in").write_bytes(b"\x04\x22\x4d\x18rest")
    with pytest.raises(InfrastructureError, match="lz4 is not installed"):
        decompress(tmp_path / "in", tmp_path / "out", "lz4", deadline=Deadline.after(60))


def test_gzip_stands_in_for_pigz(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gzip_tool = shutil.which("gzip")
    assert gzip_tool is not None
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/gzip").symlink_to(gzip_tool)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "in").write_bytes(gzip.compress(DATA))
    decompress(tmp_path / "in", tmp_path / "out", "gz", deadline=Deadline.after(60))
    assert (tmp_path / "out").read_bytes() == DATA


@pytest.mark.usefixtures("by")
@pytest.mark.parametrize("how", PACKERS)
def test_a_stream_may_be_left_early(tmp_path: Path, how: str) -> None:
    with open_stream(io.BytesIO(PACKED[how]), how, deadline=Deadline.after(60)) as stream:
        assert DATA.startswith(stream.read(100))


def test_a_missing_source_is_infrastructure(tmp_path: Path) -> None:
    with pytest.raises(InfrastructureError, match="cannot be read"):
        decompress(tmp_path / "none", tmp_path / "out", "gz", deadline=Deadline.after(60))
