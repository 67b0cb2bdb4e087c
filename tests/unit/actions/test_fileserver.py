# SPDX-License-Identifier: Apache-2.0
"""The one file that a device may fetch from the runner."""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path

import pytest

from executor.actions.fileserver import serve_file, serve_files
from executor.errors import InfrastructureError


def get(url: str, method: str = "GET") -> tuple[int, bytes, str]:
    request = urllib.request.Request(url, method=method)  # noqa: S310  # our own server
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        return answer.status, answer.read(), answer.headers["Content-Length"]


def test_only_that_file_and_only_for_the_time(tmp_path: Path) -> None:
    file = tmp_path / "overlay-1.tar.gz"
    file.write_bytes(b"overlay")
    (tmp_path / "other").write_bytes(b"secret")
    with serve_file(file, "127.0.0.1") as url:
        assert url.endswith("/overlay-1.tar.gz")
        assert get(url) == (200, b"overlay", "7")
        assert get(url, "HEAD") == (200, b"", "7")
        for path in ("/", "/other", "/../other", "/overlay-1.tar.gz"):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                get(url.rsplit("/", 2)[0] + path)
    with pytest.raises(urllib.error.URLError):
        get(url)


def test_files_lie_beside_each_other(tmp_path: Path) -> None:
    for name in ("disk image.img", "disk.bmap"):
        (tmp_path / name).write_text(name)
    with serve_files({path.name: path for path in tmp_path.iterdir()}, "127.0.0.1") as base:
        assert get(base + "disk%20image.img")[1] == b"disk image.img"
        assert get(base + "disk.bmap")[1] == b"disk.bmap"
        with pytest.raises(urllib.error.HTTPError, match="404"):
            get(base)


@pytest.mark.parametrize("address", ["192.0.2.1", "not an address"])
def test_an_address_of_somebody_else(tmp_path: Path, address: str) -> None:
    with (
        pytest.raises(InfrastructureError, match="cannot be served") as caught,
        serve_file(tmp_path / "x", address),
    ):
        pass
    assert "http_ip" in caught.value.hint
