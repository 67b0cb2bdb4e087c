# SPDX-License-Identifier: Apache-2.0
"""The overlay with the tests into images of 1 GB and into a ramdisk of 200 MB, as a job puts it there."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.farm import ASSETS, ROOT, STATE, Broken, took
from bench.figures import Row
from executor.model.deadline import Deadline
from executor.tools.image.inject import inject
from executor.tools.image.ramdisk import append

AIM = 0.3  # seconds
RAMDISK = 200 << 20
LIMIT = 120.0


def overlay(target: Path) -> Path:
    """A tarball like that of a job: the helpers and a test."""
    helpers = ROOT / "executor" / "testshell" / "device"
    with tarfile.open(target, "w:gz", format=tarfile.GNU_FORMAT) as tar:
        tar.add(helpers, "./lava-1/bin")
        for number in range(10):
            tar.add(ROOT / "LICENSE", f"./lava-1/0/tests/{number}_test/testdef.yaml")
    return target


def ramdisk(target: Path) -> Path:
    """A busybox ramdisk that is RAMDISK bytes long: packed data that nothing can pack any further."""
    shutil.copyfile(ASSETS / "amd64" / "initramfs.cpio.gz", target)
    with target.open("ab") as file, gzip.GzipFile(fileobj=file, mode="wb", compresslevel=0) as packed:
        name = b"ballast\0"
        size = RAMDISK - target.stat().st_size
        head = b"070701" + b"".join(
            b"%08x" % value for value in (1, 0o100644, 0, 0, 1, 0, size, 0, 0, 0, 0, len(name), 0)
        )
        packed.write(head + name + bytes(-(len(head) + len(name)) % 4))
        for _ in range(size >> 20):
            packed.write(os.urandom(1 << 20))
        packed.write(os.urandom(size & 0xFFFFF) + bytes(-size % 4))
    return target


def seconds(work: Path, what: Callable[[Path], object], runs: int) -> list[float]:
    """Several times, each in a directory of its own; the first does not count."""
    found = []
    for _ in range(runs + 1):
        folder = Path(tempfile.mkdtemp(dir=work))
        began = time.monotonic()
        what(folder)
        found.append(time.monotonic() - began)
        shutil.rmtree(folder)
    return found[1:]


def measure(quick: bool) -> list[Row]:
    """Row 6 of the table."""
    runs = 3 if quick else 7
    guests = ASSETS / "amd64"
    if not (guests / "rootfs.ext4").is_file():
        raise Broken(f"{guests} holds no root file system; run `make setup`")
    rows = []
    with tempfile.TemporaryDirectory(prefix="bench-", dir=STATE) as name:
        work = Path(name)
        tar = overlay(work / "overlay.tar.gz")
        disk = work / "disk.img"
        subprocess.run(["qemu-img", "convert", "-O", "raw", guests / "disk.qcow2", disk], check=True)
        tree = work / "tree"
        subprocess.run(["tar", "-xf", tar, f"--one-top-level={tree}"], check=True)
        bare = [
            took(["mke2fs", "-q", "-d", str(tree), str(work / f"bare-{turn}.ext2"), "64M"])
            for turn in range(runs)
        ]
        images = {
            "1 GB ext4": guests / "rootfs.ext4",
            "1 GB disk with partitions": disk,
            "1 GB qcow2": guests / "rootfs.qcow2",
        }
        for kind, image in images.items():

            def put(folder: Path, image: Path = image) -> object:
                return inject(image, tar, workdir=folder, deadline=Deadline.after(LIMIT), as_overlay=True)

            rows.append(
                Row(
                    "overlay",
                    f"overlay into a {kind}",
                    "s",
                    seconds(work, put, runs),
                    f"{AIM} s",
                    AIM,
                    reference=bare,
                    reference_what="mke2fs of the overlay alone",
                )
            )
        large = ramdisk(work / "ramdisk.cpio.gz")

        def extend(folder: Path) -> object:
            return append(
                large,
                tar,
                folder / "ramdisk",
                workdir=folder,
                deadline=Deadline.after(LIMIT),
                compression="gz",
            )

        rows.append(
            Row(
                "overlay",
                "overlay into a ramdisk of 200 MB",
                "s",
                seconds(work, extend, runs),
                f"{AIM} s",
                AIM,
                reference=seconds(work, lambda folder: shutil.copyfile(large, folder / "copy"), runs),
                reference_what="copying it",
            )
        )
    return rows
