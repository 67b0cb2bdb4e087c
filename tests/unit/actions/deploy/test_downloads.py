# SPDX-License-Identifier: Apache-2.0
"""`to: downloads` and the files that later blocks name by `downloads://`."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path
from typing import Any

import pytest

from executor.actions.deploy.downloads import DeployDownloads, DownloadsParameters, NamedDownload
from executor.actions.download import PreDownloaded
from executor.actions.overlay import LavaOverlay
from executor.errors import JobError
from executor.model.device import Device
from executor.model.job import Resource
from executor.pipeline.check import Checked, check_job
from executor.pipeline.world import FarmWorld, IdealWorld, World
from executor.testing import jobs
from executor.testing.pipeline import Scene, placed


def brought(scene: Scene, label: str, url: str, content: bytes, *, uniquify: bool = False) -> None:
    """`label` was downloaded by an earlier block."""
    scene.artifact(label, content, url=url)
    action = NamedDownload(label, Resource(url=url), uniquify=uniquify)
    action.after(scene.attempt(placed(action)))


def taken(scene: Scene, url: str, key: str = "boot", **fields: Any) -> Path:
    """What a later block gets for `url`."""
    scene.run(PreDownloaded(key, Resource(url=url, **fields), url))
    return scene.namespace.artifacts[key].path


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    made = Scene(tmp_path)
    brought(made, "kernel", "http://h/a/Image", b"kernel")
    return made


@pytest.mark.parametrize("url", ["downloads://Image", "downloads:///Image"])
def test_a_file_is_found_by_its_name_and_not_copied(scene: Scene, url: str) -> None:
    assert taken(scene, url) == scene.namespace.artifacts["kernel"].path
    assert scene.namespace.artifacts["boot"].sha256 == hashlib.sha256(b"kernel").hexdigest()
    assert (scene.context.work / "downloads" / "common" / "Image").read_bytes() == b"kernel"
    assert scene.agent.asked == []


def test_uniquify_gives_each_label_a_directory(scene: Scene) -> None:
    brought(scene, "rootfs", "http://h/b/Image", b"root", uniquify=True)
    assert taken(scene, "downloads://rootfs/Image").read_bytes() == b"root"
    assert taken(scene, "downloads://Image").read_bytes() == b"kernel"


def test_the_sums_of_the_block_are_held_to(scene: Scene) -> None:
    good = hashlib.md5(b"kernel").hexdigest()  # noqa: S324
    taken(scene, "downloads://Image", md5sum=good.upper())
    with pytest.raises(JobError, match="md5 checksum of Image is"):
        taken(scene, "downloads://Image", md5sum="0" * 32)


def test_what_is_packed_is_unpacked_for_the_block_that_says_so(scene: Scene) -> None:
    brought(scene, "packed", "http://h/root.img.gz", gzip.compress(b"root" * 2000))
    assert taken(scene, "downloads://root.img.gz", compression="gz").read_bytes() == b"root" * 2000
    assert (
        taken(scene, "downloads://root.img.gz", "ramdisk", compression="gz").read_bytes()[:2] == b"\x1f\x8b"
    )


def test_a_file_that_was_made_of_a_download_counts_but_no_link_out_of_the_directory(scene: Scene) -> None:
    made = scene.context.work / "downloads" / "common"
    (made / "boot.img").write_bytes(b"made")
    (made / "secret").symlink_to("/etc/passwd")
    assert taken(scene, "downloads://boot.img").read_bytes() == b"made"
    with pytest.raises(JobError, match="no downloaded file is called 'secret'"):
        taken(scene, "downloads://secret")


def test_a_name_that_is_not_there_is_told_with_its_neighbours(scene: Scene) -> None:
    with pytest.raises(JobError) as caught:
        taken(scene, "downloads://image")
    assert caught.value.hint == "did you mean downloads://Image?"


def test_a_file_of_another_namespace_is_found_last(scene: Scene, tmp_path: Path) -> None:
    other = scene.context.namespace("other")
    other.downloads["tool"] = scene.artifact("tool", b"theirs")
    assert taken(scene, "downloads://tool").read_bytes() == b"theirs"


def test_what_other_deployments_brought_stays(scene: Scene) -> None:
    given = DownloadsParameters(to="downloads", images={"x": Resource(url="http://h/x")})
    scene.run(DeployDownloads(given, Device()))
    assert "kernel" in scene.namespace.artifacts


# -- before anything runs


def downloads(**keys: Any) -> dict[str, Any]:
    return {"deploy": {"to": "downloads", "images": {"rootfs": {"url": "http://h/r.img"}}, **keys}}


def later(url: str) -> dict[str, Any]:
    return jobs.deploy(images={"rootfs": {"url": url, "image_arg": "-hda {rootfs}"}})


def checked(*blocks: dict[str, Any], world: World | None = None) -> Checked:
    return check_job(jobs.job(*blocks), jobs.device(), world=world)


def test_the_plan_of_both_blocks() -> None:
    done = checked(downloads(), later("downloads://r.img"))
    assert done.planned is not None
    assert done.problems == []
    assert [a.name for a in done.planned.walk()][:6] == [
        "downloads", "download-retry", "http-download", "deployimages", "download-retry", "pre-downloaded"
    ]  # fmt: skip


def test_a_block_that_names_a_download_before_there_is_one_is_refused() -> None:
    done = checked(later("downloads://r.img"), downloads())
    (problem,) = done.errors
    assert "no block before this one downloads" in problem.message
    assert problem.path[-1] == "url"


@pytest.mark.parametrize("url", ["downloads://", "downloads://a/../../job/secrets"])
def test_a_name_that_leads_nowhere_is_refused(url: str) -> None:
    (problem,) = checked(downloads(), later(url)).errors
    assert "names no downloaded file" in problem.message


def test_two_files_of_one_name_need_directories_of_their_own() -> None:
    images = {
        "a": {"url": "http://h/1/Image"},
        "b": {"url": "http://h/2/Image"},
        "c": {"url": "http://h/1/Image"},
    }
    (problem,) = checked(downloads(images=images)).errors
    assert "b and a would have the same name, Image" in problem.message
    assert checked(downloads(images=images, uniquify=True)).errors == []


@pytest.mark.parametrize("first", [0, 1])
def test_the_tests_place_is_that_of_the_deployment_beside(first: int) -> None:
    blocks = [downloads(), jobs.deploy(os="android")]
    done = checked(blocks[first], blocks[1 - first], jobs.boot(), jobs.shell_test())
    assert done.planned is not None
    overlays = [action for action in done.planned.walk() if isinstance(action, LavaOverlay)]
    assert [action.os for action in overlays] == ["android", "android"]
    assert not [problem for problem in done.warnings if "'os'" in problem.message]


def test_steps_in_a_container_are_planned_and_refused_where_the_job_would_run() -> None:
    steps = {"docker": {"image": "debian", "steps": ["ls"]}}
    offline = checked(downloads(postprocess=steps), world=IdealWorld())
    assert offline.errors == []
    assert offline.planned is not None
    assert [a.name for a in offline.planned.walk()][3] == "download-postprocess-docker"
    (problem,) = checked(downloads(postprocess=steps), world=FarmWorld()).errors
    assert (problem.error_type, problem.action) == ("Configuration", "1.2 download-postprocess-docker")
