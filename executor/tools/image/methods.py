# SPDX-License-Identifier: Apache-2.0
"""The compressions that a job may declare (spec: job-format §4), and who can undo each of them."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, cast

import zstandard

from executor.errors import JobError

Opener = Callable[[io.RawIOBase], IO[bytes]]

_MEMORY = 1 << 30  # bytes that a decompressor may use: a larger dictionary is nobody's honest image
_ZSTD_PIECE = 512  # bytes given to the module at a time: 4 of them can stand for 128 KiB in memory
_THREADS = min(4, len(os.sched_getaffinity(0)))

# What the modules raise for bad data. OSError is among them because gzip and bz2 use it.
DATA_ERRORS = (
    OSError,
    EOFError,
    RuntimeError,
    zlib.error,
    lzma.LZMAError,
    zstandard.ZstdError,
    zipfile.BadZipFile,
)


@dataclass(frozen=True, slots=True)
class Method:
    """One compression: its magic numbers, tools in order of speed, and the module that stands in for them.

    `sparse`: options with which the tool itself leaves holes when its output is a file; None when it cannot.
    """

    name: str
    magics: tuple[bytes, ...]
    tools: tuple[tuple[str, ...], ...] = ()
    sparse: tuple[str, ...] | None = None
    module: Opener | None = None


def _gz(file: io.RawIOBase) -> IO[bytes]:
    return cast("IO[bytes]", gzip.GzipFile(fileobj=file))


def _bz2(file: io.RawIOBase) -> IO[bytes]:
    return bz2.BZ2File(file)


def _xz(file: io.RawIOBase) -> IO[bytes]:
    return lzma.LZMAFile(cast("IO[bytes]", file), format=lzma.FORMAT_XZ)  # noqa: SIM115  # the caller closes it


class _Zstd(io.RawIOBase):
    """Frames one behind the other. The module's own reader takes a frame that is cut off for a whole one."""

    def __init__(self, file: io.RawIOBase) -> None:
        self._file = file
        self._frame = self._new()
        self._begun = False
        self._packed = memoryview(b"")
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        while not self._ready:
            if self._frame.eof:
                self._frame, self._begun = self._new(), False
            if not self._packed:
                self._packed = memoryview(self._file.read(1 << 14) or b"")
            if not self._packed:
                if self._begun:
                    raise EOFError("the last frame is cut off")
                return b""
            self._begun = True
            piece = self._packed[:_ZSTD_PIECE]
            self._ready = memoryview(self._frame.decompress(piece))
            self._packed = self._packed[len(piece) - len(self._frame.unused_data) :]
        size = size if size > 0 else len(self._ready)
        data, self._ready = self._ready[:size], self._ready[size:]
        return bytes(data)

    @staticmethod
    def _new() -> zstandard.ZstdDecompressionObj:
        return zstandard.ZstdDecompressor(max_window_size=_MEMORY).decompressobj()


def _zstd(file: io.RawIOBase) -> IO[bytes]:
    return cast("IO[bytes]", _Zstd(file))


_ZSTD_SKIPPABLE = tuple(bytes([0x50 + n, 0x2A, 0x4D, 0x18]) for n in range(16))

METHODS = {
    made.name: made
    for made in (
        # One thread: pigz spends more on handing pieces to others than on the checksum that they do.
        Method("gz", (b"\x1f\x8b",), (("pigz", "-dcp1"), ("gzip", "-dc")), module=_gz),
        Method("bz2", (b"BZh",), (("bzip2", "-dc"),), module=_bz2),
        Method(
            "xz",
            (b"\xfd7zXZ\0",),
            (("xz", "-dc", f"-T{_THREADS}", f"--memlimit-decompress={_MEMORY}"),),
            sparse=(),
            module=_xz,
        ),
        Method(
            "zstd",
            (b"\x28\xb5\x2f\xfd", *_ZSTD_SKIPPABLE),
            (("zstd", "-dc", "-q", f"--memory={_MEMORY >> 20}MB"),),
            sparse=("--sparse",),
            module=_zstd,
        ),
        Method("lz4", (b"\x04\x22\x4d\x18", b"\x02\x21\x4c\x18"), (("lz4", "-dc", "-q"),)),
        Method("zip", (b"PK\x03\x04", b"PK\x05\x06")),
    )
}
_ALIASES = {"zst": "zstd", "gzip": "gz", "bzip2": "bz2"}


def method(name: str) -> Method:
    """The method called `name`. Raises JobError for one that does not exist."""
    try:
        return METHODS[_ALIASES.get(name, name)]
    except KeyError:
        raise JobError(f"unknown compression {name!r}", f"one of {', '.join(METHODS)}") from None
