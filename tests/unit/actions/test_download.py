# SPDX-License-Identifier: Apache-2.0
"""Downloads: what is asked of the agent, what is told, what may be replaced."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path
from typing import Any

import pytest

from executor.actions.download import DownloadRetry, FileDownload, HttpDownload, check_scheme, expand
from executor.actions.guest import AppendOverlays
from executor.errors import InfrastructureError, JobError
from executor.model import journal
from executor.model.device import Device
from executor.model.job import Resource
from executor.model.problem import Problem
from executor.pipeline.world import IdealWorld
from executor.testing import jobs
from executor.testing.pipeline import Scene, planned

URL = "http://h/Image"


def download(key: str = "kernel", url: str = URL, **fields: object) -> HttpDownload:
    return HttpDownload(key, Resource(url=url, **fields), url)  # type: ignore[arg-type]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    made = Scene(tmp_path)
    made.agent.files[URL] = b"kernel"
    return made


def test_what_came_is_an_artefact_and_a_result(scene: Scene) -> None:
    run = scene.run(download(image_arg="-kernel {kernel}"))
    artifact = scene.namespace.artifacts["kernel"]
    assert artifact.path.read_bytes() == b"kernel"
    assert (artifact.size, artifact.shared, artifact.image_arg) == (6, True, "-kernel {kernel}")
    assert run.results["sha256sum"] == artifact.sha256
    assert run.results["downloaded"] == 6
    assert scene.journal.messages(journal.PROGRESS) == [
        {"what": "kernel", "stage": "download", "done": 6, "total": 6}
    ]


def test_sums_headers_and_bounds_reach_the_agent(scene: Scene) -> None:
    sums = {"md5sum": "0" * 32, "sha512sum": "1" * 128}
    scene.run(download(headers={"A": "b"}, **sums))
    (asked,) = scene.agent.asked
    assert (asked.url, asked.label, asked.headers) == (URL, "kernel", {"A": "b"})
    assert (asked.md5sum, asked.sha256sum, asked.sha512sum) == (sums["md5sum"], "", sums["sha512sum"])
    assert asked.max_bytes == scene.context.worker.limits.download_bytes


@pytest.mark.parametrize(
    ("key", "compression", "asked", "kept"),
    [
        ("rootfs", None, "", ""),
        ("rootfs", "gz", "gz", ""),
        ("rootfs", "zstd", "zstd", ""),
        ("rootfs", "zip", "", "zip"),
        ("ramdisk", "gz", "", "gz"),
    ],
)
def test_compression_is_taken_off_but_for_ramdisks_and_zip(
    scene: Scene, key: str, compression: str | None, asked: str, kept: str
) -> None:
    scene.run(download(key, compression=compression))
    assert scene.agent.asked[0].compression == asked
    assert scene.namespace.artifacts[key].compression == kept


def test_an_error_of_the_agent_is_the_actions(scene: Scene) -> None:
    scene.agent.failures = [InfrastructureError("status 503"), JobError("checksum")]
    for expected in (InfrastructureError, JobError):
        with pytest.raises(expected):
            scene.run(download())
    assert download().timeout_error is InfrastructureError


def test_archives_are_unpacked_into_a_directory_of_their_name(scene: Scene) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("bios/bios.bin"))
    scene.agent.files[URL] = buffer.getvalue()
    scene.run(download("uefi", archive="tar"))
    scene.run(download("uefi", archive="tar"))
    artifact = scene.namespace.artifacts["uefi"]
    assert (artifact.path / "bios/bios.bin").is_file()
    assert (artifact.path.name, artifact.shared) == ("uefi", False)
    assert "work" in download("uefi", archive="tar").needs().mounts


# -- replaced by the user


def replaced(tmp_path: Path, content: bytes, **fields: Any) -> tuple[Scene, HttpDownload]:
    own = tmp_path / "my files" / "Im#age%"
    scene = Scene(tmp_path, replace={"kernel": str(own), "rootfs": str(own), "ramdisk": str(own)})
    scene.agent.files[own.as_uri()] = content
    return scene, download(**fields)


def test_a_replaced_artefact_is_taken_as_it_is_and_said(tmp_path: Path) -> None:
    scene, action = replaced(tmp_path, b"mine", compression="gz", sha256sum="0" * 64)
    scene.run(action)
    assert scene.namespace.artifacts["kernel"].path.read_bytes() == b"mine"
    (asked,) = scene.agent.asked
    assert (asked.compression, asked.sha256sum) == ("", ""), "the sums are those of the other file"
    assert any("replaced" in text for text in scene.journal.messages(journal.WARNING))
    assert scene.namespace.artifacts["kernel"].url == URL


def test_a_replacement_may_be_packed_as_the_original_was(tmp_path: Path) -> None:
    scene, action = replaced(tmp_path, gzip.compress(b"mine", mtime=0), compression="gz")
    scene.run(action)
    assert [asked.compression for asked in scene.agent.asked] == ["", "gz"]


@pytest.mark.parametrize(("content", "kept"), [(gzip.compress(b"x", mtime=0), "gz"), (b"070701", "")])
def test_a_replaced_ramdisk_is_what_its_first_bytes_say(tmp_path: Path, content: bytes, kept: str) -> None:
    scene, _ = replaced(tmp_path, content)
    scene.run(download("ramdisk", compression="gz"))
    assert scene.namespace.artifacts["ramdisk"].compression == kept


# -- planning


def problems(url: str, **fields: object) -> list[Problem]:
    deploy = jobs.deploy(images={"rootfs": {"url": url, "image_arg": "-hda {rootfs}", **fields}})
    found = planned(jobs.job(deploy, jobs.boot()), jobs.device())
    if found.errors:
        return found.errors
    return [p for action in found.walk() for p in action.validate(IdealWorld())]


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://h/x", "http-download"),
        ("HTTPS://h/x", "http-download"),
        ("file:///srv/x", "file-download"),
        ("file://localhost/srv/x", "file-download"),
    ],
)
def test_the_scheme_decides_who_downloads(url: str, name: str) -> None:
    deploy = jobs.deploy(images={"rootfs": {"url": url, "image_arg": "-hda {rootfs}"}})
    found = planned(jobs.job(deploy, jobs.boot()), jobs.device())
    assert name in [action.name for action in found.walk()]
    assert problems(url) == []


@pytest.mark.parametrize("url", ["ftp://h/x", "x", "/srv/x", "git::http://h/x", "http//h", "//[x"])
def test_other_schemes_are_refused_with_those_that_work(url: str) -> None:
    (problem,) = problems(url)
    assert repr(url) in problem.message
    assert "http" in problem.hint
    assert problem.path == ("actions", 0, "deploy", "images", "rootfs", "url")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://h/dir/", "names a directory"),
        ("file://otherhost/x", "no absolute file URL"),
        ("file:images/x", "no absolute file URL"),
        ("file://images/x", "no absolute file URL"),
    ],
)
def test_urls_that_cannot_be_a_file_are_refused(url: str, words: str) -> None:
    (problem,) = problems(url)
    assert words in problem.message
    assert problem.path[-1] == "url"


def test_further_overlays_are_downloaded_before_they_are_appended() -> None:
    more = {"url": "scp://me@h/o.tar", "format": "tar", "path": "/opt"}
    file = {"url": "http://h/f.gz", "format": "file", "path": "/etc/f", "compression": "gz"}
    image = {"url": URL, "format": "ext4", "overlays": {"lava": True, "a": more, "b": file}}
    job = jobs.job(jobs.deploy(images={"rootfs": image}), jobs.boot(), jobs.shell_test())
    found = planned(job, jobs.device())
    retry = next(a for a in found.walk() if isinstance(a, DownloadRetry))
    below = [(a.name, a.label) for a in retry.walk()]
    assert below == [
        ("download-retry", "rootfs"),
        ("http-download", f"rootfs {URL}"),
        ("download-retry", "rootfs.a"),
        ("scp-download", "rootfs.a scp://me@h/o.tar"),
        ("download-retry", "rootfs.b"),
        ("http-download", "rootfs.b http://h/f.gz"),
        ("append-overlays", "rootfs"),
    ]


def test_a_further_overlay_needs_no_test() -> None:
    more = {"url": "http://h/o.tar", "format": "tar", "path": "/"}
    image = {"url": URL, "format": "ext4", "overlays": {"lava": True, "more": more}}
    found = planned(jobs.job(jobs.deploy(images={"rootfs": image}), jobs.boot()), jobs.device())
    (append,) = [a for a in found.walk() if isinstance(a, AppendOverlays)]
    assert not append.lava


@pytest.mark.parametrize(
    "url",
    [
        "scp://h",
        "scp://h/",
        "scp://me:pw@h/x",
        "scp://-oProxyCommand=x/y",
        "scp://-x@h/y",
        "scp:///x",
        "scp://h:x/y",
    ],
)
def test_scp_urls_that_cannot_be_are_refused(url: str) -> None:
    (problem,) = problems(url)
    assert problem.path[-1] == "url"
    assert "pw" not in problem.message


@pytest.mark.parametrize(
    "url", ["http://h/x.tar", "https://h/x", "file:///x", "scp://me@h:22/x", "rclone://r/x"]
)
def test_what_an_agent_can_fetch(url: str) -> None:
    check_scheme(url)


@pytest.mark.parametrize("url", ["ftp://h/x", "downloads://x", "", "x", "scp://h"])
def test_what_it_cannot(url: str) -> None:
    with pytest.raises(JobError):
        check_scheme(url)


@pytest.mark.parametrize(
    ("use_cache", "asked"),
    [
        (None, ["http://cache/?u=http%3A%2F%2Fh%2FImage"]),
        (True, ["http://cache/?u=http%3A%2F%2Fh%2FImage"]),
        (False, [URL]),
    ],
)
def test_the_labs_http_cache_is_asked_unless_the_job_objects(
    tmp_path: Path, use_cache: bool | None, asked: list[str]
) -> None:
    scene = Scene(tmp_path, http_cache="http://cache/?u=%s")
    scene.agent.files = {URL: b"origin", "http://cache/?u=http%3A%2F%2Fh%2FImage": b"cached"}
    scene.run(download(use_cache=use_cache))
    assert [fetch.url for fetch in scene.agent.asked] == asked


def test_a_cache_that_fails_is_gone_around(tmp_path: Path) -> None:
    scene = Scene(tmp_path, http_cache="http://cache/?u=%s")
    scene.agent.files[URL] = b"origin"
    scene.run(download())
    assert scene.namespace.artifacts["kernel"].path.read_bytes() == b"origin"
    assert "not from the HTTP cache" in str(scene.journal.messages(journal.WARNING)[0])


def test_placeholders_come_from_the_device() -> None:
    device = Device(static_info=[{"HOST": "h1", "N": 7}, {"N": 8}])
    assert expand("http://{HOST}/{N}/{OTHER}/${x}", device) == "http://h1/8/{OTHER}/${x}"


def test_a_failed_download_is_tried_again_as_the_block_says() -> None:
    found = planned(jobs.job(jobs.deploy(failure_retry=3), jobs.boot()), jobs.device())
    retry = next(action for action in found.walk() if isinstance(action, DownloadRetry))
    assert (retry.max_attempts, retry.label) == (3, "rootfs")
    assert isinstance(retry.children[0], HttpDownload)
    assert not isinstance(retry.children[0], FileDownload)


def test_a_password_in_a_url_reaches_the_agent_and_nobody_else(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    url = "http://me:hunter2@h/Image"
    scene.agent.files[url] = b"kernel"
    action = download(url=url)
    run = scene.run(action)
    assert scene.agent.asked[0].url == url
    assert "hunter2" not in f"{action.label} {run.results} {scene.journal.records}"
