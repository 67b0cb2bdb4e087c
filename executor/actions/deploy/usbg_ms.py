# SPDX-License-Identifier: Apache-2.0
"""`to: usbg-ms`: the worker shows the image to the board as a USB stick (spec: job-format §5).

The device file has the commands that do it, since the gadget belongs to the worker's hardware. What was shown
is taken away when the job ends, or by `command: {name: usbg_ms_commands_disable}`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, cast

from msgspec import Meta

from executor.actions.commandlines import lines_needs, problems, run_lines
from executor.actions.deviceenv import DeployDeviceEnv
from executor.actions.download import DownloadRetry
from executor.actions.hosttool import lines_of, method_options, named_images, placeholders
from executor.actions.overlay import LavaOverlay
from executor.actions.overlayimage import ApplyOverlayImage
from executor.errors import InfrastructureError
from executor.model.job import DeployParameters, Resource
from executor.pipeline.action import Action
from executor.pipeline.method import Method, method

if TYPE_CHECKING:
    from executor.model.device import Device
    from executor.model.launch import Needs
    from executor.model.problem import Problem
    from executor.pipeline.planner import Request, Site
    from executor.pipeline.run import Run
    from executor.pipeline.world import World

IMAGE = "image"
KEY = "usbg-ms"


class UsbgMsParameters(DeployParameters, kw_only=True):
    """`to: usbg-ms`"""

    image: Annotated[Resource, Meta(description="the disk image that the board sees")]


@method("deploy")
class UsbgMs(Method):
    """An image as a USB stick of the board."""

    name = "usbg-ms"
    summary = "show the image to the board as a USB stick"
    Parameters = UsbgMsParameters

    @classmethod
    def action(cls, request: Request) -> Action:
        return UsbgMsDeploy(cast("UsbgMsParameters", request.typed), request.device)


class UsbgMsDeploy(Action):
    """Download, the overlay into it, show it."""

    name = "usbg-ms"
    summary = "deploy by USB gadget"
    description = "download the image and show it to the board as USB mass storage"

    def __init__(self, parameters: UsbgMsParameters, device: Device) -> None:
        self.parameters, self.device = parameters, device

    def plan(self, site: Site) -> Iterable[Action]:
        image = self.parameters.image
        yield DownloadRetry(IMAGE, image)
        if site.needs_overlay:
            yield LavaOverlay(self.parameters.os)
            yield ApplyOverlayImage(IMAGE, image)
            yield DeployDeviceEnv()
        yield UsbgMsEnable(self.device)

    def run(self, run: Run) -> None:
        run.namespace.deploy_anew()


class UsbgMsEnable(Action):
    """The device's `enable`; its `disable` undoes it."""

    name = "usbg-ms-enable"
    summary = "show the image"
    description = "run the device's commands that show the image to the board"
    timeout_error = InfrastructureError

    def __init__(self, device: Device) -> None:
        self.options = method_options(device, "deploy", "usbg-ms")
        self.enable = lines_of(self.options.get("enable"))
        self.disable = lines_of(self.options.get("disable"))

    def needs(self) -> Needs:
        return lines_needs([*self.enable, *self.disable], KEY)

    def validate(self, world: World) -> Iterable[Problem]:
        if not self.enable or not self.disable or set(self.options) != {"enable", "disable"}:
            yield self.problem(
                "usbg-ms of the device file must have enable and disable, and nothing else",
                error_type="Configuration",
            )
        yield from problems(self, [*self.enable, *self.disable], KEY, world)

    def run(self, run: Run) -> None:
        run_lines(run, self.enable, KEY, placeholders(named_images(run)))

    def cleanup(self, run: Run) -> None:
        try:
            run_lines(run, self.disable, KEY, placeholders(named_images(run)))
        except InfrastructureError as error:  # most often a command block has taken it away already
            run.log.warning(f"{KEY}: {error.message}")
