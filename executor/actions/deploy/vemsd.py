# SPDX-License-Identifier: Apache-2.0
"""`to: vemsd`: write the firmware of a Versatile Express board through its controller (spec: job-format §5).

The controller (MCC) has a console of its own: it shows its USB volume on request, and erases the flash.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, ClassVar, cast

from msgspec import Meta

from executor.actions.connect import ConnectDevice, ResetDevice
from executor.actions.download import DownloadRetry
from executor.actions.hosttool import method_options
from executor.actions.usb import WaitUsbMassStorage
from executor.actions.vexpress import (
    RECOVERY,
    DeployVExpressRecoveryImage,
    ExtractVExpressRecoveryImage,
    MountVExpressMassStorage,
    UnmountVExpressMassStorage,
    volume_path,
)
from executor.errors import InfrastructureError
from executor.model.job import DeployParameters, Resource
from executor.model.problem import Problem
from executor.pipeline.action import Action, RetryAction
from executor.pipeline.method import Method, method

if TYPE_CHECKING:
    from executor.model.device import Device
    from executor.pipeline.planner import Request, Site
    from executor.pipeline.run import Run
    from executor.pipeline.world import World


class VemsdParameters(DeployParameters, kw_only=True):
    """`to: vemsd`"""

    recovery_image: Annotated[Resource, Meta(description="zip or tar archive with the volume's files")]


@method("deploy")
class Vemsd(Method):
    """Write the volume of a Versatile Express board."""

    name = "vemsd"
    summary = "write the USB volume of a Versatile Express board"
    Parameters = VemsdParameters

    @classmethod
    def action(cls, request: Request) -> Action:
        return VExpressFwDeployRetry(cast("VemsdParameters", request.typed), request.device)


class VExpressFwDeployRetry(RetryAction):
    """The whole, tried again."""

    name = "vexpress-fw-deploy-retry"
    summary = "deploy board firmware, with retry"
    description = "write the board's recovery image, with retry"
    timeout_error = InfrastructureError

    def __init__(self, parameters: VemsdParameters, device: Device) -> None:
        self.parameters, self.device = parameters, device

    def plan(self, site: Site) -> Iterable[Action]:
        yield VExpressFwDeploy(self.parameters, self.device)


class VExpressFwDeploy(Action):
    """Reset into the controller's prompt, write the volume, erase the flash so that it is programmed anew."""

    name = "vexpress-fw-deploy"
    summary = "deploy board firmware"
    description = "write the board's recovery image"
    timeout_error = InfrastructureError

    def __init__(self, parameters: VemsdParameters, device: Device) -> None:
        self.parameters, self.device = parameters, device

    def plan(self, site: Site) -> Iterable[Action]:
        device = self.device
        yield DownloadRetry(RECOVERY, self.parameters.recovery_image)
        yield ConnectDevice(device)
        yield ResetDevice()
        yield ExtractVExpressRecoveryImage()
        yield EnterVExpressMCC(device)
        yield EnableVExpressMassStorage(device)
        yield WaitUsbMassStorage(device)
        yield MountVExpressMassStorage(volume_path(device))
        yield DeployVExpressRecoveryImage()
        yield UnmountVExpressMassStorage()
        if _options(device).get("flash_prompt"):
            yield EraseVExpressFlash(device)

    def run(self, run: Run) -> None:
        run.namespace.deploy_anew()


def _options(device: Device) -> dict[str, str]:
    found = method_options(device, "deploy", "vemsd", "parameters")
    return {key: str(value) for key, value in found.items() if value is not None}


class _Dialogue(Action):
    """A part of the conversation with the controller; `keys` of the device file it cannot do without."""

    timeout_error = InfrastructureError
    keys: ClassVar[tuple[str, ...]] = ()

    def __init__(self, device: Device) -> None:
        self.options = _options(device)

    def validate(self, world: World) -> Iterable[Problem]:
        for key in self.keys:
            if not self.options.get(key):
                yield self.problem(
                    f"the device file has no {key} for vemsd",
                    hint="it is in actions.deploy.methods.vemsd.parameters",
                )

    def say(self, run: Run, key: str, *answers: str) -> None:
        """Send the command of `key`, and wait for each of the answers' patterns in turn."""
        run.console.send_line(self.options[key])
        for answer in answers:
            self.hear(run, answer)

    def hear(self, run: Run, *keys: str) -> int:
        """Wait for one of the texts of these keys, which are no regular expressions; which one came."""
        import re

        patterns = [re.escape(self.options[key]) for key in keys if self.options.get(key)]
        run.tell_wait(patterns, run.operation)
        return run.console.expect(patterns, run.operation).index


class EnterVExpressMCC(_Dialogue):
    """Stop the controller before it boots the board, unless it waits by itself."""

    name = "enter-vexpress-mcc"
    summary = "reach the board's controller"
    description = "interrupt the board's controller and reach its prompt"
    keys = ("mcc_prompt", "autorun_prompt", "mcc_reset_msg")

    def run(self, run: Run) -> None:
        if self.hear(run, "autorun_prompt", "mcc_prompt") == 0:
            run.console.send_line("")
            self.hear(run, "mcc_prompt")


class EnableVExpressMassStorage(_Dialogue):
    """Have the controller show its volume."""

    name = "enable-vexpress-usbmsd"
    summary = "show the board's volume"
    description = "have the board's controller show its USB volume"
    keys = ("mcc_prompt", "msd_mount_cmd")

    def run(self, run: Run) -> None:
        self.say(run, "msd_mount_cmd", "mcc_prompt")


class EraseVExpressFlash(_Dialogue):
    """An erased flash is programmed from the volume at the next start."""

    name = "erase-vexpress-flash"
    summary = "erase the board's flash"
    description = "erase the flash, so that it is programmed with the new firmware"
    keys = (
        "mcc_prompt",
        "flash_prompt",
        "flash_enter_cmd",
        "flash_erase_cmd",
        "flash_erase_msg",
        "flash_exit_cmd",
    )

    def run(self, run: Run) -> None:
        self.say(run, "flash_enter_cmd", "flash_prompt")
        self.say(run, "flash_erase_cmd", "flash_erase_msg", "flash_prompt")
        self.say(run, "flash_exit_cmd", "mcc_prompt")
