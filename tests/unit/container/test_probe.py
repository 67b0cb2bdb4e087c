# SPDX-License-Identifier: Apache-2.0
"""What validation is told of URLs: certain refusals only, and nothing is downloaded for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from executor.container.cache import Access, Cache
from executor.container.store import Store
from executor.model.deadline import Deadline
from executor.model.doorbell import Fetch
from executor.testing.web import WebServer


@pytest.fixture
def web() -> Iterator[WebServer]:
    with WebServer() as server:
        yield server


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(Store(tmp_path / "cache", keep_free=0))


def probe(cache: Cache, url: str, *allowed: Path, tree: bool = False, seconds: float = 10) -> str:
    fetch = Fetch(url, headers={"TOKEN": "x"}, tree=tree)
    return cache.probe(fetch, Access(allowed), Deadline.after(seconds))


def test_a_file_that_is_there_is_asked_for_with_head_and_the_jobs_headers(
    cache: Cache, web: WebServer
) -> None:
    assert probe(cache, web.put("/kernel", b"x" * 1000)) == ""
    assert web.methods == ["HEAD"]
    assert web.requests[0][1]["token"] == "x"


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_what_the_server_refuses_is_told(cache: Cache, web: WebServer, status: int) -> None:
    url = web.put("/gone?secret=1", status=status)
    reason = probe(cache, url)
    assert f"the server answered {status} " in reason
    assert "secret" not in reason


@pytest.mark.parametrize("head", [403, 405, 501])
def test_servers_without_head_are_asked_with_get(cache: Cache, web: WebServer, head: int) -> None:
    assert probe(cache, web.put("/kernel", b"x", head=head)) == ""
    assert web.methods == ["HEAD", "GET"]
    assert "404" in probe(cache, web.put("/gone", status=404, head=head))


def test_redirects_are_followed_and_checked(cache: Cache, web: WebServer) -> None:
    there = web.put("/there", b"x")
    assert probe(cache, web.put("/moved", status=302, location=there)) == ""
    assert "404" in probe(cache, web.put("/lost", status=302, location="/nowhere"))
    assert "not an http or https URL" in probe(cache, web.put("/out", status=302, location="file:///etc/x"))


def test_trouble_of_a_server_is_left_to_the_download(cache: Cache, web: WebServer) -> None:
    assert probe(cache, web.put("/ill", status=503)) == ""
    assert probe(cache, "http://127.0.0.1:9/nobody") == ""
    assert probe(cache, web.address, seconds=0) == ""


def test_other_schemes_are_left_to_the_download(cache: Cache) -> None:
    assert probe(cache, "scp://h/x") == probe(cache, "rclone://r/x") == ""


def test_local_files_must_be_there_and_allowed(cache: Cache, tmp_path: Path) -> None:
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    (allowed / "kernel").touch()
    assert probe(cache, (allowed / "kernel").as_uri(), allowed) == ""
    assert probe(cache, allowed.as_uri(), allowed, tree=True) == ""
    assert "is a directory" in probe(cache, allowed.as_uri(), allowed)
    assert "there is no file" in probe(cache, (allowed / "x").as_uri(), allowed)
    assert "not below a directory" in probe(cache, "file:///etc/passwd", allowed)
    assert "does not name a local file" in probe(cache, "file://host/x", allowed)
