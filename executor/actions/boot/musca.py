# SPDX-License-Identifier: Apache-2.0
"""`method: musca`: power the board and connect; what `to: musca` has flashed runs (spec: job-format §6)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from executor.actions.connect import ConnectDevice, ResetDevice
from executor.actions.usb import WaitUsbSerial
from executor.model.job import BootParameters
from executor.pipeline.action import Action, RetryAction
from executor.pipeline.method import Method, method

if TYPE_CHECKING:
    from executor.model.device import Device
    from executor.pipeline.planner import Request, Site


class MuscaParameters(BootParameters, kw_only=True):
    """`method: musca`"""


@method("boot")
class Musca(Method):
    """Start what was flashed."""

    name = "musca"
    summary = "power a Musca board and connect"
    Parameters = MuscaParameters

    @classmethod
    def action(cls, request: Request) -> Action:
        return MuscaBoot(request.device)


class MuscaBoot(RetryAction):
    """Reset, wait for the serial port, connect."""

    name = "musca-boot"
    summary = "boot a Musca board"
    description = "power the board, wait for its serial port, connect"

    def __init__(self, device: Device) -> None:
        self.device = device

    def plan(self, site: Site) -> Iterable[Action]:
        yield ResetDevice()
        yield WaitUsbSerial(self.device)
        yield ConnectDevice(self.device)
