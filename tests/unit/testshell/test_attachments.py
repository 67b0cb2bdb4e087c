# SPDX-License-Identifier: Apache-2.0
"""Attached files from the console: whole, damaged, asked for again, skipped."""

from __future__ import annotations

import base64

import pytest

from executor.testshell.attachments import AttachmentReader
from executor.testshell.checksum import line_sum

PATH = "0_smoke-1700000000/results/boot/attachments/log.txt"


def printed(
    number: int, data: bytes, path: str = PATH, *, encoding: str = "base64", kind: str = "file"
) -> list[str]:
    """What lava-attachments prints for one file."""
    text = data.hex() if encoding == "hex" else base64.b64encode(data).decode()
    width = 32 if encoding == "hex" else 76
    head = f"{number} {len(data)} {encoding} text/plain {path}"
    lines = [f"=LAVA= {kind} {head} = {head}"]
    for line, start in enumerate(range(0, len(text) if kind == "file" else 0, width), 1):
        piece = text[start : start + width]
        a, b = line_sum(line, piece)
        lines.append(f"=LAVA= {number} {line} {a}.{b} {piece}")
    return lines


def end(count: int, skipped: int = 0) -> str:
    return f"=LAVA= end {count} {skipped} = {count} {skipped}"


DATA = bytes(range(256)) * 2


@pytest.mark.parametrize("encoding", ["base64", "hex"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_a_file_arrives(encoding: str, line_end: str) -> None:
    reader = AttachmentReader()
    reader.take(line_end.join([*printed(1, DATA, encoding=encoding), end(1), ""]))
    (file,) = reader.files()
    assert (file.definition, file.case, file.name, file.mime, file.data) == (
        "0_smoke",
        "boot",
        "log.txt",
        "text/plain",
        DATA,
    )
    assert reader.listed
    assert reader.missing() == ""


def test_damaged_lines_are_asked_for_again() -> None:
    lines = printed(1, DATA)
    reader = AttachmentReader()
    reader.take("\n".join([lines[0], *lines[2:4], lines[4].replace("A", "B"), lines[5], *lines[7:], end(1)]))
    assert reader.files()[0].data is None
    assert reader.missing() == "1:1-1 1:4-4 1:6-6"
    reader.take("\n".join([lines[1], lines[4], lines[6]]))
    assert reader.missing() == ""
    assert reader.files()[0].data == DATA


def test_without_any_line_all_are_asked_for() -> None:
    reader = AttachmentReader()
    reader.take("\n".join([printed(1, DATA)[0], end(1)]))
    assert reader.missing() == "1:1-1000000"


def test_a_lost_name_is_noticed() -> None:
    reader = AttachmentReader()
    reader.take("\n".join([*printed(2, DATA), end(2)]))
    assert not reader.listed
    reader.take("\n".join(printed(1, DATA)))
    assert reader.listed


def test_a_lost_end_is_noticed() -> None:
    reader = AttachmentReader()
    reader.take("\n".join([*printed(1, DATA), end(1).replace("1", "2", 1)]))
    assert not reader.listed


def test_empty_and_skipped_files() -> None:
    reader = AttachmentReader()
    top = "0_smoke-17/attachments"
    reader.take(
        "\n".join([*printed(1, b"", f"{top}/a"), *printed(2, DATA, f"{top}/b", kind="skip"), end(2, 1)])
    )
    empty, skipped = reader.files()
    assert (empty.name, empty.case, empty.data, empty.skipped) == ("a", "", b"", False)
    assert (skipped.name, skipped.data, skipped.skipped, skipped.size) == ("b", None, True, 512)
    assert reader.missing() == ""


def test_a_path_cannot_lead_out() -> None:
    reader = AttachmentReader()
    reader.take("\n".join([*printed(1, b"x", "../../etc/attachments/../passwd"), end(1)]))
    (file,) = reader.files()
    assert (file.definition, file.case, file.name) == ("etc", "", "passwd")
