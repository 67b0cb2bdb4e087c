# SPDX-License-Identifier: Apache-2.0
"""`method: cmsis-dap`: flash by copying the image to the probe's USB volume (spec: job-format §6).

The volume is written to without a mount, see volume.py. The probe starts to flash when the file is complete.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from executor.actions.connect import ConnectDevice, ResetDevice
from executor.actions.hosttool import method_options
from executor.actions.usb import UNSET, WaitDevicePath, WaitUsbSerial, fresh_start, local
from executor.actions.volume import Volume, VolumeAction
from executor.errors import InfrastructureError, JobError
from executor.model.job import BootParameters
from executor.pipeline.action import Action, RetryAction
from executor.pipeline.method import Method, method

if TYPE_CHECKING:
    from executor.model.device import Device
    from executor.model.problem import Problem
    from executor.pipeline.planner import Request, Site
    from executor.pipeline.run import Run
    from executor.pipeline.world import World


class CmsisDapParameters(BootParameters, kw_only=True):
    """`method: cmsis-dap`"""


@method("boot")
class CmsisDap(Method):
    """Flash by copying to a volume."""

    name = "cmsis-dap"
    summary = "flash by copying to the probe's volume"
    Parameters = CmsisDapParameters

    @classmethod
    def action(cls, request: Request) -> Action:
        return BootCmsisRetry(request.device)


class BootCmsisRetry(RetryAction):
    """A fresh start where there is a power switch, copy, wait for the serial port, connect."""

    name = "boot-cmsis-retry"
    summary = "boot an image with CMSIS-DAP"
    description = "copy the image to the probe's volume and connect, with retry"

    def __init__(self, device: Device) -> None:
        self.device = device
        self.options = method_options(device, "boot", "cmsis-dap", "parameters")

    def plan(self, site: Site) -> Iterable[Action]:
        path = str(self.options.get("usb_mass_device") or "")
        yield from fresh_start(site, WaitDevicePath(self.device, path))
        yield FlashCmsis(path)
        if not self.options.get("resets_after_flash", True):
            yield ResetDevice()
        yield WaitUsbSerial(self.device)
        yield ConnectDevice(self.device)


class FlashCmsis(VolumeAction):
    """Copy every image of the deploy block."""

    name = "flash-cmsis"
    summary = "copy to the probe's volume"
    description = "copy the images to the USB volume of the debug probe"
    restarts_device = True

    def __init__(self, path: str) -> None:
        self.path = path

    def validate(self, world: World) -> Iterable[Problem]:
        yield from super().validate(world)
        if self.path in UNSET:
            text = "the device file has no usb_mass_device for cmsis-dap"
            yield self.problem(text, hint="it is the probe's volume, /dev/disk/by-id/…")

    def run(self, run: Run) -> None:
        artifacts = run.namespace.artifacts
        if not artifacts:
            raise JobError("there is no image to flash", "a deploy block must come before this block")
        node = local(run.context.dev, self.path)
        if not node.exists():
            raise InfrastructureError(f"{self.path} is not there", "is the probe plugged in and powered?")
        volume = Volume(node, run)
        for artifact in artifacts.values():
            run.log.info(f"{artifact.label}: {artifact.size} bytes to {self.path}")
            volume.copy(artifact.path, artifact.file_name)
        volume.flush()
        run.results |= {artifact.label: artifact.file_name for artifact in artifacts.values()}
