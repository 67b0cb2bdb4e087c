# SPDX-License-Identifier: Apache-2.0
"""`overlays` by URL into real file systems, ramdisks and tarballs, by the action that a job has for it."""

from __future__ import annotations

import subprocess
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from executor.actions.guest import AppendOverlays
from executor.model.job import OverlaySource, Resource
from executor.testing.images import listed, sh
from executor.testing.pipeline import Scene
from executor.testing.tarballs import directory, file, symlink, write_tar
from executor.tools.image.cpio import list_cpio

EXTRAS = {
    "modules": OverlaySource(url="http://h/m.tar", format="tar", path="/opt/new"),
    "key": OverlaySource(url="http://h/key", format="file", path="/etc/app/key.pem"),
}


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    made = Scene(tmp_path / "scene", clock=time.monotonic)
    lava = write_tar(tmp_path / "lava.tar.gz", [directory("lava-7"), file("lava-7/run", b"ours")], "gz")
    made.namespace.overlay = lava
    items = [file("lib/a.ko", b"module", 0o755), symlink("lib/b.ko", "a.ko")]
    modules = write_tar(tmp_path / "m.tar", items)
    made.artifact("image.modules", modules.read_bytes())
    made.artifact("image.key", b"secret")
    return made


def appended(scene: Scene, image: bytes, format: str) -> Path:
    """The image after the action; what lies in the cache stays as it was."""
    artifact = scene.artifact("image", image)
    cached = artifact.path
    resource = Resource(url="http://h/image", format=format)  # type: ignore[arg-type]
    scene.run(AppendOverlays("image", resource, EXTRAS, lava=True))
    assert cached.read_bytes() == image
    assert not artifact.shared
    return artifact.path


def test_into_a_file_system(scene: Scene, made: Callable[[str], Path], tmp_path: Path) -> None:
    path = appended(scene, made("ext4").read_bytes(), "ext4")
    assert listed(path, "/opt/new/lib")["a.ko"] == ["100755", "0", "0"]
    assert listed(path, "/etc/app")["key.pem"] == ["100644", "0", "0"]
    assert listed(path, "/lava-7")["run"][0] == "100644"
    assert sh("debugfs", "-R", "cat /etc/app/key.pem", path) == "secret"
    subprocess.run(["e2fsck", "-fn", path], check=True, capture_output=True)


def test_into_a_ramdisk(scene: Scene, tree: Path) -> None:
    argv = ["cpio", "-o", "-H", "newc", "--quiet"]
    image = subprocess.run(argv, input=b"etc\n", cwd=tree, capture_output=True, check=True).stdout
    names = {entry.name for entry in list_cpio(appended(scene, image, "cpio.newc"))}
    assert {"opt/new/lib/a.ko", "opt/new/lib/b.ko", "etc/app/key.pem", "lava-7/run"} <= names


def test_into_a_tarball(scene: Scene, tmp_path: Path) -> None:
    image = write_tar(tmp_path / "root.tar", [directory("etc"), file("etc/issue", b"x")])
    with tarfile.open(appended(scene, image.read_bytes(), "tar")) as tar:
        names = set(tar.getnames())
    assert {"etc/issue", "opt/new/lib/a.ko", "etc/app/key.pem", "lava-7/run"} <= names
