# SPDX-License-Identifier: Apache-2.0
"""A reader of tar that knows plain files and nothing else: no links, no long names, no extended headers.

General readers follow whatever an archive asks for, allocate what it says and interpret what it brings; a
bundle of unknown origin should be able to ask for nothing.
"""

from __future__ import annotations

from typing import IO

from executor.errors import JobError

_BLOCK = 512
_PLAIN = (b"0", b"\0")


class TarStream:
    """Members one after another from a forward-only stream. Raises JobError for anything unexpected."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._left = 0  # bytes of the current member that were not read yet
        self._padding = 0
        self.name = ""
        self.size = 0

    def next(self) -> bool:
        """Go to the next member, whose `name` and `size` are then known; False at the end of the archive."""
        while self._left:
            if not self.read(1 << 20):
                break
        self._exactly(self._padding)
        self._padding = 0
        header = self._exactly(_BLOCK)
        if not header.strip(b"\0"):
            return False
        if _number(header[148:156]) != sum(header[:148]) + 8 * 32 + sum(header[156:]):
            raise JobError("the bundle is damaged: a header's sum is wrong")
        name = header[:100].rstrip(b"\0")
        if header[156:157] not in _PLAIN:
            raise JobError(f"the bundle's {name!r} is not a plain file")
        try:
            self.name = name.decode("ascii")
        except UnicodeDecodeError:
            raise JobError(f"the bundle has a file with the name {name!r}") from None
        self.size = self._left = _number(header[124:136])
        self._padding = -self.size % _BLOCK
        return True

    def read(self, size: int) -> bytes:
        """At most `size` bytes of the current member; empty at its end."""
        wanted = min(size, self._left)
        data = self._read(wanted) if wanted else b""
        if wanted and not data:
            raise JobError(f"the bundle ends in the middle of {self.name}")
        self._left -= len(data)
        return data

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = self._read(size - len(data))
            if not more:
                raise JobError("the bundle ends too early")
            data += more
        return data

    def _read(self, size: int) -> bytes:
        try:
            return self._stream.read(size)
        except (OSError, EOFError) as error:
            raise JobError(f"the bundle is damaged: {error}") from None


def _number(field: bytes) -> int:
    """An octal number, or the binary form that sizes above 8 GiB have."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    text = field.strip(b" \0")
    try:
        return int(text or b"0", 8)
    except ValueError:
        raise JobError(f"the bundle is damaged: {field!r} is no number") from None
