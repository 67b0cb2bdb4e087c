# SPDX-License-Identifier: Apache-2.0
"""`image_arg`: what QEMU does with each image, and what its command line becomes."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from executor.actions.drives import Use, arguments, check_disk, option_values, unknown_labels, use_of
from executor.errors import JobError
from executor.pipeline.context import Artifact


def artifact(label: str, path: str, format_: str = "") -> Artifact:
    return Artifact(label, Path(path), format=format_)


@pytest.mark.parametrize(
    ("image_arg", "use"),
    [
        ("-drive format=raw,file={x}", Use.DISK),
        ("--drive file={x},if=virtio", Use.DISK),
        ("-drive file={x},index=2,media=cdrom,readonly", Use.READ_DISK),
        ("-drive format=raw,readonly=on,file={x}", Use.READ_DISK),
        ("-drive format=raw,read-only=on,file={x}", Use.READ_DISK),
        ("-cdrom {x}", Use.READ_DISK),
        ("-hda {x}", Use.DISK),
        ("-sd {x}", Use.DISK),
        ("-pflash {x}", Use.DISK),
        ("-kernel {x} -append 'root=/dev/vda'", Use.READ),
        ("--initrd {x}", Use.READ),
        ("-dtb {x}", Use.READ),
        ("-bios {x}", Use.READ),
        ("-device loader,file={x},addr=0x1000", Use.READ),
        ("-append file={x}", Use.READ),
        ("-blockdev driver=raw,node-name=a,file.driver=file,file.filename={x}", Use.OTHER),
        ("-drive id=a,file.filename={x}", Use.OTHER),
        ("-virtfs local,path={x},mount_tag=t", Use.OTHER),
        ("{x}", Use.OTHER),
        ("-nographic", Use.NONE),
        ("-hda {y}", Use.NONE),
    ],
)
def test_the_option_says_what_is_done_with_the_image(image_arg: str, use: Use) -> None:
    assert use_of("x", [image_arg], ["x", "y"]) is use


def test_the_strongest_use_counts_over_all_fragments() -> None:
    assert use_of("x", ["-kernel {x}", "-drive file={x}"], ["x"]) is Use.DISK


LABELS = ["0", "a.b", "x!r", "my image", "[0]", "rootfs", "{", "a/../b", "é", "%s", "$HOME", "'"]


@pytest.mark.parametrize("label", LABELS)
def test_labels_may_look_like_anything(label: str) -> None:
    found = artifact(label, "/cache/abc")
    given = f"-drive format=raw,file={{{label}}} -append 'a {{nobody}} b'"
    assert arguments(given, {label: found}) == [
        "-drive",
        "format=raw,file=/cache/abc",
        "-append",
        "a {nobody} b",
    ]
    assert use_of(label, [given], [label]) is Use.DISK


@pytest.mark.parametrize("label", LABELS)
def test_labels_never_lead_out_of_a_directory(label: str) -> None:
    name = artifact(label, "/x").safe_label
    assert name not in ("", ".", "..")
    assert "/" not in name


def test_labels_that_differ_get_file_names_that_differ() -> None:
    assert len({artifact(label, "/x").safe_label for label in ["a/b", "a_b", "a b", "..", "."]}) == 5


def test_what_stands_in_a_path_is_not_looked_through_again() -> None:
    artifacts = {"a": artifact("a", "/c/{b}"), "b": artifact("b", "/c/b")}
    assert arguments("-kernel {a} -initrd {b}", artifacts) == ["-kernel", "/c/{b}", "-initrd", "/c/b"]


def test_blanks_and_commas_in_paths_do_not_break_words() -> None:
    artifacts = {"a": artifact("a", "/c d/x,y")}
    assert arguments("-kernel {a}", artifacts) == ["-kernel", "/c d/x,y"]
    assert arguments("-drive file={a},if=sd", artifacts) == ["-drive", "file=/c d/x,,y,if=sd"]
    assert arguments("-device loader,file={a}", artifacts)[1] == "loader,file=/c d/x,,y"


def test_two_images_may_be_the_same_file() -> None:
    artifacts = {"a": artifact("a", "/c/x"), "b": artifact("b", "/c/x")}
    assert arguments("-hda {a} -hdb {b}", artifacts) == ["-hda", "/c/x", "-hdb", "/c/x"]


def test_an_overlay_under_format_raw_is_opened_through_the_raw_driver() -> None:
    artifacts = {"r": artifact("r", "/work/r.qcow2", "qcow2")}
    (_, word) = arguments("-drive format=raw,file={r}", artifacts)
    assert word.startswith('format=raw,file=json:{"driver":"raw"')
    assert '"driver":"qcow2"' in word
    assert "/work/r.qcow2" in word


@pytest.mark.parametrize("given", ["-drive format=qcow2,file={r}", "-drive file={r}"])
def test_an_overlay_under_its_own_format_is_just_named(given: str) -> None:
    assert arguments(given, {"r": artifact("r", "/w/r.qcow2", "qcow2")})[1].endswith("file=/w/r.qcow2")


def test_quotes_that_are_not_closed_are_the_jobs_fault() -> None:
    with pytest.raises(JobError, match="split into words"):
        arguments("-append 'root=", {})


def test_what_looks_like_a_label_and_is_none() -> None:
    assert unknown_labels("-hda {rootfs} -append '{a b} ${x} {kernle}'", ["rootfs"]) == ["x", "kernle"]


def test_values_of_options() -> None:
    words = ["-m", "512", "--m", "1G", "-net", "user", "m", "7"]
    assert option_values(words, "m") == ["512", "1G"]


# -- disks that cannot be


def disk(tmp_path: Path, content: bytes, compression: str = "") -> Artifact:
    path = tmp_path / "disk"
    path.write_bytes(content)
    return Artifact("rootfs", path, compression=compression)


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"\x1f\x8b", "gz"),
        (b"BZh9", "bz2"),
        (b"\xfd7zXZ\0", "xz"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
    ],
)
def test_a_packed_disk_that_is_not_declared_is_named(tmp_path: Path, head: bytes, name: str) -> None:
    with pytest.raises(JobError, match=f"rootfs: the image is packed with {name}") as caught:
        check_disk(disk(tmp_path, head + bytes(8192)))
    assert f"compression: {name}" in caught.value.hint


@pytest.mark.parametrize("head", [b"PK\x03\x04", b"\x04\x22\x4d\x18"])
def test_a_packed_disk_that_cannot_be_declared_is_named_too(tmp_path: Path, head: bytes) -> None:
    with pytest.raises(JobError) as caught:
        check_disk(disk(tmp_path, head + bytes(8192), "zip"))
    assert caught.value.hint == "unpack it first"


def test_a_qcow2_that_names_another_file_is_refused(tmp_path: Path) -> None:
    head = struct.pack(">4sIQIIQ", b"QFI\xfb", 3, 104, 11, 16, 1 << 30) + bytes(72) + b"/etc/shadow"
    with pytest.raises(JobError, match="backing file"):
        check_disk(disk(tmp_path, head.ljust(8192, b"\0")))


def test_plain_disks_and_directories_pass(tmp_path: Path) -> None:
    check_disk(disk(tmp_path, bytes(8192)))
    check_disk(Artifact("uefi", tmp_path))
