# SPDX-License-Identifier: Apache-2.0
"""Waiting for a board that fastboot or adb will talk to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from executor.actions import usb
from executor.actions.fastboot.tools import Board

if TYPE_CHECKING:
    from collections.abc import Iterable

    from executor.model.device import Device
    from executor.pipeline.run import Run

_OVER_NETWORK = ("tcp:", "udp:")
_AT_PORT = "usb:"


class WaitBoard(usb.WaitForNode):
    """Until the board is there again, after whatever made it go."""

    name = "wait-device-boardid"
    summary = "wait for the board"
    description = "wait until USB shows the board"

    def __init__(self, device: Device) -> None:
        super().__init__(device)
        self.board = Board.of(device)

    def run(self, run: Run) -> None:
        detected = run.namespace.fastboot_serial
        ids = tuple(dict.fromkeys([detected, *self.board.ids] if detected else self.board.ids))
        if not ids or self.board.serial.startswith(_OVER_NETWORK):
            run.log.debug("there is no number of the board to look for on the USB bus")
            return
        wanted = f"USB device {' or '.join(ids)}"
        run.log.info(f"waiting for {wanted}")
        found = usb.wait(run, lambda: _find(run.context.dev, ids), wanted)
        run.log.info(f"found {found}")


def _find(dev: Path, ids: Iterable[str]) -> Path | None:
    for name in ids:
        if name.startswith(_AT_PORT):
            port = usb.SYSFS / Path(name.removeprefix(_AT_PORT)).name
            found = port if port.is_dir() else None
        else:
            found = usb.find_bus(dev, usb.UsbIdentity(name))
        if found is not None:
            return found
    return None
