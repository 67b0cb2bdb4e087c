# SPDX-License-Identifier: Apache-2.0
"""`to: tftp`: what a board finds at the TFTP server and mounts, from real archives."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import Any

import pytest

from executor.model.deadline import Deadline
from executor.model.worker import Limits
from executor.pipeline.check import check_job
from executor.testing import jobs
from executor.testing.netboot import Deployed, board, deployed
from executor.testing.tarballs import Item, directory, file, symlink, write_tar
from executor.tools.image import uimage
from executor.tools.image.cpio import list_cpio, write_archive
from executor.tools.image.members import Form, Member

URL = "http://h/"
KERNEL = {"url": URL + "zImage", "type": "zimage"}
ROOT: list[Item] = [
    directory("."),
    directory("usr"),
    directory("usr/lib"),
    symlink("lib", "usr/lib"),
    file("usr/lib/os-release", b"demo"),
    symlink("sbin", "/usr/sbin"),
]
MODULES = [directory("lib"), directory("lib/modules"), file("lib/modules/6.1/kernel/a.ko", b"module")]


def tarball(path: Path, items: list[Item]) -> bytes:
    return write_tar(path / "made.tar", items).read_bytes()


def ramdisk() -> bytes:
    """A cpio archive with an `init`, packed."""
    out = io.BytesIO()
    write_archive([Member(("bin",), Form.DIRECTORY, 0o755, 0)], out.write)
    return gzip.compress(out.getvalue(), mtime=0)


def names(path: Path, start: int = 0) -> list[str]:
    return [entry.name for entry in list_cpio(path, start)]


def tftp(tmp_path: Path, block: dict[str, Any], **keys: Any) -> Deployed:
    files = {
        URL + "zImage": b"kernel",
        URL + "board.dtb": b"tree",
        URL + "initrd": ramdisk(),
        URL + "root.tar": tarball(tmp_path, ROOT),
        URL + "modules.tar": tarball(tmp_path, MODULES),
        URL + "preseed": b"d-i answers",
    }
    made = deployed(tmp_path, {"to": "tftp", "os": "debian", **block}, files, **keys)
    if made.outcome.error is not None:
        raise made.outcome.error
    return made


def test_files_get_the_names_that_a_bootloader_asks_for(tmp_path: Path) -> None:
    made = tftp(tmp_path, {"kernel": KERNEL, "dtb": {"url": URL + "board.dtb"}})
    served = made.namespace.artifacts["kernel"].served
    assert served.startswith("42/tftp-deploy-")
    assert served.endswith("/kernel/zImage")
    assert made.file("kernel").read_bytes() == b"kernel"
    assert made.file("dtb").read_bytes() == b"tree"
    assert {made.file(label).stat().st_mode & 0o777 for label in ("kernel", "dtb")} == {0o644}
    assert made.namespace.kernel_type == "zimage"


def test_extra_files_lie_in_one_directory(tmp_path: Path) -> None:
    made = tftp(tmp_path, {"extra_files": {"one": URL + "zImage", "two": URL + "board.dtb"}})
    folder = made.scene.context.tftp / made.namespace.extra_files
    assert sorted(path.name for path in folder.iterdir()) == ["board.dtb", "zImage"]


def test_an_unpacked_archive_is_served_as_a_directory(tmp_path: Path) -> None:
    made = tftp(tmp_path, {"extra_files": {"boot": {"url": URL + "modules.tar", "archive": "tar"}}})
    folder = made.scene.context.tftp / made.namespace.extra_files
    (found,) = [path for path in folder.rglob("*") if path.is_file()]
    assert found.read_bytes() == b"module"
    assert found.parts[-4:] == ("modules", "6.1", "kernel", "a.ko")
    assert found.stat().st_mode & 0o777 == 0o644


def test_overlays_of_the_device_tree_are_numbered(tmp_path: Path) -> None:
    made = tftp(tmp_path, {"kernel": KERNEL, "dtbo": [URL + "board.dtb", URL + "preseed"]})
    assert made.file("dtbo0").read_bytes() == b"tree"
    assert made.file("dtbo1").name == "preseed"


def test_the_ramdisk_receives_modules_and_overlay_behind_a_header(tmp_path: Path) -> None:
    block = {"kernel": KERNEL, "ramdisk": URL + "initrd", "modules": URL + "modules.tar"}
    made = tftp(tmp_path, block, tested=True)
    header = uimage.parse(made.file("ramdisk").read_bytes()[:64])
    assert made.file("ramdisk").stat().st_mode & 0o777 == 0o644
    assert (header.type, header.arch) == (uimage.TYPE_RAMDISK, uimage.ARCHES["arm"])
    found = names(made.file("ramdisk"), uimage.SIZE)
    assert {"bin", "lib/modules/6.1/kernel/a.ko", "lava-42/bin/lava-test-case"} <= set(found)
    assert made.namespace.overlay_applied


def test_without_a_header_the_ramdisk_begins_as_it_came(tmp_path: Path) -> None:
    made = tftp(tmp_path, {"ramdisk": URL + "initrd"}, tested=True, device=board(add_header="raw"))
    content = made.file("ramdisk").read_bytes()
    assert content.startswith(ramdisk()[:4])
    assert "lava-42/bin/lava-test-case" in names(made.file("ramdisk"))


def test_a_header_is_replaced_where_the_device_does_not_speak_of_it(tmp_path: Path) -> None:
    plain, packed = tmp_path / "plain", tmp_path / "packed"
    plain.write_bytes(ramdisk())
    header = uimage.Header(0, 0, arch=uimage.ARCHES["mips"], name=b"theirs")
    uimage.wrap(plain, packed, header, deadline=Deadline.after(60))
    known = board()
    del known["actions"]["deploy"]["parameters"]
    block = {"to": "tftp", "os": "oe", "ramdisk": URL + "rd.u-boot", "ramdisk-type": "u-boot"}
    made = deployed(tmp_path, block, {URL + "rd.u-boot": packed.read_bytes()}, device=known, tested=True)
    assert made.outcome.error is None
    found = uimage.parse(made.file("ramdisk").read_bytes()[: uimage.SIZE])
    assert (found.name, found.arch) == (b"theirs", uimage.ARCHES["mips"])
    assert "lava-42/bin/lava-test-case" in names(made.file("ramdisk"), uimage.SIZE)


def test_modules_for_a_ramdisk_that_are_packed_otherwise_are_told(tmp_path: Path) -> None:
    modules = write_tar(tmp_path / "m.tar.xz", MODULES, "xz").read_bytes()
    files = {URL + "initrd": ramdisk(), URL + "m.tar.xz": modules}
    block = {"to": "tftp", "ramdisk": URL + "initrd", "modules": URL + "m.tar.xz"}
    made = deployed(tmp_path, block, files)
    assert made.outcome.error is not None
    assert made.outcome.error.hint == "write `compression: xz` beside its url"


def test_a_ramdisk_that_shall_not_be_touched_is_not(tmp_path: Path) -> None:
    given = {"url": URL + "initrd", "install_modules": False, "install_overlay": False}
    made = tftp(tmp_path, {"ramdisk": given, "modules": URL + "modules.tar"}, tested=True)
    assert made.file("ramdisk").read_bytes() == ramdisk()
    assert not made.namespace.overlay_applied


def test_the_root_file_system_receives_modules_and_overlay(tmp_path: Path) -> None:
    block = {"kernel": KERNEL, "nfsrootfs": URL + "root.tar", "modules": URL + "modules.tar"}
    made = tftp(tmp_path, block, tested=True)
    assert (made.root / "usr/lib/modules/6.1/kernel/a.ko").read_bytes() == b"module"
    assert (made.root / "lib").is_symlink()
    assert (made.root / "lava-42/bin/lava-test-case").is_file()
    root = made.namespace.nfs_root
    assert root is not None
    assert (root.server, root.path) == ("192.0.2.1", str(made.root))
    assert made.root.is_relative_to(made.scene.context.nfs / "42")


def test_with_a_root_file_system_the_ramdisk_has_no_overlay(tmp_path: Path) -> None:
    block = {"ramdisk": URL + "initrd", "nfsrootfs": URL + "root.tar", "modules": URL + "modules.tar"}
    made = tftp(tmp_path, block, tested=True)
    found = names(made.file("ramdisk"), uimage.SIZE)
    assert "lib/modules/6.1/kernel/a.ko" in found
    assert not [name for name in found if name.startswith("lava-42")]


def test_a_prefix_is_the_root(tmp_path: Path) -> None:
    block = {"nfsrootfs": {"url": URL + "root.tar", "prefix": "usr/"}}
    assert (tftp(tmp_path, block).root / "lib/os-release").read_bytes() == b"demo"


def test_an_installer_finds_its_answers_in_the_ramdisk(tmp_path: Path) -> None:
    block = {"ramdisk": URL + "initrd", "preseed": URL + "preseed", "os": "debian_installer"}
    made = tftp(tmp_path, block)
    assert "preseed.cfg" in names(made.file("ramdisk"), uimage.SIZE)
    assert made.namespace.substitutions["{PRESEED_LOCAL}"] == "preseed.cfg"
    assert made.file("preseed").read_bytes() == b"d-i answers"


def test_a_persistent_root_is_named_as_the_job_does(tmp_path: Path) -> None:
    made = tftp(tmp_path, {"kernel": KERNEL, "persistent_nfs": {"address": "nas:/roots/demo"}})
    root = made.namespace.nfs_root
    assert root is not None
    assert (root.server, root.path, root.directory) == ("nas", "/roots/demo", None)


def test_what_tftp_does_not_transfer_is_refused(tmp_path: Path) -> None:
    files = {URL + "zImage": bytes(100)}
    made = deployed(tmp_path, {"to": "tftp", "kernel": KERNEL}, files, limits=Limits(tftp_file_bytes=100))
    assert made.outcome.error is not None
    assert made.outcome.error.error_type == "Job"
    assert "100 bytes" in made.outcome.error.message


@pytest.mark.parametrize(
    ("block", "text"),
    [
        ({"kernel": {"url": URL, "type": "bootz"}}, "kernel type cannot be 'bootz'"),
        (
            {"nfsrootfs": URL + "r.tar", "persistent_nfs": {"address": "h:/p"}},
            "nfsrootfs and persistent_nfs in one block",
        ),
        ({"kernel": {"url": URL + "k", "archive": "tar"}}, "kernel cannot be an archive"),
        ({"persistent_nfs": {"address": "h:p"}}, "the address 'h:p' names no absolute path"),
        ({"kernel": {"url": URL + "k", "type": "image"}, "os": "x"}, ""),
    ],
)
def test_what_is_refused_before_anything_runs(block: dict[str, Any], text: str) -> None:
    job = jobs.job({"deploy": {"to": "tftp", "os": "debian", **block}}, device_type="board")
    found = [problem.message for problem in check_job(job, board()).errors]
    assert (text in found) if text else not found


def test_a_device_without_the_method_says_so() -> None:
    job = jobs.job({"deploy": {"to": "tftp", "kernel": KERNEL}})
    assert "the device file has no deploy method 'tftp'" in str(check_job(job, jobs.device()).errors)
