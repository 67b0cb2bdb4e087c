# SPDX-License-Identifier: Apache-2.0
"""Artefacts come once, are checked, and are taken from the cache afterwards."""

from __future__ import annotations

import gzip
import hashlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from executor.container.cache import Access, Cache, Got
from executor.container.cancel import Cancellation
from executor.container.store import Store
from executor.errors import InfrastructureError, InfrastructureTimeout, JobCanceled, JobError
from executor.model.deadline import Deadline
from executor.model.doorbell import Fetch
from executor.testing.web import WebServer

BODY = bytes(range(256)) * 4096  # 1 MiB


@pytest.fixture
def web() -> Iterator[WebServer]:
    with WebServer() as server:
        yield server


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(Store(tmp_path / "cache", keep_free=0))


def get(cache: Cache, url: str, access: Access | None = None, seconds: float = 20, **options: Any) -> Got:
    return cache.fetch(Fetch(url, **options), access or Access(), deadline=Deadline.after(seconds))


def content(cache: Cache, got: Got) -> bytes:
    return cache.store.path(got.key).read_bytes()


def no_leftovers(cache: Cache) -> bool:
    return not list((cache.store.root / "incoming").iterdir())


def test_second_fetch_asks_the_server_and_downloads_nothing(web: WebServer, cache: Cache) -> None:
    url = web.put("/kernel", BODY, etag='"1"')
    first = get(cache, url)
    second = get(cache, url)
    assert content(cache, first) == BODY
    assert first.sha256 == hashlib.sha256(BODY).hexdigest()
    assert (first.downloaded, first.transferred_size) == (len(BODY), len(BODY))
    assert (second.downloaded, second.key) == (0, first.key)
    assert web.requests[1][1]["if-none-match"] == '"1"'


def test_last_modified_serves_where_there_is_no_etag(web: WebServer, cache: Cache) -> None:
    url = web.put("/kernel", BODY, modified="Wed, 01 Jan 2025 00:00:00 GMT")
    assert get(cache, url).downloaded == len(BODY)
    assert get(cache, url).downloaded == 0


def test_changed_file_is_downloaded_again(web: WebServer, cache: Cache) -> None:
    url = web.put("/kernel", b"old", etag='"1"')
    get(cache, url)
    web.put("/kernel", b"new!", etag='"2"')
    got = get(cache, url)
    assert content(cache, got) == b"new!"
    assert got.downloaded == 4


def test_known_checksum_needs_no_server(web: WebServer, cache: Cache) -> None:
    url = web.put("/kernel", BODY)
    get(cache, url)
    assert get(cache, url, sha256sum=hashlib.sha256(BODY).hexdigest().upper()).downloaded == 0
    assert len(web.requests) == 1


def test_headers_of_the_job_reach_the_server(web: WebServer, cache: Cache) -> None:
    get(cache, web.put("/a", b"x"), headers={"PRIVATE-TOKEN": "s3cret"})
    assert web.requests[0][1]["private-token"] == "s3cret"


@pytest.mark.parametrize("name", ["md5", "sha256", "sha512"])
def test_checksums_are_of_the_downloaded_bytes(web: WebServer, cache: Cache, name: str) -> None:
    packed = gzip.compress(BODY)
    url = web.put("/rootfs.gz", packed, etag='"1"')
    right = hashlib.new(name, packed).hexdigest()
    got = get(cache, url, compression="gz", **{f"{name}sum": right})
    assert content(cache, got) == BODY
    again = get(cache, url, compression="gz", **{f"{name}sum": right})
    assert (again.downloaded, again.decompressed) == (0, 0)
    with pytest.raises(JobError, match=f"the {name} checksum"):
        get(cache, url, compression="gz", **{f"{name}sum": "0" * len(right)})


def test_wrong_checksum_leaves_nothing(web: WebServer, cache: Cache) -> None:
    url = web.put("/kernel", BODY)
    with pytest.raises(JobError, match="the md5 checksum of .* the job says 00"):
        get(cache, url, md5sum="00")
    assert not list((cache.store.root / "objects").iterdir())
    assert no_leftovers(cache)


