# SPDX-License-Identifier: Apache-2.0
"""What stands in the way of an overlay: old journals, full file systems, contradictions, damage."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from executor.errors import InfrastructureError, JobError, JobTimeout
from executor.model.deadline import Deadline
from executor.testing.images import (
    debugfs,
    partitioned,
    sh,
    soon,
    unpacked,
)
from executor.testing.tarballs import Item, directory, file, write_tar
from executor.tools.image.inject import inject


@pytest.mark.parametrize("name", ["ext3", "ext4", "ext4-1k"])
def test_a_journal_is_replayed_first(
    tmp_path: Path, made: Callable[[str], Path], tree: Path, tar: Path, name: str
) -> None:
    image = tmp_path / "image"
    shutil.copyfile(made(name), image)
    size = 4096 if name == "ext4" else 1024
    block = int(sh("debugfs", "-R", "bmap /etc/kept 0", image))
    (tmp_path / "block").write_bytes(b"kept".ljust(size, b"\0"))
    zero = int(sh("debugfs", "-R", "bmap /usr/lib/many/a-long-name-that-fills-directory-blocks-7 0", image))
    (tmp_path / "zero").write_bytes(bytes(size))
    first, second = f"jw -b {block} {tmp_path / 'block'}", f"jw -b {zero} {tmp_path / 'zero'}"
    debugfs(image, "jo", first, "jc", "jo", second, "jc")
    with image.open("r+b") as raw:  # as if it had only reached the journal
        raw.seek(block * size)
        raw.write(b"lost")
    assert "needs_recovery" in sh("dumpe2fs", "-h", image)
    done = inject(image, tar, workdir=tmp_path / "work", deadline=soon(), as_overlay=True)
    sh("qemu-img", "convert", "-O", "raw", done.path, tmp_path / "flat")
    assert "needs_recovery" not in sh("dumpe2fs", "-h", tmp_path / "flat")
    sh("e2fsck", "-fn", tmp_path / "flat")
    now = unpacked(tmp_path / "flat", tmp_path / "now")
    assert (now / "etc/kept").read_text() == "kept"
    assert (now / "usr/lib/many/a-long-name-that-fills-directory-blocks-7").read_bytes() == b"\0"
    assert (now / "lava-7/zeros").read_bytes() == b"begin" + bytes(20_000) + b"end"


def test_a_full_file_system_says_what_is_missing(tmp_path: Path, made: Callable[[str], Path]) -> None:
    before = made("ext4").read_bytes()
    big = write_tar(tmp_path / "big.tar", [file("big-one", bytes(100) + os.urandom(30 << 20))])
    with pytest.raises(JobError, match=r"needs 30\d\d\d KiB, the file system has \d+ KiB free"):
        inject(made("ext4"), big, workdir=tmp_path / "work", deadline=soon())
    many = write_tar(tmp_path / "many.tar", [file(f"f{n}") for n in range(8000)])
    with pytest.raises(JobError, match=r"needs 8000 inodes, the file system has \d+ free"):
        inject(made("ext4"), many, workdir=tmp_path / "work", deadline=soon())
    assert list((tmp_path / "work").iterdir()) == []
    assert made("ext4").read_bytes() == before


def test_full_by_what_only_the_writer_knows(tmp_path: Path) -> None:
    """Blocks for maps and directories are not counted before: the writer's own error is understood."""
    image = tmp_path / "image"
    sh("mke2fs", "-q", "-F", "-t", "ext2", "-b", "1024", "-m", "0", image, "2M")
    free = int(re.findall(r"Free blocks: +(\d+)", sh("dumpe2fs", "-h", image))[0])
    exact = write_tar(tmp_path / "t.tar", [file("f", os.urandom(free * 1024))])
    before = image.read_bytes()
    with pytest.raises(JobError, match="file system is full"):
        inject(image, exact, workdir=tmp_path / "work", deadline=soon(), shared=False)
    assert image.read_bytes() == before  # nothing reaches the image before all has succeeded


