# SPDX-License-Identifier: Apache-2.0
"""Boot of a Musca board."""

from __future__ import annotations

from executor.testing.boards import board, names, problems

BOOT = {"boot": {"method": "musca"}}


def test_it_is_powered_and_its_serial_port_waited_for() -> None:
    assert names(board("boot", "musca"), BOOT) == [
        "musca-boot",
        "  reset-device",
        "    pdu-reboot",
        "  wait-usb-serial",
        "  connect-device",
    ]
    assert problems(board("boot", "musca"), BOOT) == []


def test_another_board_refuses_it() -> None:
    [text] = problems(board("boot", "pyocd"), BOOT)
    assert "musca: the device file has no boot method 'musca'" in text
