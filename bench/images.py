# SPDX-License-Identifier: Apache-2.0
"""The image tools on files made for it: every kind of image and ramdisk, decompression, unpacking.

    python -m bench.images [--quick] [--only overlay|ramdisk|decompress|unpack]

Each case is measured in turn with its reference: what a person would type for the same, or its largest part.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from bench.figures import Row, table
from executor.model.deadline import Deadline
from executor.testing.tarballs import Item, directory, file, write_tar
from executor.tools.image.compress import decompress
from executor.tools.image.disk import make_disk
from executor.tools.image.inject import inject
from executor.tools.image.ramdisk import append
from executor.tools.tarsafe import unpack
from executor.tools.tartree import ROOTFS

MIB = 1 << 20
UUID = "6f1d2f9e-1111-4222-8333-123456789abc"
TOPICS = ("overlay", "ramdisk", "decompress", "unpack")


class Scene:
    """The files that are measured with, made once below `top`, and a folder that is empty before each run."""

    def __init__(self, top: Path, runs: int) -> None:
        self.top, self.runs = top, runs
        self.work = top / "work"
        self.work.mkdir()
        self.tar = write_tar(top / "overlay.tar.gz", overlay(), "gz")

    def row(
        self,
        what: str,
        ours: Callable[[], object],
        reference: str,
        theirs: Callable[[], object],
        *,
        aim: float,
    ) -> Row:
        """Measure both in turn. `aim`: seconds, or times the reference if negative."""
        mine: list[float] = []
        other: list[float] = []
        for run in range(self.runs + 1):
            for kept, act in ((other, theirs), (mine, ours)):
                self.clean()
                began = time.perf_counter()
                act()
                if run:  # the first one warms the page cache
                    kept.append(time.perf_counter() - began)
        self.clean()
        limit = aim if aim > 0 else -aim * statistics.median(other)
        words = f"{aim} s" if aim > 0 else f"{-aim} × reference"
        return Row("images", what, "s", mine, words, limit, reference=other, reference_what=reference)

    def clean(self) -> None:
        shutil.rmtree(self.work)
        self.work.mkdir()


def overlay() -> list[Item]:
    """About what a job with two definitions brings: 60 small files."""
    helpers = [file(f"lava-1/bin/helper-{n}", os.urandom(2000), 0o755) for n in range(40)]
    tests = [file(f"lava-1/0/tests/0_smoke/file-{n}", os.urandom(3000)) for n in range(20)]
    return [directory("lava-1"), directory("lava-1/bin"), *helpers, directory("lava-1/0/tests"), *tests]


def sh(*argv: str | Path) -> None:
    subprocess.run(argv, check=True, capture_output=True)


def to_file(path: Path, *argv: str | Path) -> Path:
    with path.open("wb") as out:
        subprocess.run(argv, check=True, stdout=out)
    return path


def soon() -> Deadline:
    return Deadline.after(600)


def rootfs(scene: Scene) -> Path:
    """An ext4 image of 1 GiB with 0.4 GB in 6,000 files, a half of it as text compresses."""
    tree = scene.top / "tree"
    for n in range(6000):
        folder = tree / f"usr/{n % 60}"
        folder.mkdir(parents=True, exist_ok=True)
        noise = os.urandom(20_000)
        (folder / f"file-{n}").write_bytes(noise + noise.hex().encode())
    (tree / "usr/blob").write_bytes(os.urandom(60 * MIB))
    image = scene.top / "root.img"
    sh("mke2fs", "-q", "-F", "-t", "ext4", "-L", "root", "-d", tree, image, "1G")
    return image


def overlays(scene: Scene, image: Path) -> Iterator[Row]:
    qcow2, packed, disk = (scene.top / name for name in ("root.qcow2", "packed.qcow2", "disk.img"))
    sh("qemu-img", "convert", "-O", "qcow2", image, qcow2)
    sh("qemu-img", "convert", "-c", "-O", "qcow2", image, packed)
    with disk.open("wb") as out:
        out.truncate((1 << 30) + 4 * MIB)
    subprocess.run(
        ["sfdisk", "-q", disk], input=b"label: gpt\nstart=2048, size=2097152, name=root\n", check=True
    )
    sh("dd", f"if={image}", f"of={disk}", "bs=1M", "seek=1", "conv=notrunc,sparse")

    def into(what: Path, *, as_overlay: bool = True) -> None:
        inject(what, scene.tar, workdir=scene.work, deadline=soon(), as_overlay=as_overlay)

    def copied() -> None:
        sh("cp", "--sparse=always", image, scene.work / "copy")

    def converted(what: Path) -> None:
        sh("qemu-img", "convert", "-O", "raw", what, scene.work / "raw")

    for name, what in (("raw image", image), ("disk with GPT", disk)):
        yield scene.row(f"overlay into a {name}", partial(into, what), "cp --sparse", copied, aim=0.3)
    raw = partial(into, image, as_overlay=False)
    yield scene.row("overlay into a raw image that stays raw", raw, "cp --sparse", copied, aim=0.3)
    for name, what in (("qcow2", qcow2), ("compressed qcow2", packed)):
        ours, theirs = partial(into, what), partial(converted, what)
        yield scene.row(f"overlay into a {name}", ours, "qemu-img convert", theirs, aim=0.3)
    source = scene.top / "lava"
    unpack(scene.tar, source, deadline=soon(), compression="gz")
    yield scene.row(
        "overlay as a disk of its own",
        lambda: make_disk(scene.work / "disk", scene.tar, uuid=UUID, size_mib=64, deadline=soon()),
        "mke2fs -d",
        lambda: sh("mke2fs", "-q", "-F", "-t", "ext2", "-d", source, scene.work / "disk", "64M"),
        aim=0.3,
    )


def ramdisks(scene: Scene) -> Iterator[Row]:
    tree = scene.top / "ramtree"
    tree.mkdir()
    (tree / "blob").write_bytes(os.urandom(199 * MIB))
    plain = scene.top / "rd.cpio"
    argv = ["cpio", "-o", "-H", "newc", "--quiet", "-O", str(plain)]
    subprocess.run(argv, input=b"blob\n", cwd=tree, check=True)
    packed = to_file(scene.top / "rd.gz", "gzip", "-1c", plain)
    wrapped = scene.top / "rd.uboot"
    sh("mkimage", "-A", "arm", "-T", "ramdisk", "-C", "gzip", "-d", packed, wrapped)

    def ours(what: Path, *, header: bool) -> None:
        append(
            what,
            scene.tar,
            scene.work / "new",
            workdir=scene.work,
            deadline=soon(),
            header=header,
            add_header=header,
        )

    for name, what, aim in (("plain", plain, 0.3), ("gz", packed, 0.3), ("gz, u-boot header", wrapped, 1.0)):
        theirs = partial(sh, "cp", what, scene.work / "copy")
        act = partial(ours, what, header=what is wrapped)
        yield scene.row(f"overlay into a ramdisk of 200 MB, {name}", act, "cp", theirs, aim=aim)


def decompressions(scene: Scene, image: Path) -> Iterator[Row]:
    """Each alone, and as a job has it: decompressed, then the overlay in it."""

    def deployed(packed: Path, how: str) -> None:
        out = scene.work / "out"
        decompress(packed, out, how, deadline=soon())
        inject(out, scene.tar, workdir=scene.work / "job", deadline=soon(), as_overlay=True)

    for how, pack, argv in (
        ("gz", ["pigz", "-c"], ["pigz", "-dc"]),
        ("xz", ["xz", "-1", "-T2", "-c"], ["xz", "-dc", "-T2"]),
        ("zstd", ["zstd", "-qc"], ["zstd", "-dqc"]),
    ):
        packed = to_file(scene.top / f"root.{how}", *pack, image)
        ours = partial(decompress, packed, scene.work / "out", how, deadline=soon())
        theirs = partial(to_file, scene.work / "out", *argv, packed)
        yield scene.row(f"decompress 1 GiB, {how}", ours, " ".join(argv), theirs, aim=-1.2)
        act = partial(deployed, packed, how)
        yield scene.row(f"decompress 1 GiB, {how}, overlay in it", act, " ".join(argv), theirs, aim=-1.2)
        packed.unlink()


def unpacking(scene: Scene) -> Iterator[Row]:
    plain = scene.top / "tree.tar"
    sh("tar", "-C", scene.top / "tree", "-cf", plain, ".")
    packed = to_file(scene.top / "tree.tar.gz", "pigz", "-c", plain)

    def ours(what: Path, how: str) -> None:
        unpack(what, scene.work / "tree", deadline=soon(), compression=how, policy=ROOTFS)

    def theirs(what: Path) -> None:
        (scene.work / "tree").mkdir()
        sh("tar", "-C", scene.work / "tree", "-xf", what)

    for name, what, how in (("tar", plain, ""), ("tar.gz", packed, "gz")):
        act = partial(ours, what, how)
        yield scene.row(f"unpack a root file system, {name}", act, "tar -x", partial(theirs, what), aim=-1.2)


def measure(quick: bool, only: str = "", directory: Path | None = None) -> list[Row]:
    """All rows, or those of one of TOPICS. Needs 3 GB below `directory` (default: the temporary one)."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(dir=directory, prefix="bench-images-") as top:
        scene = Scene(Path(top), 3 if quick else 5)
        if only in ("", "ramdisk"):
            rows += ramdisks(scene)
        if only == "ramdisk":
            return rows
        image = rootfs(scene)
        if only in ("", "overlay"):
            rows += overlays(scene, image)
        if only in ("", "decompress"):
            rows += decompressions(scene, image)
        if only in ("", "unpack"):
            rows += unpacking(scene)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--directory", type=Path, help="where 3 GB of files go")
    parser.add_argument("--quick", action="store_true", help="fewer runs")
    parser.add_argument("--only", choices=TOPICS, default="")
    args = parser.parse_args()
    print(table(measure(args.quick, args.only, args.directory)))


if __name__ == "__main__":
    main()
