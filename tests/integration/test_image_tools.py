# SPDX-License-Identifier: Apache-2.0
"""Overlays into real file systems, disks and ramdisks, checked by e2fsck, qemu-img, cpio and mkimage."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from executor.actions.image import copy, uimage
from executor.actions.image.cpio import list_cpio
from executor.actions.image.disk import make_disk
from executor.actions.image.identify import Kind, identify
from executor.actions.image.inject import inject
from executor.actions.image.ramdisk import append
from executor.errors import InfrastructureError, JobError, JobTimeout
from executor.model.deadline import Deadline
from executor.testing.tarballs import Item, directory, file, hard_link, symlink, write_tar

UUID = "6f1d2f9e-1111-4222-8333-123456789abc"
# What real images are made with, and what is unusual enough to go wrong.
GEOMETRIES = {
    "ext2-1k": "-t ext2 -b 1024",
    "ext2-4k-128": "-t ext2 -b 4096 -I 128",
    "ext2-bare": "-t ext2 -b 1024 -O none -r 1",
    "ext3": "-t ext3 -b 1024",
    "ext4": "-t ext4 -b 4096",
    "ext4-1k": "-t ext4 -b 1024",
    "ext4-2k-groups": "-t ext4 -b 2048 -g 2048",
    "ext4-plain": "-t ext4 -b 4096 -O ^metadata_csum,^64bit,^flex_bg",
    "ext4-gdt-csum": "-t ext4 -b 1024 -O ^metadata_csum,uninit_bg",
    "ext4-meta-bg": "-t ext4 -b 1024 -O meta_bg,^resize_inode",
    "ext4-sparse-super2": "-t ext4 -b 1024 -O sparse_super2,^resize_inode",
    "ext4-bigalloc": "-t ext4 -b 1024 -O bigalloc -C 4096",
    "ext4-no-journal": "-t ext4 -b 4096 -O ^has_journal",
}
OVERLAY: list[Item] = [
    directory("lava-7", 0o750),
    directory("./lava-7/bin"),
    *(file(f"lava-7/bin/helper-{n}", os.urandom(700 * n), 0o755) for n in range(12)),
    file("lava-7/zeros", b"begin" + bytes(20_000) + b"end"),
    file("lava-7/empty"),
    file('lava-7/a "quoted" <12> name ü', b"odd"),
    file("lava-7/<11>", b"not an inode"),
    symlink("lava-7/short", "bin/helper-1"),
    symlink("lava-7/long", "very/" * 40),
    hard_link("lava-7/hard", "lava-7/bin/helper-3"),
    directory("etc", 0o700),
    file("etc/replaced", b"new content", 0o600),
    file("etc/was-a-link", b"now a file"),
    file("lib/through-a-link", b"usrmerge"),
    file("big", b"was big", 0o644),
    directory("root/.ssh", 0o700),
    file("root/.ssh/authorized_keys", b"key", 0o600),
    file("new/parents/f", b"x"),
]


def sh(*argv: str | Path, data: bytes | None = None) -> str:
    done = subprocess.run(argv, input=data, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout.decode("utf-8", "replace") + done.stderr.decode(
        "utf-8", "replace"
    )
    return done.stdout.decode("utf-8", "replace")


def soon() -> Deadline:
    return Deadline.after(60)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is in the images before."""
    top = tmp_path_factory.mktemp("tree")
    (top / "etc").mkdir(mode=0o711)
    (top / "usr/lib").mkdir(parents=True)
    (top / "root").mkdir(mode=0o700)
    (top / "lib").symlink_to("usr/lib")
    (top / "etc/replaced").write_bytes(b"old" * 3000)
    (top / "etc/was-a-link").symlink_to("replaced")
    (top / "etc/kept").write_text("kept")
    (top / "big").write_bytes(os.urandom(700_000))
    many = top / "usr/lib/many"
    many.mkdir()
    for n in range(300):
        (many / f"a-long-name-that-fills-directory-blocks-{n}").write_bytes(b"%d" % n)
    return top


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, tree: Path) -> Callable[[str], Path]:
    """Images by the name of their geometry; free blocks are full of old data, as in a used image."""
    folder = tmp_path_factory.mktemp("images")

    def make(name: str) -> Path:
        path = folder / f"{name}.img"
        if not path.exists():
            garbage = folder / "garbage"
            garbage.write_bytes(b"\xa5" * (6 << 20))
            sh("mke2fs", "-q", "-F", *GEOMETRIES[name].split(), "-d", tree, path, "24M")
            commands = folder / "commands"
            commands.write_text(f"write {garbage} garbage\nrm garbage\n")
            sh("debugfs", "-w", "-f", commands, path)
            sh("e2fsck", "-fn", path)
        return path

    return make


@pytest.fixture
def tar(tmp_path: Path) -> Path:
    return write_tar(tmp_path / "overlay.tar.gz", OVERLAY, "gz")


def unpacked(image: Path, to: Path) -> Path:
    """The content of a file system, by debugfs."""
    to.mkdir()
    sh("debugfs", "-R", f"rdump / {to}", image)
    return to


