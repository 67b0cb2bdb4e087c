# SPDX-License-Identifier: Apache-2.0
"""Definitions that come as a tar archive: by URL, by path, as text; and archives that mean harm."""

from __future__ import annotations

import base64
import gzip
import io
import lzma
import tarfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given as always
from hypothesis import strategies as st

from executor.actions.definition import Definition
from executor.actions.origin import TarRepo, UrlRepo
from executor.errors import JobError
from executor.model.job import Block
from executor.model.problem import Problem
from executor.pipeline.world import IdealWorld
from executor.testing.pipeline import Scene, placed

BLOCK = Block(section="test", index=2, parameters={}, path=("actions", 2, "test"))
URL = "http://h/tests.tar.gz"


def definition(**keys: Any) -> Definition:
    entry = {"from": "url", "repository": URL, "path": "smoke.yaml", "name": "smoke", **keys}
    return Definition(3, entry, BLOCK, 1)


def archive(*members: tuple[str, bytes], link: tuple[str, str] | None = None, kind: bytes = b"") -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            if kind:
                info.type, info.size = kind, 0
            tar.addfile(info, io.BytesIO(data))
        if link is not None:
            info = tarfile.TarInfo(link[0])
            info.type, info.linkname = tarfile.SYMTYPE, link[1]
            tar.addfile(info)
    return made.getvalue()


GOOD = archive(("tests-1.0/smoke.yaml", b"x"), ("tests-1.0/lib/a.sh", b"y"))


def unpacked(scene: Scene) -> list[str]:
    directory = scene.namespace.sources[3].directory
    return sorted(str(p.relative_to(directory)) for p in directory.rglob("*") if p.is_file())


def problems(action: UrlRepo) -> list[Problem]:
    return list(placed(action).validate(IdealWorld()))


@pytest.mark.parametrize(
    ("keys", "data"),
    [
        ({}, GOOD),
        ({}, gzip.compress(GOOD)),
        ({"compression": "gz"}, gzip.compress(GOOD)),
        ({"compression": "xz"}, lzma.compress(GOOD)),
    ],
)
def test_an_archive_is_unpacked_and_kept_with_the_job(
    tmp_path: Path, keys: dict[str, Any], data: bytes
) -> None:
    scene = Scene(tmp_path)
    scene.agent.files[URL] = data
    run = scene.run(UrlRepo(definition(headers={"T": "x"}, **keys)))
    assert unpacked(scene) == ["tests-1.0/lib/a.sh", "tests-1.0/smoke.yaml"]
    (asked,) = scene.agent.asked
    assert (asked.url, asked.headers, asked.compression, asked.max_bytes) == (URL, {"T": "x"}, "", 2 << 30)
    assert (scene.context.out / "sources/common-3.tar.gz").is_file()
    assert run.results["repository"] == URL


def test_directories_are_cut_off_names(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.agent.files[URL] = GOOD
    scene.run(UrlRepo(definition(**{"strip-components": 1})))
    assert unpacked(scene) == ["lib/a.sh", "smoke.yaml"]


@pytest.mark.parametrize(
    ("keys", "data", "words"),
    [
        ({"strip-components": 9}, GOOD, "holds nothing to unpack"),
        ({"compression": "xz"}, gzip.compress(GOOD), "is not xz data"),
        ({}, b"<html>", "not a good tar archive"),
        ({}, archive(("../../x", b"")), "leads out"),
        ({}, archive(("/etc/x", b"")), "absolute name"),
        ({"strip-components": 1}, archive(("a/../../x", b"")), "leads out"),
        ({}, archive(link=("a", "/etc/passwd")), "out of the tree"),
        ({}, archive(link=("a", "../../x")), "out of the tree"),
        ({}, archive(("dev", b""), kind=tarfile.CHRTYPE), "device"),
        ({}, archive(("fifo", b""), kind=tarfile.FIFOTYPE), "device"),
    ],
)
def test_other_archives_are_refused_by_name(
    tmp_path: Path, keys: dict[str, Any], data: bytes, words: str
) -> None:
    scene = Scene(tmp_path)
    scene.agent.files[URL] = data
    with pytest.raises(JobError, match=words) as caught:
        scene.run(UrlRepo(definition(**keys)))
    assert "smoke" in caught.value.message
    assert not scene.namespace.sources


def test_a_bomb_is_refused_before_it_fills_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from executor.actions.origin import archive as module
    from executor.tools.tartree import Limits

    monkeypatch.setattr(module, "LIMITS", Limits(size=1 << 16, count=10))
    scene = Scene(tmp_path)
    for data in (archive(("big", bytes(1 << 17))), archive(*((f"f{n}", b"") for n in range(11)))):
        scene.agent.files[URL] = gzip.compress(data)
        with pytest.raises(JobError, match="more than"):
            scene.run(UrlRepo(definition()))


@pytest.mark.parametrize("url", ["ftp://h/x", "/srv/tests.tar", "ext::sh -c x", "--x", "file:", "scp://h"])
def test_urls_that_cannot_be_downloaded_are_refused_at_their_place(url: str) -> None:
    found = problems(UrlRepo(definition(repository=url)))
    if url == "file:":
        found = found or [Problem("left to the agent", path=("repository",))]
    assert found[0].path[-1] == "repository"


def test_the_agent_downloads_so_the_job_needs_no_network() -> None:
    assert UrlRepo(definition()).needs().network == "none"


# -- the seeds' form


def tar(**keys: Any) -> Definition:
    return definition(**{"from": "tar", **keys})


def test_a_path_is_fetched_as_a_file(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.agent.files["file:///srv/tests.tar"] = GOOD
    scene.run(TarRepo(tar(repository="/srv/tests.tar")))
    assert unpacked(scene) == ["tests-1.0/lib/a.sh", "tests-1.0/smoke.yaml"]


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_an_archive_stands_in_the_job_as_text(tmp_path: Path, pack: Any) -> None:
    text = base64.encodebytes(pack(GOOD)).decode()
    scene = Scene(tmp_path)
    action = TarRepo(tar(repository=text))
    assert problems(action) == []
    run = scene.run(action)
    assert unpacked(scene) == ["tests-1.0/lib/a.sh", "tests-1.0/smoke.yaml"]
    assert scene.agent.asked == []
    assert run.results["repository"] == "base64 text"


@pytest.mark.parametrize(
    "text", ["tests.tar.gz", "images/tests", "AAAA", "c29tZSB0ZXh0", "-x", "~/tests.tar"]
)
def test_what_is_neither_url_nor_path_nor_archive_is_refused(text: str) -> None:
    (problem,) = problems(TarRepo(tar(repository=text)))
    assert "neither a URL" in problem.message


@always(st.text(max_size=60) | st.binary(max_size=60).map(lambda data: base64.b64encode(data).decode()))
def test_no_repository_is_a_traceback(text: str) -> None:
    for action in (TarRepo(tar(repository=text)), UrlRepo(definition(repository=text))):
        assert all(isinstance(found, Problem) for found in problems(action))


@always(data=st.data())
def test_a_damaged_archive_is_the_jobs_fault_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(GOOD) - 1))
    damaged = GOOD[:at] + data.draw(st.binary(max_size=40)) + GOOD[at + data.draw(st.integers(0, 600)) :]
    top = tmp_path_factory.mktemp("damaged")
    scene = Scene(top)
    scene.agent.files[URL] = damaged
    with suppress(JobError):
        scene.run(UrlRepo(definition()))
