# SPDX-License-Identifier: Apache-2.0
"""Directories of the host as archives for jobs: always the same bytes, never more than what lies there."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pytest

from executor.container import tree
from executor.container.cache import Access, Cache, Got
from executor.container.cancel import Cancellation
from executor.container.store import Store
from executor.container.tree import pack
from executor.errors import InfrastructureError, InfrastructureTimeout, JobCanceled, JobError
from executor.model.deadline import Deadline
from executor.model.doorbell import Fetch


@pytest.fixture
def tests(tmp_path: Path) -> Path:
    top = tmp_path / "allowed" / "tests"
    (top / "lib").mkdir(parents=True)
    (top / "smoke.yaml").write_text("x")
    (top / "lib/run.sh").write_text("y")
    (top / "lib/run.sh").chmod(0o750)
    (top / "link").symlink_to("lib/run.sh")
    return top


def packed(source: Path, target: Path) -> bytes:
    pack(source, target, Deadline.after(20), Cancellation())
    return target.read_bytes()


def test_the_same_files_give_the_same_bytes(tests: Path, tmp_path: Path) -> None:
    first = packed(tests, tmp_path / "1.tar")
    os.utime(tests / "smoke.yaml", (5, 5))
    assert packed(tests, tmp_path / "2.tar") == first
    with tarfile.open(tmp_path / "1.tar") as tar:
        found = {m.name: (oct(m.mode), m.linkname, m.uname) for m in tar}
    assert found == {
        "lib": ("0o755", "", "root"),
        "lib/run.sh": ("0o755", "", "root"),
        "link": ("0o755", "lib/run.sh", "root"),
        "smoke.yaml": ("0o644", "", "root"),
    }


def test_a_file_alone_is_an_archive_of_one(tests: Path, tmp_path: Path) -> None:
    packed(tests / "smoke.yaml", tmp_path / "1.tar")
    with tarfile.open(tmp_path / "1.tar") as tar:
        assert tar.getnames() == ["smoke.yaml"]


def test_links_are_taken_as_links(tests: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/key").write_text("s3cret")
    (tests / "out").symlink_to(tmp_path / "secret")
    assert b"s3cret" not in packed(tests, tmp_path / "1.tar")


def test_a_pipe_is_refused(tests: Path, tmp_path: Path) -> None:
    os.mkfifo(tests / "lib/pipe")
    with pytest.raises(JobError, match="lib/pipe is neither"):
        packed(tests, tmp_path / "1.tar")


@pytest.mark.parametrize(("name", "most"), [("MAX_FILES", 3), ("MAX_BYTES", 1)])
def test_too_much_is_refused(
    tests: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, most: int
) -> None:
    monkeypatch.setattr(tree, name, most)
    with pytest.raises(JobError, match="holds more than"):
        packed(tests, tmp_path / "1.tar")


def test_a_directory_that_became_a_link_is_not_followed(tests: Path, tmp_path: Path) -> None:
    tests.parent.rename(tmp_path / "moved")
    tests.parent.symlink_to(tmp_path / "moved")
    for number, path in enumerate((tests, tests / "smoke.yaml", tests.parent)):
        with pytest.raises(InfrastructureError, match=r"was moved|cannot be read"):
            packed(path, tmp_path / f"{number}.tar")


def test_time_and_cancel_end_it(tests: Path, tmp_path: Path) -> None:
    with pytest.raises(InfrastructureTimeout):
        pack(tests, tmp_path / "1.tar", Deadline.after(0), Cancellation())
    canceled = Cancellation()
    canceled.cancel()
    with pytest.raises(JobCanceled):
        pack(tests, tmp_path / "2.tar", Deadline.after(20), canceled)


# -- through the cache


def get(cache: Cache, path: Path, *allowed: Path, **options: str) -> Got:
    fetch = Fetch(path.as_uri(), tree=True, **options)  # type: ignore[arg-type]
    return cache.fetch(fetch, Access(allowed), deadline=Deadline.after(20))


def test_a_directory_is_an_object_of_the_cache(tests: Path, tmp_path: Path) -> None:
    cache = Cache(Store(tmp_path / "cache", keep_free=0))
    first = get(cache, tests, tests.parent)
    assert get(cache, tests, tests.parent).key == first.key
    (tests / "smoke.yaml").write_text("changed")
    assert get(cache, tests, tests.parent).key != first.key
    with pytest.raises(JobError, match="sha256 checksum"):
        get(cache, tests, tests.parent, sha256sum=first.sha256)
    assert not list((cache.store.root / "incoming").iterdir())


def test_only_below_the_allowed_directories(tests: Path, tmp_path: Path) -> None:
    cache = Cache(Store(tmp_path / "cache", keep_free=0))
    (tests / "up").symlink_to(tmp_path)
    for path in (tmp_path, tests / "up", tests / ".." / "..", Path("/etc")):
        with pytest.raises(JobError, match="not below a directory"):
            get(cache, path, tests)
    with pytest.raises(InfrastructureError, match="cannot be read"):
        get(cache, tests / "missing", tests)
