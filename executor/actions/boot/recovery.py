# SPDX-License-Identifier: Apache-2.0
"""`method: recovery`: put the board into recovery mode, or back (spec: job-format §6)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Literal, cast

from msgspec import Meta

from executor.actions.finalize import PowerOff
from executor.actions.recoverymode import ENTER, LEAVE, PowerOn, SwitchRecovery
from executor.model.job import BootParameters
from executor.pipeline.action import Action
from executor.pipeline.method import Method, method

if TYPE_CHECKING:
    from executor.model.device import Device
    from executor.pipeline.planner import Request, Site

KEYS = {"recovery": ENTER, "exit": LEAVE}


class RecoveryParameters(BootParameters, kw_only=True):
    """`method: recovery`"""

    commands: Annotated[Literal["recovery", "exit"], Meta(description="into recovery mode, or back")]


@method("boot")
class Recovery(Method):
    """Switch recovery mode."""

    name = "recovery"
    summary = "put the board into recovery mode, or back"
    Parameters = RecoveryParameters

    @classmethod
    def supported(cls, request: Request) -> str:
        """The commands belong to the deploy method of that name."""
        if cls.name not in (*request.device.deploy_methods, *request.device.boot_methods):
            return "the device file has no deploy method 'recovery'"
        return ""

    @classmethod
    def action(cls, request: Request) -> Action:
        return RecoveryBoot(cast("RecoveryParameters", request.typed), request.device)


class RecoveryBoot(Action):
    """The jumpers are read when the board gets power, so it is off while they are set."""

    name = "recovery-boot"
    summary = "switch recovery mode"
    description = "power the board off, set its jumpers, power it on"
    restarts_device = True

    def __init__(self, parameters: RecoveryParameters, device: Device) -> None:
        self.parameters, self.device = parameters, device

    def plan(self, site: Site) -> Iterable[Action]:
        if self.device.command("power_off"):
            yield PowerOff()
        yield SwitchRecovery(self.device, KEYS[self.parameters.commands])
        if self.device.command("power_on"):
            yield PowerOn()
