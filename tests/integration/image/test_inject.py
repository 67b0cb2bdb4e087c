# SPDX-License-Identifier: Apache-2.0
"""Overlays into file systems of every geometry, raw and qcow2, checked by e2fsck, debugfs and qemu-img."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from executor.errors import JobError
from executor.testing.images import (
    GEOMETRIES,
    check,
    listed,
    partitioned,
    sh,
    soon,
)
from executor.testing.tarballs import file, write_tar
from executor.tools.image import copy
from executor.tools.image.identify import Kind, identify
from executor.tools.image.inject import inject


@pytest.mark.parametrize("name", GEOMETRIES)
def test_every_geometry_in_place(
    tmp_path: Path, made: Callable[[str], Path], tree: Path, tar: Path, name: str
) -> None:
    image = tmp_path / "image"
    shutil.copyfile(made(name), image)
    done = inject(image, tar, workdir=tmp_path / "work", deadline=soon(), shared=False)
    assert (done.path, done.format, done.backing, done.partition) == (image, "raw", None, None)
    check(image, tree, tmp_path / "now")
    assert listed(image, "/lava-7/bin")["helper-5"] == ["100755", "0", "0"]
    assert listed(image, "/")["lava-7"] == ["040750", "0", "0"]
    assert listed(image, "/")["etc"][0] == "040711"  # an existing directory keeps its mode
    assert listed(image, "/etc")["replaced"] == ["100600", "0", "0"]
    assert listed(image, "/root")[".ssh"] == ["040700", "0", "0"]
    assert "0x6553f100" in sh("debugfs", "-R", "stat /lava-7/empty", image)  # its time
    assert list((tmp_path / "work").iterdir()) == []


@pytest.mark.parametrize("name", ["ext4", "ext4-1k", "ext2-1k"])
@pytest.mark.parametrize("kind", ["raw", "overlay", "qcow2", "qcow2-compressed", "qcow2-v2"])
def test_a_shared_image_stays_as_it_is(
    tmp_path: Path, made: Callable[[str], Path], tree: Path, tar: Path, *, name: str, kind: str
) -> None:
    image = made(name)
    if kind.startswith("qcow2"):
        options = {"qcow2-compressed": ["-c"], "qcow2-v2": ["-o", "compat=0.10"]}.get(kind, [])
        image = tmp_path / "image.qcow2"
        sh("qemu-img", "convert", "-O", "qcow2", *options, made(name), image)
    before = image.read_bytes()
    image.chmod(0o444)
    done = inject(image, tar, workdir=tmp_path / "work", deadline=soon(), as_overlay=kind == "overlay")
    assert image.read_bytes() == before
    assert done.format == ("raw" if kind == "raw" else "qcow2")
    assert list((tmp_path / "work").iterdir()) == [done.path]
    result = done.path
    if done.format == "qcow2":
        assert done.backing == image
        sh("qemu-img", "check", "-q", done.path)
        result = tmp_path / "flat"
        sh("qemu-img", "convert", "-O", "raw", done.path, result)
    check(result, tree, tmp_path / "now")


def test_twice_into_the_same_image(
    tmp_path: Path, made: Callable[[str], Path], tree: Path, tar: Path
) -> None:
    first = inject(made("ext4-1k"), tar, workdir=tmp_path / "work", deadline=soon(), as_overlay=True)
    again = inject(first.path, tar, workdir=tmp_path / "work", deadline=soon(), shared=False)
    assert again.path == first.path
    sh("qemu-img", "convert", "-O", "raw", again.path, tmp_path / "flat")
    check(tmp_path / "flat", tree, tmp_path / "now")
    other = inject(made("ext4-1k"), tar, workdir=tmp_path / "work", deadline=soon(), as_overlay=True)
    assert other.path != first.path


def test_several_tarballs_and_a_compressed_image(
    tmp_path: Path, made: Callable[[str], Path], tree: Path, tar: Path
) -> None:
    packed = tmp_path / "image.gz"
    packed.write_bytes(gzip.compress(made("ext4").read_bytes(), 1))
    second = write_tar(tmp_path / "second.tar", [file("lava-7/secrets", b"hidden", 0o600)])
    done = inject(packed, [tar, second], workdir=tmp_path / "work", deadline=soon(), compression="gz")
    assert done.format == "raw"
    with pytest.raises(JobError, match="not xz data"):
        inject(packed, tar, workdir=tmp_path / "work", deadline=soon(), compression="xz")
    assert list((tmp_path / "work").iterdir()) == [done.path]
    check(done.path, tree, tmp_path / "now")
    assert (tmp_path / "now/lava-7/secrets").read_text() == "hidden"


def test_qemu_reads_an_overlay_where_the_job_says_raw(
    tmp_path: Path, made: Callable[[str], Path], tar: Path
) -> None:
    done = inject(made("ext4"), tar, workdir=tmp_path / "a,b", deadline=soon(), as_overlay=True)
    name = done.drive_file("raw").replace(",,", ",")
    assert name.startswith("json:")
    info = sh("qemu-img", "info", name)
    assert "file format: raw" in info
    assert "virtual size: 24 MiB" in info
    assert done.drive_file("qcow2") == str(done.path).replace(",", ",,")
    assert copy.drive_file(Path("/x/y.img"), "raw", "raw") == "/x/y.img"


@pytest.mark.parametrize("kind", ["gpt", "mbr", "logical"])
@pytest.mark.parametrize("qcow2", [False, True])
def test_partitions(
    tmp_path: Path, made: Callable[[str], Path], tree: Path, tar: Path, *, kind: str, qcow2: bool
) -> None:
    disk = partitioned(tmp_path / "disk.img", kind, made("ext4-1k"))
    found = identify(disk)
    assert found.kind is Kind.PARTITIONED
    number = 5 if kind == "logical" else 2
    assert [one.partition.number for one in found.volumes if one.ext] == [number]
    if qcow2:
        sh("qemu-img", "convert", "-O", "qcow2", disk, tmp_path / "disk.qcow2")
        disk = tmp_path / "disk.qcow2"
    wanted: list[dict[str, int | str]] = [
        {},
        {"number": number},
        {"partition": [one.partition.number for one in found.volumes].index(number)},
    ]
    if kind == "gpt":
        wanted.append({"label": "root"})
    for selection in wanted:
        done = inject(disk, tar, workdir=tmp_path / "work", deadline=soon(), **selection)  # type: ignore[arg-type]
        assert done.partition == number
    flat = done.path
    if qcow2:
        flat = tmp_path / "flat"
        sh("qemu-img", "convert", "-O", "raw", done.path, flat)
    (tmp_path / "root").write_bytes(flat.read_bytes()[4096 * 512 :][: made("ext4-1k").stat().st_size])
    check(tmp_path / "root", tree, tmp_path / "now")
    with pytest.raises(JobError, match=r"disk\.\w+: partition index 0 holds no ext2") as caught:
        inject(disk, tar, workdir=tmp_path / "work", deadline=soon(), partition=0)
    assert f"number {number}" in caught.value.hint
