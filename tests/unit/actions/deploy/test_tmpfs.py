# SPDX-License-Identifier: Apache-2.0
"""`to: tmpfs`: who gets an image of his own, what is refused, what is warned about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from executor.actions.deploy.tmpfs import DeployImages, TmpfsParameters, firmware_directory, own
from executor.actions.drives import Use
from executor.errors import JobError
from executor.model.job import Resource
from executor.model.problem import Problem
from executor.pipeline.check import check_job
from executor.testing import jobs
from executor.testing.pipeline import Scene, placed
from executor.tools.image import copy


def deploy(**image_args: str | None) -> DeployImages:
    images = {label: Resource(url="http://h/x", image_arg=arg) for label, arg in image_args.items()}
    action = placed(DeployImages(TmpfsParameters(to="tmpfs", images=images)))
    assert isinstance(action, DeployImages)
    return action


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, str]]:
    """What overlays and copies were made: (way, name of the original, name of the new one)."""
    found: list[tuple[str, str, str]] = []

    def overlay(original: Path, format_: str, target: Path, **_: Any) -> None:
        found.append((f"overlay on {format_}", original.name, target.name))
        target.touch()

    def private_copy(source: Path, target: Path, **_: Any) -> str:
        found.append(("copy", source.name, target.name))
        target.touch()
        return "sparse"

    monkeypatch.setattr(copy, "overlay", overlay)
    monkeypatch.setattr(copy, "private_copy", private_copy)
    return found


def after(scene: Scene, action: DeployImages) -> None:
    action.after(scene.attempt(action))


def test_a_disk_gets_an_overlay_and_what_is_only_read_stays_in_the_cache(
    tmp_path: Path, made: list[tuple[str, str, str]]
) -> None:
    scene = Scene(tmp_path)
    for label in ("kernel", "rootfs", "iso", "odd"):
        scene.artifact(label, bytes(8192))
    action = deploy(
        kernel="-kernel {kernel}",
        rootfs="-drive format=raw,file={rootfs}",
        iso="-cdrom {iso}",
        odd="-blockdev driver=file,filename={odd}",
    )
    after(scene, action)
    assert made == [("overlay on raw", "rootfs.img", "rootfs-1.qcow2"), ("copy", "odd.img", "odd-1")]
    artifacts = scene.namespace.artifacts
    assert (artifacts["rootfs"].format, artifacts["rootfs"].shared) == ("qcow2", False)
    assert artifacts["rootfs"].path.parent == scene.context.work
    assert [artifacts[label].shared for label in ("kernel", "iso", "odd")] == [True, True, False]


def test_what_the_overlay_of_the_tests_made_is_not_made_again(
    tmp_path: Path, made: list[tuple[str, str, str]]
) -> None:
    scene = Scene(tmp_path)
    scene.artifact("rootfs", b"\x1f\x8b", shared=False)
    after(scene, deploy(rootfs="-hda {rootfs}"))
    assert made == []


@pytest.mark.parametrize(
    "image_arg", ["-hda {rootfs}", "-cdrom {rootfs}", "-drive readonly=on,file={rootfs}"]
)
def test_a_packed_disk_is_refused_whatever_it_is_used_for(
    tmp_path: Path, made: list[tuple[str, str, str]], image_arg: str
) -> None:
    scene = Scene(tmp_path)
    scene.artifact("rootfs", b"\xfd7zXZ\0" + bytes(8192))
    with pytest.raises(JobError, match="packed with xz"):
        after(scene, deploy(rootfs=image_arg))
    assert made == []


def test_a_packed_kernel_or_ramdisk_is_none_of_our_business(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.artifact("kernel", b"\x1f\x8b")
    after(scene, deploy(kernel="-kernel {kernel}"))


def test_labels_that_lead_elsewhere_stay_in_the_jobs_directory(
    tmp_path: Path, made: list[tuple[str, str, str]]
) -> None:
    scene = Scene(tmp_path)
    artifact = scene.artifact("x", bytes(8192))
    artifact.label = "../../../etc/x"
    own(scene.attempt(deploy(x="-hda {x}")), artifact, Use.DISK)
    assert artifact.path.parent == scene.context.work


def test_two_labels_of_one_file_get_two_overlays(tmp_path: Path, made: list[tuple[str, str, str]]) -> None:
    scene = Scene(tmp_path)
    for label in ("a", "b"):
        scene.artifact(label, bytes(8192)).path = scene.artifact("same", bytes(8192)).path
    after(scene, deploy(a="-hda {a}", b="-hdb {b}"))
    assert made == [("overlay on raw", "same.img", "a-1.qcow2"), ("overlay on raw", "same.img", "b-1.qcow2")]


def test_a_directory_is_left_as_it_is(tmp_path: Path, made: list[tuple[str, str, str]]) -> None:
    scene = Scene(tmp_path)
    scene.artifact("tree").path = tmp_path
    after(scene, deploy(tree="-virtfs local,path={tree},mount_tag=t"))
    assert made == []


def test_the_firmware_is_found_under_its_own_name(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    artifact = scene.artifact("uefi", b"bios", url="http://h/a%20b/bios-256k.bin.xz?x=1", unpacked="xz")
    for _ in range(2):
        directory = firmware_directory(scene.attempt(deploy()), artifact)
    assert (directory / "bios-256k.bin").read_bytes() == b"bios"


def test_a_second_deployment_forgets_the_images_of_the_first(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.artifact("old", image_arg="-hda {old}")
    scene.namespace.overlay = tmp_path / "overlay.tar.gz"
    scene.run(deploy(new="-hda {new}"))
    assert scene.namespace.artifacts == {}
    assert scene.namespace.overlay is None


# -- the block


def found(**keys: Any) -> list[Problem]:
    return check_job(jobs.job(jobs.deploy(**keys), jobs.boot(), jobs.shell_test()), jobs.device()).problems


def images(**entries: dict[str, Any]) -> dict[str, Any]:
    return {"images": {label: {"url": "http://h/x", **entry} for label, entry in entries.items()}}


DISK = {"image_arg": "-hda {r}"}


@pytest.mark.parametrize(
    ("keys", "severity", "words", "last"),
    [
        (images(r=DISK, notes={}), "warning", "no image_arg", "notes"),
        (images(r={"image_arg": "-hda {rr}"}), "warning", "{rr}", "image_arg"),
        (images(r={"image_arg": "-append 'x"}), "error", "split into words", "image_arg"),
        ({**images(r=DISK), "type": "monitr"}, "error", "monitr", "type"),
        ({"images": {}}, "error", "images is empty", "images"),
        ({**images(r=DISK), "repeat": 2}, "error", "cannot be repeated", "repeat"),
        (
            {**images(uefi={"image_arg": "-hda {uefi}"}), "uefi": {"url": "http://h/b"}},
            "error",
            "uefi",
            "deploy",
        ),
    ],
)
def test_what_is_wrong_with_a_block(keys: dict[str, Any], severity: str, words: str, last: str) -> None:
    (problem,) = found(**keys)
    assert (problem.severity, problem.path[-1]) == (severity, last)
    assert words in problem.message
    assert problem.line > 0


@pytest.mark.parametrize("keys", [{"type": "monitor"}, {"uefi": {"url": "http://h/bios.bin"}}, {"os": "oe"}])
def test_keys_that_are_fine(keys: dict[str, Any]) -> None:
    assert found(**keys) == []


def test_the_firmware_is_downloaded_first() -> None:
    checked = check_job(jobs.job(jobs.deploy(uefi={"url": "http://h/b"}), jobs.boot()), jobs.device())
    assert checked.planned is not None
    assert [a.label for a in checked.planned.walk() if a.name == "download-retry"] == ["uefi", "rootfs"]


def test_a_device_that_cannot_bring_the_tests_is_the_admins_fault() -> None:
    device = jobs.device()
    device["actions"]["deploy"]["methods"]["image"] = None
    (problem,) = check_job(jobs.job(), device).errors
    assert problem.error_type == "Configuration"
    assert "guest" in problem.message
    own_way = jobs.deploy(
        images={"r": {"url": "http://h/x", "image_arg": "-hda {r}", "overlays": {"lava": True}}}
    )
    assert check_job(jobs.job(own_way, jobs.boot(), jobs.shell_test()), device).errors == []