def check(image: Path, tree: Path, to: Path) -> None:
    """The file system is sound, the overlay is in it, and all else is as before."""
    sh("e2fsck", "-fn", image)
    now = unpacked(image, to)
    for item in OVERLAY:
        path = now / item.name
        if item.target and item.name != "lava-7/hard":
            assert os.readlink(path) == item.target  # noqa: PTH115
        elif item.content:
            assert path.read_bytes() == item.content, item.name
    assert (now / "lava-7/hard").read_bytes() == (now / "lava-7/bin/helper-3").read_bytes()
    assert (now / "usr/lib/through-a-link").is_file()
    assert (now / "lib").is_symlink()
    replaced = {"etc/replaced", "etc/was-a-link", "big"}
    for path in tree.rglob("*"):
        name = str(path.relative_to(tree))
        if name not in replaced and path.is_file() and not path.is_symlink():
            assert (now / name).read_bytes() == path.read_bytes(), name


def listed(image: Path, folder: str) -> dict[str, list[str]]:
    """name → [mode, uid, gid] of a directory, by debugfs."""
    rows = (line.split() for line in sh("debugfs", "-R", f"ls -p {folder}", image).splitlines() if line)
    fields = (row[0].split("/") for row in rows)
    return {row[5]: row[2:5] for row in fields}


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


# --- partitions


def partitioned(path: Path, kind: str, root: Path) -> Path:
    """A disk with a small first partition and `root` in the second or fifth."""
    sectors = root.stat().st_size // 512
    tables = {
        "gpt": f"label: gpt\nstart=2048, size=2048, name=EFI\nstart=4096, size={sectors}, name=root\n",
        "mbr": f"label: dos\nstart=2048, size=2048, type=c\nstart=4096, size={sectors}, type=83\n",
        "logical": (
            f"label: dos\n1: start=2048, size=1024, type=c\n2: start=3072, size={sectors + 4096}, type=5\n"
            f"5: start=4096, size={sectors}, type=83\n"
        ),
    }
    with path.open("wb") as disk:
        disk.truncate((sectors + 8192) * 512)
    sh("sfdisk", "-q", path, data=tables[kind].encode())
    with path.open("r+b") as disk:
        disk.seek(4096 * 512)
        disk.write(root.read_bytes())
    return path


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


# --- journals, full disks, contradictions


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
    commands = tmp_path / "commands"
    commands.write_text(
        f"jo\njw -b {block} {tmp_path / 'block'}\njc\njo\njw -b {zero} {tmp_path / 'zero'}\njc\n"
    )
    sh("debugfs", "-w", "-f", commands, image)
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
    commands = tmp_path / "commands"
    commands.write_text("symlink dangling nowhere\nsymlink loop loop\n")
    sh("debugfs", "-w", "-f", commands, image)
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


# --- copies


def test_a_private_copy_keeps_holes(tmp_path: Path) -> None:
    source = tmp_path / "source"
    with source.open("wb") as out:
        out.truncate(64 << 20)
        out.seek(10 << 20)
        out.write(os.urandom(1 << 20))
    way = copy.private_copy(source, tmp_path / "copy", deadline=soon())
    assert way in ("reflink", "sparse")
    assert (tmp_path / "copy").read_bytes() == source.read_bytes()
    assert (tmp_path / "copy").stat().st_blocks * 512 < 3 << 20
    with pytest.raises(InfrastructureError, match="cannot be read"):
        copy.private_copy(tmp_path / "missing", tmp_path / "other", deadline=soon())
    with pytest.raises(JobTimeout):
        copy.private_copy(source, tmp_path / "other", deadline=Deadline.after(0))
    assert not (tmp_path / "other").exists()


# --- the overlay as a disk


@pytest.mark.parametrize("qcow2", [False, True])
def test_the_overlay_as_a_disk(tmp_path: Path, tar: Path, qcow2: bool) -> None:
    path = tmp_path / "disk.ext2"
    made = make_disk(path, tar, uuid=UUID, size_mib=16, strip="/lava-7", deadline=soon(), qcow2=qcow2)
    assert made.size == 16 << 20
    raw = path
    if qcow2:
        raw = tmp_path / "raw"
        sh("qemu-img", "convert", "-f", "qcow2", "-O", "raw", path, raw)
    sh("e2fsck", "-fn", raw)
    header = sh("dumpe2fs", "-h", raw)
    assert UUID in header
    assert identify(raw).size == 16 << 20
    assert listed(raw, "/")["bin"] == ["040755", "0", "0"]
    assert listed(raw, "/")["."][1:] == ["0", "0"]
    assert listed(raw, "/bin")["helper-5"] == ["100755", "0", "0"]
    assert sorted(path.name for path in tmp_path.iterdir() if path != raw) == ["disk.ext2"] * qcow2 + [
        "overlay.tar.gz"
    ]


def test_a_disk_as_large_as_needed(tmp_path: Path) -> None:
    tar = write_tar(tmp_path / "t.tar", [file(f"d/{n}", os.urandom(n * 1000)) for n in range(200)])
    made = make_disk(tmp_path / "disk", tar, uuid=UUID, deadline=soon())
    assert made.files == 201
    sh("e2fsck", "-fn", made.path)


def test_a_disk_that_is_too_small(tmp_path: Path) -> None:
    tar = write_tar(tmp_path / "t.tar", [file("f", os.urandom(2 << 20))])
    with pytest.raises(JobError, match="KiB free"):
        make_disk(tmp_path / "disk", tar, uuid=UUID, size_mib=1, deadline=soon())
    with pytest.raises(JobError, match="nothing below /lava-8"):
        make_disk(tmp_path / "disk", tar, uuid=UUID, strip="/lava-8", deadline=soon())
    assert [path.name for path in tmp_path.iterdir()] == ["t.tar"]


# --- ramdisks

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
