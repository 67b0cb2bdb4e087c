# SPDX-License-Identifier: Apache-2.0
"""The raw bytes on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from executor.console.recording import Recording
from executor.errors import InfrastructureError


def test_a_second_boot_is_appended_and_counts_for_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "console.raw"
    for data in (b"first boot\n", b"second boot\n"):
        recording = Recording(path, limit=15)
        recording.write(data)
        recording.close()
        recording.close()
    assert path.read_bytes() == b"first boot\nseco"


def test_the_call_that_reaches_the_limit_says_so_once(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "console.raw", limit=4)
    assert [recording.write(b"abc"), recording.write(b"def"), recording.write(b"ghi")] == [False, True, False]
    assert recording.stopped == "the limit of 4 bytes is reached"
    recording.close()


def test_a_disk_that_is_full_stops_the_recording_only() -> None:
    recording = Recording(Path("/dev/full"))
    assert recording.write(b"x")
    assert recording.stopped == "No space left on device"
    recording.close()


def test_no_link_is_followed_and_no_directory_made(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for path in (tmp_path / "link", tmp_path / "missing" / "console.raw"):
        with pytest.raises(InfrastructureError, match="cannot record the console"):
            Recording(path)
    assert not (tmp_path / "elsewhere").exists()
