# SPDX-License-Identifier: Apache-2.0
"""Reads attached files that lava-attachments prints on the console, and asks again for damaged lines.

reader = AttachmentReader()
reader.take(answer)                 # of `lava-attachments R/<stage> LIMIT`
again = reader.missing()            # "" or what to append to that command
for attachment in reader.files(): ...
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from pathlib import PurePosixPath

import msgspec

from executor.testshell.checksum import line_sum

CONSOLE_BYTES = 1 << 20  # of all files of one block: as base64 that is two minutes at 115200 baud
_LINE = re.compile(r"=LAVA= (\d{1,6}) (\d{1,9}) (\d{1,9})\.(\d{1,12}) ([A-Za-z0-9+/=]+)\s*$", re.MULTILINE)
_FILE = re.compile(
    r"=LAVA= (file|skip) ((\d{1,6}) (\d{1,12}) (base64|hex) (\S+) (.+)) = \2\s*$", re.MULTILINE
)
_END = re.compile(r"=LAVA= end (\d{1,6}) (\d{1,6}) = \1 \2\s*$", re.MULTILINE)
_MAX_LINES = 1_000_000
_EPOCH = re.compile(r"-\d+\Z")


class Attachment(msgspec.Struct, frozen=True):
    """One file. `data` is None when it did not arrive whole or was left on the device because of its size."""

    definition: str  # "<idx>_<name>"
    case: str  # "" for a file of the whole definition
    name: str
    mime: str  # "" when the device did not say
    size: int  # bytes
    data: bytes | None
    skipped: bool = False


class _File(msgspec.Struct):
    path: str
    mime: str
    size: int
    encoding: str
    skipped: bool
    lines: dict[int, str] = {}


class AttachmentReader:
    """Collects what arrived whole, over any number of answers."""

    def __init__(self) -> None:
        self._files: dict[int, _File] = {}
        self._count = -1  # how many there are; -1 while the device's last line has not arrived

    def take(self, text: str) -> None:
        """One answer of the device."""
        for kind, _, number, size, encoding, mime, path in _FILE.findall(text):
            file = _File(path.strip(), "" if mime == "-" else mime, int(size), encoding, kind == "skip")
            self._files.setdefault(int(number), file)
        for number, line, a, b, data in _LINE.findall(text):
            file_of = self._files.get(int(number))
            if file_of is not None and line_sum(int(line), data) == (int(a), int(b)):
                file_of.lines[int(line)] = data
        for count, _ in _END.findall(text):
            self._count = int(count)

    @property
    def listed(self) -> bool:
        """Has every file been named? If not, the command has to be given again as it was."""
        return self._count >= 0 and len(self._files) >= self._count

    def missing(self) -> str:
        """What to append to the command to get the damaged lines again; "" when all is there."""
        parts = []
        for number, file in sorted(self._files.items()):
            if file.skipped or file.size == 0 or _decoded(file) is not None:
                continue
            parts += [f"{number}:{first}-{last}" for first, last in _gaps(file)]
        return " ".join(parts)

    def files(self) -> list[Attachment]:
        """All that were named, in the device's order."""
        return [_attachment(file) for _, file in sorted(self._files.items())]


def _gaps(file: _File) -> Iterator[tuple[int, int]]:
    """Ranges of line numbers that did not arrive."""
    width = max((len(data) for data in file.lines.values()), default=0)
    digits = file.size * 2 if file.encoding == "hex" else (file.size + 2) // 3 * 4
    last = -(-digits // width) if width else _MAX_LINES
    first = 1
    for number in sorted(n for n in file.lines if n <= last):
        if number > first:
            yield first, number - 1
        first = number + 1
    if first <= last:
        yield first, last


def _decoded(file: _File) -> bytes | None:
    text = "".join(file.lines[number] for number in sorted(file.lines))
    try:
        data = bytes.fromhex(text) if file.encoding == "hex" else base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    whole = len(data) == file.size and sorted(file.lines) == list(range(1, len(file.lines) + 1))
    return data if whole else None


def _attachment(file: _File) -> Attachment:
    """Where it belongs is in its path: <definition>-<epoch>/[results/<case>/]attachments/<name>."""
    parts = [part for part in PurePosixPath(file.path).parts if part not in ("..", "/", ".")]
    return Attachment(
        definition=_EPOCH.sub("", parts[0]) if parts else "",
        case=parts[2] if len(parts) > 3 and parts[1] == "results" else "",
        name=parts[-1] if parts else "",
        mime=file.mime,
        size=file.size,
        data=None if file.skipped else _decoded(file),
        skipped=file.skipped,
    )