@pytest.mark.parametrize(
    ("item", "why"),
    [
        (file("etc", b"x"), "has a file etc, the image has a directory there"),
        (file("etc/kept/f", b"x"), "lies below etc/kept, which is a file"),
        (file("dangling/f", b"x"), "behind dangling, a dangling symlink"),
        (directory("dangling"), "a dangling symlink"),
        (file("loop/f", b"x"), "too many symlinks"),
        (file("new\nline", b"x"), "name that cannot be put into an image"),
    ],
)
def test_contradictions(tmp_path: Path, made: Callable[[str], Path], item: Item, why: str) -> None:
    image = tmp_path / "image"
    shutil.copyfile(made("ext4"), image)
    debugfs(image, "symlink dangling nowhere", "symlink loop loop")
    before = image.read_bytes()
    tar = write_tar(tmp_path / "t.tar", [item])
    with pytest.raises(JobError, match=why):
        inject(image, tar, workdir=tmp_path / "work", deadline=soon(), shared=False)
    assert image.read_bytes() == before


def test_what_is_no_image(tmp_path: Path, tar: Path) -> None:
    bad = {
        "archive": (b"070701".ljust(2000, b"0"), "no file system for an overlay"),
        "sparse": (b"\x3a\xff\x26\xed" + bytes(100), "android sparse"),
        "page": (b"<html>404</html>", "looks like HTML page"),
        "qcow2": (b"QFI\xfb" + bytes(2000), "version 0"),
    }
    for name, (content, why) in bad.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(JobError, match=why):
            inject(tmp_path / name, tar, workdir=tmp_path / "work", deadline=soon())
    with pytest.raises(InfrastructureError, match="cannot be opened"):
        inject(tmp_path / "missing", tar, workdir=tmp_path / "work", deadline=soon())


def test_a_qcow2_with_a_backing_file_from_outside(tmp_path: Path, tar: Path) -> None:
    image = tmp_path / "evil.qcow2"
    sh("qemu-img", "create", "-q", "-f", "qcow2", "-b", "/etc/passwd", "-F", "raw", image, "1M")
    with pytest.raises(JobError, match="backing file"):
        inject(image, tar, workdir=tmp_path / "work", deadline=soon())


def test_a_bare_file_system_has_no_partitions(tmp_path: Path, made: Callable[[str], Path], tar: Path) -> None:
    with pytest.raises(JobError, match="has no partitions"):
        inject(made("ext4"), tar, workdir=tmp_path / "work", deadline=soon(), partition=1)
    inject(made("ext4"), tar, workdir=tmp_path / "work", deadline=soon(), partition=0)


def test_deadline_leaves_nothing(tmp_path: Path, made: Callable[[str], Path], tar: Path) -> None:
    for as_overlay in (False, True):
        with pytest.raises(JobTimeout):
            inject(
                made("ext4"),
                tar,
                workdir=tmp_path / "work",
                deadline=Deadline.after(0),
                as_overlay=as_overlay,
            )
    assert list((tmp_path / "work").iterdir()) == []


def test_a_missing_tool_is_named(
    tmp_path: Path, made: Callable[[str], Path], tar: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = made("ext4")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(InfrastructureError) as caught:
        inject(image, tar, workdir=tmp_path / "work", deadline=soon())
    assert "e2fsprogs" in caught.value.hint
    assert list((tmp_path / "work").iterdir()) == []


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Small good images to damage."""
    folder = tmp_path_factory.mktemp("small")
    sh("mke2fs", "-q", "-F", "-t", "ext4", "-b", "1024", folder / "fs", "1M")
    partitioned(folder / "disk", "gpt", folder / "fs")
    sh("qemu-img", "convert", "-O", "qcow2", folder / "fs", folder / "qcow2")
    return {name: (folder / name).read_bytes() for name in ("fs", "disk", "qcow2")}


@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_images_are_errors_and_no_crashes(
    tmp_path_factory: pytest.TempPathFactory, small: dict[str, bytes], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    raw = bytearray(small[data.draw(st.sampled_from(sorted(small)))])
    for _ in range(data.draw(st.integers(1, 4))):
        # Superblock, descriptors, tables and headers are all near the beginning.
        start = data.draw(st.integers(0, 20_000) | st.integers(0, len(raw)))
        noise = data.draw(st.binary(min_size=1, max_size=60))
        raw[start : start + len(noise)] = noise
    del raw[data.draw(st.integers(0, len(raw)) | st.just(len(raw))) :]
    image = folder / "image"
    image.write_bytes(raw)
    tar = write_tar(folder / "t.tar", [file("d/f", b"x" * 3000)])
    try:
        done = inject(image, tar, workdir=folder / "work", deadline=soon())
    except (JobError, InfrastructureError) as problem:
        assert "Traceback" not in problem.message  # noqa: PT017
    else:
        assert done.path.exists()
