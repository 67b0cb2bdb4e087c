# SPDX-License-Identifier: Apache-2.0
"""Placeholders in command lines: what is replaced, what is left out, what stays."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from executor.actions.bootloader.placeholders import KNOWN, fill

VALUES = {
    "SERVER_IP": "10.0.0.1",
    "KERNEL": "42/kernel/zImage",
    "KERNEL_ADDR": "0x82000000",
    "ROOT_PART": "0:1",
}


def filled(*lines: str, **values: str) -> list[str]:
    return fill(lines, {**VALUES, **values}).lines


def test_every_occurrence_is_replaced() -> None:
    assert filled("tftp {KERNEL_ADDR} {KERNEL}; echo {KERNEL}") == [
        "tftp 0x82000000 42/kernel/zImage; echo 42/kernel/zImage"
    ]


def test_a_line_without_its_value_is_left_out_and_named() -> None:
    done = fill(["dhcp", "tftp {RAMDISK_ADDR} {RAMDISK}", "go"], {"RAMDISK_ADDR": "-"})
    assert done.lines == ["dhcp", "go"]
    assert done.left_out == [("tftp {RAMDISK_ADDR} {RAMDISK}", ["RAMDISK"])]


@pytest.mark.parametrize(
    "line", ["setenv size ${filesize}", "echo {UNKNOWN}", "echo ${KERNEL}", "a {b} {}", "{"]
)
def test_what_is_not_ours_stays(line: str) -> None:
    assert filled(line) == [line]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("load usb 0:{ROOT_PART} x", "load usb 0:1 x"),
        ("load scsi {ROOT_PART} x", "load scsi 0:1 x"),
        ("load scsi {ROOT_PART} x; load usb 2:{ROOT_PART} y", "load scsi 0:1 x; load usb 2:1 y"),
    ],
)
def test_the_devices_number_is_not_said_twice(line: str, expected: str) -> None:
    assert filled(line) == [expected]


def test_commands_of_device_tree_overlays_come_once_for_each() -> None:
    lines = ["fdt addr {KERNEL_ADDR}", "{APPLY_DTBO_COMMANDS}", "boot"]
    apply = ["tftp {DTBO_ADDR} {DTBO}", "fdt apply {DTBO_ADDR}"]
    done = fill(
        lines, {**VALUES, "DTBO_ADDR": "0x9"}, overlays=["42/dtbo0/a", "42/dtbo1/b"], apply_overlay=apply
    )
    assert done.lines[1:-1] == [
        "tftp 0x9 42/dtbo0/a",
        "fdt apply 0x9",
        "tftp 0x9 42/dtbo1/b",
        "fdt apply 0x9",
    ]
    assert fill(lines, VALUES, apply_overlay=apply).lines == ["fdt addr 0x82000000", "boot"]


def test_a_numbered_overlay_that_is_not_there() -> None:
    assert filled("tftp 1 {DTBO0}", "tftp 1 {DTBO1}", DTBO0="a") == ["tftp 1 a"]


def test_a_value_is_text_and_nothing_else() -> None:
    assert filled("x {KERNEL}", KERNEL=r"\1 {SERVER_IP} \g<0>") == [r"x \1 {SERVER_IP} \g<0>"]


PIECES = st.lists(
    st.sampled_from([*(f"{{{name}}}" for name in sorted(KNOWN)), "tftp ", "0:", "${filesize}", ";", "{X}"]),
    max_size=6,
).map("".join)


@settings(max_examples=100)
@given(st.lists(PIECES, max_size=5), st.dictionaries(st.sampled_from(sorted(KNOWN)), st.just("value")))
def test_no_line_is_sent_with_a_hole(lines: list[str], values: dict[str, str]) -> None:
    done = fill(lines, values)
    assert len(done.lines) + len(done.left_out) == len(lines)
    for line in done.lines:
        assert not [name for name in KNOWN if f"{{{name}}}" in line]
    for line, missing in done.left_out:
        assert missing
        assert all(f"{{{name}}}" in line and name not in values for name in missing)