def test_decompressed_form_is_kept_too(web: WebServer, cache: Cache) -> None:
    url = web.put("/rootfs.gz", gzip.compress(BODY + bytes(8 << 20)), etag='"1"')
    first = get(cache, url, compression="gz")
    second = get(cache, url, compression="gz")
    packed = get(cache, url)
    assert (first.size, first.decompressed) == (9 << 20, 9 << 20)
    assert (second.downloaded, second.decompressed) == (0, 0)
    assert packed.downloaded == 0
    assert packed.size == packed.transferred_size < 1 << 20
    assert cache.store.path(first.key).stat().st_blocks * 512 < 2 << 20, "zeros take no space"


def test_wrong_compression_is_the_jobs_fault(web: WebServer, cache: Cache) -> None:
    with pytest.raises(JobError, match="not xz data"):
        get(cache, web.put("/rootfs", BODY), compression="xz")
    assert no_leftovers(cache)


def test_damaged_download_is_told_by_its_checksum_first(web: WebServer, cache: Cache) -> None:
    packed = bytearray(gzip.compress(BODY))
    packed[len(packed) // 2] ^= 0xFF
    url = web.put("/rootfs.gz", bytes(packed))
    with pytest.raises(JobError, match="sha256 checksum"):
        get(cache, url, compression="gz", sha256sum=hashlib.sha256(gzip.compress(BODY)).hexdigest())


def test_cut_connection_is_resumed(web: WebServer, cache: Cache) -> None:
    url = web.put("/kernel", BODY, etag='"1"', cut_after=[100_000, 300_000])
    got = get(cache, url)
    assert content(cache, got) == BODY
    assert web.requests[1][1]["range"] == "bytes=100000-"
    assert web.requests[2][1]["range"] == "bytes=400000-"
    assert got.downloaded == len(BODY)


def test_server_without_ranges_is_read_again_up_to_the_cut(web: WebServer, cache: Cache) -> None:
    got = get(cache, web.put("/kernel", BODY, etag='"1"', ranges=False, cut_after=[100_000]))
    assert content(cache, got) == BODY
    assert got.downloaded == len(BODY) + 100_000


def test_file_that_changes_between_two_pieces_is_not_sewn_together(web: WebServer, cache: Cache) -> None:
    url = web.put("/kernel", BODY, etag='"1"', cut_after=[100_000])

    class Changing(list[int]):
        def pop(self, index: Any = -1) -> int:
            web.put("/kernel", BODY[::-1], etag='"2"')
            return super().pop(index)

    web.pages["/kernel"].cut_after = Changing([100_000])
    with pytest.raises(InfrastructureError, match="was cut after 100000 of 1048576 bytes"):
        get(cache, url)


def test_body_shorter_than_announced_is_infrastructure(web: WebServer, cache: Cache) -> None:
    with pytest.raises(InfrastructureError, match=r"was cut after 5 of 9 bytes"):
        get(cache, web.put("/kernel", b"short", length=9, ranges=False))


def test_missing_file_names_the_answer(web: WebServer, cache: Cache) -> None:
    with pytest.raises(InfrastructureError, match="answered 404"):
        get(cache, web.address + "/nothing")


def test_unreachable_server(cache: Cache) -> None:
    with pytest.raises(InfrastructureError, match="cannot be reached"):
        get(cache, "http://127.0.0.1:9/kernel")


def test_redirect_is_followed_without_the_jobs_headers_to_another_server(
    web: WebServer, cache: Cache
) -> None:
    with WebServer() as other:
        target = other.put("/real", b"there")
        url = web.put("/moved", status=302, location=target)
        got = get(cache, url, headers={"PRIVATE-TOKEN": "s3cret"})
        assert content(cache, got) == b"there"
        assert "private-token" not in other.requests[0][1]


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher:x", "http://[bad"])
def test_redirect_out_of_http_is_refused(web: WebServer, cache: Cache, target: str) -> None:
    with pytest.raises(JobError, match="not an http or https URL"):
        get(cache, web.put("/moved", status=302, location=target))


def test_endless_redirects(web: WebServer, cache: Cache) -> None:
    with pytest.raises(InfrastructureError, match="redirects more than"):
        get(cache, web.put("/loop", status=302, location="/loop"))


def test_too_large_is_refused_before_and_while_it_comes(web: WebServer, cache: Cache) -> None:
    with pytest.raises(JobError, match=r"1048576 bytes, more than the 1000"):
        get(cache, web.put("/a", BODY), max_bytes=1000)
    with pytest.raises(JobError, match="more than the 1000"):
        get(cache, web.put("/b", BODY, length=-1), max_bytes=1000)
    assert no_leftovers(cache)


def test_credentials_of_a_url_are_not_shown(cache: Cache) -> None:
    with pytest.raises(InfrastructureError) as caught:
        get(cache, "http://user:hunter2@127.0.0.1:9/x?token=abc")
    assert "hunter2" not in str(caught.value)
    assert "abc" not in str(caught.value)


def test_two_jobs_download_the_same_once(web: WebServer, cache: Cache) -> None:
    hold = threading.Event()
    url = web.put("/kernel", BODY, etag='"1"', hold=hold)
    results: list[Got] = []
    threads = [threading.Thread(target=lambda: results.append(get(cache, url))) for _ in range(3)]
    for thread in threads:
        thread.start()
    hold.set()
    for thread in threads:
        thread.join(20)
    assert sorted(got.downloaded for got in results) == [0, 0, len(BODY)]


def test_cancel_reaches_a_silent_server(web: WebServer, cache: Cache) -> None:
    cancellation = Cancellation()
    url = web.put("/kernel", BODY, hold=threading.Event())
    seen = threading.Event()
    caught: list[BaseException] = []

    def work() -> None:
        try:
            cache.fetch(
                Fetch(url),
                Access(),
                deadline=Deadline.after(25),
                report=lambda stage, done, total: seen.set(),
                cancellation=cancellation,
            )
        except JobCanceled as error:
            caught.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert seen.wait(10)
    cancellation.cancel()
    thread.join(10)
    assert caught
    assert no_leftovers(cache)


def test_deadline_is_infrastructure(web: WebServer, cache: Cache) -> None:
    with pytest.raises(InfrastructureTimeout):
        get(cache, web.put("/kernel", BODY, hold=threading.Event()), seconds=0.3)


# -- local files


def test_local_file_is_read_once_while_it_does_not_change(cache: Cache, tmp_path: Path) -> None:
    lab = tmp_path / "lab"
    lab.mkdir()
    image = lab / "Image"
    image.write_bytes(BODY)
    access = Access((lab,))
    first = get(cache, f"file://{image}", access)
    (cache.store.root / "objects" / first.key).chmod(0o644)
    (cache.store.root / "objects" / first.key).write_bytes(b"x" * len(BODY))  # seen only if it is used again
    assert content(cache, get(cache, f"file://{image}", access)) == b"x" * len(BODY)
    image.write_bytes(BODY + b"longer")
    changed = get(cache, f"file://{image}", access)
    assert content(cache, changed) == BODY + b"longer"
    assert changed.downloaded == first.downloaded == 0


def test_compressed_local_file(cache: Cache, tmp_path: Path) -> None:
    image = tmp_path / "rootfs.ext4.gz"
    image.write_bytes(gzip.compress(BODY))
    got = get(cache, f"file://{image}", Access((tmp_path,)), compression="gz")
    again = get(cache, f"file://{image}", Access((tmp_path,)), compression="gz")
    assert content(cache, got) == BODY
    assert (got.decompressed, again.decompressed) == (len(BODY), 0)


def test_large_local_file_is_linked_and_dropped_when_it_changes(
    cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("executor.container.local.COPY_AT_MOST", 0)
    image = tmp_path / "disk.img"
    image.write_bytes(BODY)
    got = get(cache, f"file://{image}", Access((tmp_path,)))
    assert cache.store.path(got.key).stat().st_ino == image.stat().st_ino
    assert cache.store.size() == 0, "the user's own file is not the cache's"
    image.write_bytes(BODY[::-1] + b"!")
    assert cache.store.meta(got.key) is None
    again = get(cache, f"file://{image}", Access((tmp_path,)))
    assert content(cache, again) == BODY[::-1] + b"!"


def test_holes_stay_holes(cache: Cache, tmp_path: Path) -> None:
    image = tmp_path / "disk.img"
    with image.open("wb") as file:
        file.seek(64 << 20)
        file.write(b"end")
    got = get(cache, f"file://{image}", Access((tmp_path,)))
    stored = cache.store.path(got.key).stat()
    assert stored.st_size == (64 << 20) + 3
    assert stored.st_blocks * 512 < 1 << 20


@pytest.mark.parametrize("kind", ["elsewhere", "link", "dots", "host", "relative"])
def test_local_files_out_of_bounds(cache: Cache, tmp_path: Path, kind: str) -> None:
    allowed, outside = tmp_path / "allowed", tmp_path / "secret"
    allowed.mkdir()
    outside.write_text("secret")
    (allowed / "link").symlink_to(outside)
    url = {
        "elsewhere": f"file://{outside}",
        "link": f"file://{allowed}/link",
        "dots": f"file://{allowed}/%2e%2e/secret",
        "host": f"file://otherhost{outside}",
        "relative": "file:secret",
    }[kind]
    with pytest.raises(JobError):
        get(cache, url, Access((allowed,)))


def test_single_file_may_be_allowed(cache: Cache, tmp_path: Path) -> None:
    image = tmp_path / "Image"
    image.write_bytes(b"kernel")
    assert content(cache, get(cache, f"file://{image}", Access(files=(image,)))) == b"kernel"


@pytest.mark.parametrize("kind", ["missing", "directory", "pipe"])
def test_local_files_that_are_none(cache: Cache, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x"
    if kind == "directory":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    with pytest.raises(InfrastructureError):
        get(cache, f"file://{path}", Access((tmp_path,)))


def test_other_schemes_are_refused(cache: Cache) -> None:
    with pytest.raises(JobError, match="no way to download") as caught:
        get(cache, "ftp://127.0.0.1/x")
    assert "file, http, https" in caught.value.hint


# -- room and rubbish


def test_least_recently_used_goes_first_and_pinned_stays(web: WebServer, tmp_path: Path) -> None:
    now = [1000.0]
    store = Store(tmp_path / "cache", max_bytes=300_000, keep_free=0, clock=lambda: now[0])
    cache = Cache(store)
    keys = {}
    for name in "abc":
        now[0] += 10
        keys[name] = get(cache, web.put(f"/{name}", os.urandom(90_000), etag='"1"')).key
        if name == "a":
            store.pin("job-1", [keys["a"]], now[0] + 100)
    now[0] += 10
    get(cache, f"{web.address}/b")
    get(cache, web.put("/d", os.urandom(90_000)))
    assert [name for name in "abc" if store.meta(keys[name])] == ["a", "b"]
    now[0] += 1000  # the pin is over, and /a is the oldest
    get(cache, web.put("/e", os.urandom(90_000)))
    assert store.meta(keys["a"]) is None


def test_full_disk_is_told_with_numbers(tmp_path: Path) -> None:
    store = Store(tmp_path / "cache")
    with pytest.raises(InfrastructureError, match=r"no room for \d+ bytes"):
        store.make_room(1 << 60)


def test_torn_downloads_are_removed_at_start_but_not_those_under_way(tmp_path: Path) -> None:
    store = Store(tmp_path / "cache")
    torn = store.root / "incoming" / "123-dead"
    torn.write_bytes(b"half")
    torn.with_suffix(".lock").touch()
    with store.incoming() as part:
        part.write_bytes(b"under way")
        Store(tmp_path / "cache")
        assert part.exists()
        assert not torn.exists()
    assert not list((store.root / "incoming").iterdir())


def test_truncated_object_is_not_used(web: WebServer, cache: Cache) -> None:
    url = web.put("/kernel", BODY, etag='"1"')
    got = get(cache, url)
    os.truncate(cache.store.path(got.key), 10)
    assert content(cache, get(cache, url)) == BODY
