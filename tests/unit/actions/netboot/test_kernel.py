# SPDX-License-Identifier: Apache-2.0
"""The kernel as the bootloader wants it: converted, with its device tree, or in a FIT image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from executor.actions.netboot.kernel import PrepareFit
from executor.errors import LavaExecError
from executor.pipeline.check import check_job
from executor.testing import jobs
from executor.testing.netboot import Deployed, board, deployed
from executor.testing.pipeline import planned
from executor.testing.tools import StandIns
from executor.tools.image import uimage

URL = "http://h/"
FILES = {URL + "Image": b"kernel", URL + "board.dtb": b"tree", URL + "initrd": b"070701 ramdisk"}


def deploy(tmp_path: Path, kind: str | None, known: dict[str, Any], **more: Any) -> Deployed:
    kernel = {"url": URL + "Image", **({"type": kind} if kind else {})}
    made = deployed(tmp_path, {"to": "tftp", "kernel": kernel, **more}, FILES, device=known)
    if made.outcome.error is not None:
        raise made.outcome.error
    return made


def errors(kind: str, known: dict[str, Any]) -> list[tuple[str, str]]:
    block = {"to": "tftp", "kernel": {"url": URL + "Image", "type": kind}}
    found = check_job(jobs.job({"deploy": block}, device_type="board"), known).errors
    return [(p.error_type, p.message) for p in found]


@pytest.mark.parametrize("kind", ["zimage", "uimage"])
def test_a_kernel_that_the_device_has_addresses_for_stays(tmp_path: Path, kind: str) -> None:
    made = deploy(tmp_path, kind, board())
    assert made.file("kernel").read_bytes() == b"kernel"
    assert made.namespace.kernel_type == kind


def test_any_other_becomes_an_image_with_a_header(tmp_path: Path) -> None:
    made = deploy(tmp_path, "image", board())
    content = made.file("kernel").read_bytes()
    header = uimage.parse(content[: uimage.SIZE])
    assert (header.type, header.arch, header.size) == (uimage.TYPE_KERNEL, uimage.ARCHES["arm"], 6)
    assert (header.load, header.entry) == (0x80200000, 0x80200000)
    assert content[uimage.SIZE :] == b"kernel"
    assert made.namespace.kernel_type == "uimage"
    assert made.file("kernel").name == "Image.uimage"


def test_where_it_is_loaded_the_device_may_say(tmp_path: Path) -> None:
    known = board(use_xip=True)
    known["parameters"]["text_offset"] = "0x10008000"
    header = uimage.parse(deploy(tmp_path, "image", known).file("kernel").read_bytes()[: uimage.SIZE])
    assert (header.load, header.entry) == (0x10008000, 0x10008040)


def test_the_tables_may_bear_the_names_of_images(tmp_path: Path) -> None:
    known = board()
    known["parameters"]["image"] = {"kernel": "0x1"}
    assert deploy(tmp_path, "image", known).file("kernel").read_bytes() == b"kernel"


def test_the_device_tree_is_appended_where_the_device_wants_that(tmp_path: Path) -> None:
    made = deploy(tmp_path, "zimage", board(append_dtb=True), dtb=URL + "board.dtb")
    assert made.file("kernel").read_bytes() == b"kerneltree"
    assert made.file("dtb").read_bytes() == b"tree"


def test_a_device_without_addresses_cannot_boot_it() -> None:
    known = board()
    del known["parameters"]["bootm"]
    assert errors("image", known) == [("Job", "the device has no load addresses for booti or bootm")]
    assert errors("uimage", known) == [("Job", "the device has no load addresses for bootm")]


def test_what_a_conversion_needs_of_the_device() -> None:
    known = board(mkimage_arch="vax", add_header=None)
    assert ("Configuration", "the device file has the mkimage_arch 'vax'") in errors("image", known)
    assert errors("zimage", known) == []
    known = board()
    known["parameters"]["bootm"] = {"kernel": "high"}
    assert ("Configuration", "the kernel's load address is 'high'") in errors("image", known)


def chromebook() -> dict[str, Any]:
    known = board(add_header=None)
    known["actions"]["boot"]["methods"] = {"depthcharge": None}
    known["parameters"]["load_address"] = "0x100000"
    return known


def test_a_fit_image_holds_all_three(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools = StandIns(tmp_path, monkeypatch)
    tools.make("mkimage", does='for last; do :; done; echo fit > "$last"')
    made = deploy(tmp_path, None, chromebook(), dtb=URL + "board.dtb", ramdisk=URL + "initrd")
    assert made.file("kernel").read_bytes() == b"fit\n"
    (argv,) = tools.calls("mkimage")
    assert argv[: argv.index("-d")] == [
        *["-f", "auto", "-A", "arm", "-O", "linux", "-T", "kernel", "-C", "none", "-a", "0x100000"]
    ]
    files = [Path(argv[argv.index(option) + 1]).read_bytes() for option in ("-d", "-b", "-i")]
    assert files == [b"kernel", b"tree", b"070701 ramdisk"]


def test_the_fit_image_comes_last() -> None:
    block = {"to": "tftp", "kernel": URL + "Image"}
    top = planned(jobs.job({"deploy": block}, device_type="board"), chromebook()).actions[0]
    assert [a.name for a in top.walk()][-3:] == ["compress-ramdisk", "prepare-kernel", "prepare-fit"]


def test_what_a_fit_image_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = chromebook()
    del known["parameters"]["load_address"]
    block = {"to": "tftp", "kernel": URL + "Image"}
    (error,) = check_job(jobs.job({"deploy": block}, device_type="board"), known).errors
    assert error.error_type == "Configuration"
    StandIns(tmp_path, monkeypatch).make("mkimage", "no dtc", code=1)
    with pytest.raises(LavaExecError, match="mkimage failed with code 1: no dtc"):
        deploy(tmp_path, None, chromebook())
    assert PrepareFit().needs().tools == {"mkimage", "dtc"}
