# SPDX-License-Identifier: Apache-2.0
"""Real file systems with content, an overlay for them, and the check of the result by e2fsprogs themselves.

For tests of whatever writes into images.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from executor.model.deadline import Deadline
from executor.testing.tarballs import Item, directory, file, hard_link, symlink

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
    symlink("lava-7/long", "very/" * 40 + "long"),
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
    """Run a program to its good end; returns what it says."""
    done = subprocess.run(argv, input=data, capture_output=True, check=False)
    same(done.returncode, 0, (done.stdout + done.stderr).decode("utf-8", "replace"))
    return done.stdout.decode("utf-8", "replace")


def same(found: object, wanted: object, what: str) -> None:
    """Like assert, but also when Python optimises."""
    if found != wanted:
        raise AssertionError(f"{what}: {found!r} instead of {wanted!r}")


def soon() -> Deadline:
    """Time enough for any test."""
    return Deadline.after(60)


def make_tree(top: Path) -> None:
    """What is in the images before the overlay comes."""
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


def make_image(path: Path, geometry: str, tree: Path) -> None:
    """An image with `tree`; its free blocks are full of old data, as in a used one."""
    garbage = path.with_name("garbage")
    garbage.write_bytes(b"\xa5" * (6 << 20))
    sh("mke2fs", "-q", "-F", *GEOMETRIES[geometry].split(), "-d", tree, path, "24M")
    debugfs(path, f"write {garbage} garbage", "rm garbage")
    sh("e2fsck", "-fn", path)
    garbage.unlink()


def debugfs(image: Path, *commands: str) -> None:
    """Run commands of debugfs on an image."""
    script = image.with_name("commands")
    script.write_text("\n".join(commands) + "\n")
    sh("debugfs", "-w", "-f", script, image)
    script.unlink()


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
            same(str(path.readlink()), item.target, item.name)
        elif item.content:
            same(path.read_bytes(), item.content, item.name)
    same((now / "lava-7/hard").read_bytes(), (now / "lava-7/bin/helper-3").read_bytes(), "hard link")
    same((now / "usr/lib/through-a-link").is_file(), True, "followed symlink")
    same((now / "lib").is_symlink(), True, "kept symlink")
    replaced = {"etc/replaced", "etc/was-a-link", "big"}
    for path in tree.rglob("*"):
        name = str(path.relative_to(tree))
        if name not in replaced and path.is_file() and not path.is_symlink():
            same((now / name).read_bytes(), path.read_bytes(), name)


def listed(image: Path, folder: str) -> dict[str, list[str]]:
    """name → [mode, uid, gid] of a directory, by debugfs."""
    rows = (line.split() for line in sh("debugfs", "-R", f"ls -p {folder}", image).splitlines() if line)
    fields = (row[0].split("/") for row in rows)
    return {row[5]: row[2:5] for row in fields}
