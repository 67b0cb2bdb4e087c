# SPDX-License-Identifier: Apache-2.0
"""`method: minimal`: reset and log in; whatever boots, boots by itself (spec: job-format §6)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, cast

from msgspec import Meta

from executor.actions.commands import DeviceCommand
from executor.actions.connect import ConnectDevice, ResetDevice
from executor.actions.shell import shell_tail
from executor.errors import InfrastructureError
from executor.model.job import BootParameters
from executor.pipeline.action import Action, RetryAction
from executor.pipeline.method import Method, method

if TYPE_CHECKING:
    from executor.model.device import Device
    from executor.pipeline.planner import Request, Site


class MinimalParameters(BootParameters, kw_only=True):
    """`method: minimal`"""

    pre_power_command: Annotated[bool, Meta(description="run the device's pre_power_command first")] = False
    pre_os_command: Annotated[bool, Meta(description="run the device's pre_os_command first")] = False


@method("boot")
class Minimal(Method):
    """Reset the device and reach its shell."""

    name = "minimal"
    summary = "reset, then log in"
    Parameters = MinimalParameters

    @classmethod
    def action(cls, request: Request) -> Action:
        return MinimalBoot(cast("MinimalParameters", request.typed), request.device)


class MinimalBoot(RetryAction):
    """Connect, reset, log in."""

    name = "minimal-boot"
    summary = "connect and reset"
    description = "connect to the device, reset it, reach its shell"

    def __init__(self, parameters: MinimalParameters, device: Device) -> None:
        self.parameters, self.device = parameters, device

    def plan(self, site: Site) -> Iterable[Action]:
        yield ConnectDevice(self.device)
        if self.parameters.pre_power_command:
            yield PrePowerCommand()
        if self.parameters.pre_os_command:
            yield PreOsCommand()
        if self.parameters.reset is not False:
            yield ResetDevice(self.parameters.soft_reboot)
        yield from shell_tail(site, self.parameters)


class PrePowerCommand(DeviceCommand):
    """Relays that must be set before power is."""

    name = "pre-power-command"
    summary = "run pre_power_command"
    description = "run the device's pre_power_command"
    timeout_error = InfrastructureError
    command = "pre_power_command"


class PreOsCommand(DeviceCommand):
    """Relays that must be set before the operating system starts."""

    name = "pre-os-command"
    summary = "run pre_os_command"
    description = "run the device's pre_os_command"
    timeout_error = InfrastructureError
    command = "pre_os_command"
