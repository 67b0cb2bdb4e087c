# SPDX-License-Identifier: Apache-2.0
"""Overlays into ramdisks, checked by cpio and mkimage."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from executor.errors import JobError, JobTimeout
from executor.model.deadline import Deadline
from executor.testing.images import (
    OVERLAY,
    sh,
    soon,
)
from executor.testing.tarballs import file, write_tar
from executor.tools.image import uimage
from executor.tools.image.cpio import list_cpio
from executor.tools.image.ramdisk import append

PACKERS = {
    "": ["cat"],
    "gz": ["gzip", "-c"],
    "bz2": ["bzip2", "-c"],
    "xz": ["xz", "-c", "--check=crc32"],
    "zstd": ["zstd", "-qc"],
}


@pytest.fixture(scope="module")
def ramdisks(tmp_path_factory: pytest.TempPathFactory, tree: Path) -> dict[str, Path]:
    """The tree as a ramdisk in every compression."""
    folder = tmp_path_factory.mktemp("ramdisks")
    names = "\n".join(str(path.relative_to(tree)) for path in sorted(tree.rglob("*")))
    plain = subprocess.run(
        ["cpio", "-o", "-H", "newc", "--quiet"],
        input=names.encode(),
        cwd=tree,
        capture_output=True,
        check=True,
    ).stdout
    for name, argv in PACKERS.items():
        done = subprocess.run(argv, input=plain, capture_output=True, check=True)
        (folder / f"rd.{name}").write_bytes(done.stdout)
    return {name: folder / f"rd.{name}" for name in PACKERS}


@pytest.mark.parametrize("compression", PACKERS)
def test_ramdisks(tmp_path: Path, ramdisks: dict[str, Path], tar: Path, compression: str) -> None:
    ramdisk = ramdisks[compression]
    done = append(
        ramdisk, tar, tmp_path / "new", workdir=tmp_path / "w", deadline=soon(), compression=compression
    )
    raw = done.path.read_bytes()
    assert raw.startswith(ramdisk.read_bytes())
    assert len(raw) == ramdisk.stat().st_size + done.added
    old = list(list_cpio(ramdisk))
    every = list(list_cpio(done.path))
    assert every[: len(old)] == old
    new = {entry.name: entry for entry in every[len(old) :]}
    assert new["lava-7/bin/helper-5"].mode == 0o100755
    assert new["root/.ssh"].mode == 0o040700
    assert (
        not {"etc", "root", "lib", "usr", "usr/lib"} & new.keys()
    )  # they are there, with modes of their own
    assert "usr/lib/through-a-link" in new
    assert all(entry.uid == entry.gid == 0 for entry in new.values())


def test_the_appended_archive_unpacks(tmp_path: Path, ramdisks: dict[str, Path], tar: Path) -> None:
    done = append(ramdisks["gz"], tar, tmp_path / "new", workdir=tmp_path, deadline=soon())
    tail = done.path.read_bytes()[ramdisks["gz"].stat().st_size :].lstrip(b"\0")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/root").mkdir()
    subprocess.run(["cpio", "-idm", "--quiet"], input=tail, cwd=tmp_path / "out", check=False)
    for item in OVERLAY:
        if item.content and item.name.startswith("lava-7"):
            assert (tmp_path / "out" / item.name).read_bytes() == item.content


def test_an_overlay_of_tests_only_needs_no_look_inside(tmp_path: Path) -> None:
    """Damage behind the first bytes goes unseen, which shows that nothing was unpacked."""
    (tmp_path / "rd").write_bytes(b"\x1f\x8b" + os.urandom(5000))
    tar = write_tar(tmp_path / "t.tar", [file("lava-1/f", b"x")])
    done = append(tmp_path / "rd", tar, tmp_path / "new", workdir=tmp_path, deadline=soon())
    assert done.added > 512
    assert (done.path.stat().st_size - done.added) == 5002


def test_large_overlays_are_packed_for_kernels_that_unpack_gz(
    tmp_path: Path, ramdisks: dict[str, Path]
) -> None:
    tar = write_tar(tmp_path / "t.tar", [file("lava-1/modules", b"module" * (3 << 20))])
    packed = append(ramdisks["gz"], tar, tmp_path / "a", workdir=tmp_path, deadline=soon())
    plain = append(ramdisks["xz"], tar, tmp_path / "b", workdir=tmp_path, deadline=soon())
    assert packed.added < 1 << 20
    assert plain.added > 18 << 20
    for done in (packed, plain):
        assert list(list_cpio(done.path))[-1].size == 18 << 20


@pytest.mark.parametrize("arch", ["arm", "arm64"])
def test_u_boot_headers(tmp_path: Path, ramdisks: dict[str, Path], tar: Path, arch: str) -> None:
    wrapped = tmp_path / "rd.uboot"
    sh("mkimage", "-A", arch, "-T", "ramdisk", "-C", "gzip", "-n", "initrd", "-d", ramdisks["gz"], wrapped)
    before = uimage.parse(wrapped.read_bytes())
    assert before.arch == uimage.ARCHES[arch]
    work = {"workdir": tmp_path, "deadline": soon()}
    kept = append(wrapped, tar, tmp_path / "kept", header=True, add_header=True, **work)  # type: ignore[arg-type]
    raw = kept.path.read_bytes()
    after = uimage.parse(raw)
    assert after.size == len(raw) - 64 == before.size + kept.added
    assert (after.name, after.arch, after.time) == (before.name, before.arch, before.time)
    assert "initrd" in sh("mkimage", "-l", kept.path)
    assert "lava-7" in {entry.name for entry in list_cpio(kept.path, 64)}

    bare = append(wrapped, tar, tmp_path / "bare", header=True, **work)  # type: ignore[arg-type]
    assert bare.path.read_bytes() == raw[64:]
    given = uimage.Header(size=0, dcrc=0, arch=uimage.ARCHES[arch], time=before.time, name=b"initrd", comp=1)
    added = append(ramdisks["gz"], tar, tmp_path / "added", add_header=given, **work)  # type: ignore[arg-type]
    assert added.path.read_bytes() == raw

    with pytest.raises(JobError, match="has a u-boot header"):
        append(wrapped, tar, tmp_path / "x", **work)  # type: ignore[arg-type]
    with pytest.raises(JobError, match="has no u-boot header"):
        append(ramdisks["gz"], tar, tmp_path / "x", header=True, **work)  # type: ignore[arg-type]
    damaged = bytearray(wrapped.read_bytes())
    damaged[5000] ^= 1
    wrapped.write_bytes(damaged)
    tests = write_tar(tmp_path / "t.tar", [file("lava-1/f", b"x")])
    with pytest.raises(JobError, match="checksum in the u-boot header of the ramdisk is wrong"):
        append(wrapped, tests, tmp_path / "x", header=True, add_header=True, **work)  # type: ignore[arg-type]
    wrapped.write_bytes(damaged[:-10])
    with pytest.raises(JobError, match="shorter than its u-boot header says"):
        append(wrapped, tests, tmp_path / "x", header=True, **work)  # type: ignore[arg-type]
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"\x04\x22\x4d\x18" + bytes(50), "packed with lz4"),
        (b"\x02\x21\x4c\x18" + bytes(50), "packed with legacy lz4"),
        (b"\x89LZO\0\r\n\x1a\n" + bytes(50), "packed with lzop"),
        (b"]\0\0\x80\0" + bytes(50), "packed with lzma"),
        (bytes(1080) + b"\x53\xef" + bytes(50), "old initrd with a file system"),
        (b"nonsense", "not a ramdisk"),
        (b"", "is empty"),
    ],
)
def test_ramdisks_that_cannot_be_extended(tmp_path: Path, tar: Path, content: bytes, why: str) -> None:
    (tmp_path / "rd").write_bytes(content)
    with pytest.raises(JobError, match=why):
        append(tmp_path / "rd", tar, tmp_path / "new", workdir=tmp_path, deadline=soon())
    assert not (tmp_path / "new").exists()


def test_a_ramdisk_is_not_what_the_job_says(tmp_path: Path, ramdisks: dict[str, Path], tar: Path) -> None:
    with pytest.raises(JobError, match="is not xz data .starts with 1f 8b .*looks like gz"):
        append(ramdisks["gz"], tar, tmp_path / "x", workdir=tmp_path, deadline=soon(), compression="xz")
    with pytest.raises(JobTimeout):
        append(ramdisks["gz"], tar, tmp_path / "x", workdir=tmp_path, deadline=Deadline.after(0))
    assert not (tmp_path / "x").exists()
