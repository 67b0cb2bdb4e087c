# SPDX-License-Identifier: Apache-2.0
"""`to: flasher`: the device file's own commands write the images (spec: job-format §5).

`{KERNEL}` in a command is the path of the image `kernel`, or its URL where the job says `download: false`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, cast

from msgspec import Meta

from executor.actions.commandlines import lines_needs, problems, run_lines
from executor.actions.deviceenv import DeployDeviceEnv
from executor.actions.download import DownloadRetry, expand
from executor.actions.hosttool import lines_of, method_options, named_images, placeholders
from executor.actions.overlay import LavaOverlay
from executor.model.job import DeployParameters, Resource
from executor.pipeline.action import Action, RetryAction
from executor.pipeline.method import Method, method

if TYPE_CHECKING:
    from executor.model.device import Device
    from executor.model.launch import Needs
    from executor.model.problem import Problem
    from executor.pipeline.planner import Request, Site
    from executor.pipeline.run import Run
    from executor.pipeline.world import World

KEY = "flasher"


class FlasherParameters(DeployParameters, kw_only=True):
    """`to: flasher`"""

    images: Annotated[
        dict[str, Resource], Meta(min_length=1, description="label → image; `{LABEL}` in the commands")
    ]


@method("deploy")
class Flasher(Method):
    """Commands of the device file write the images."""

    name = "flasher"
    summary = "the device's own commands write the images"
    Parameters = FlasherParameters

    @classmethod
    def action(cls, request: Request) -> Action:
        return DeployFlasherRetry(cast("FlasherParameters", request.typed), request.device)


class DeployFlasherRetry(RetryAction):
    """The whole, tried again."""

    name = "deploy-flasher-retry"
    summary = "deploy with the device's commands, with retry"
    description = "download the images and run the device's commands, with retry"

    def __init__(self, parameters: FlasherParameters, device: Device) -> None:
        self.parameters, self.device = parameters, device

    def plan(self, site: Site) -> Iterable[Action]:
        yield DeployFlasher(self.parameters, self.device)


class DeployFlasher(Action):
    """Download, then the commands."""

    name = "deploy-flasher"
    summary = "deploy with the device's commands"
    description = "download the images and run the device's commands"

    def __init__(self, parameters: FlasherParameters, device: Device) -> None:
        self.parameters, self.device = parameters, device
        self.lines = lines_of(method_options(device, "deploy", "flasher").get("commands"))

    def needs(self) -> Needs:
        return lines_needs(self.lines, KEY)

    def plan(self, site: Site) -> Iterable[Action]:
        tested = site.needs_overlay
        if tested:
            yield LavaOverlay(self.parameters.os)
        for label, resource in self.parameters.images.items():
            if resource.download is not False:
                yield DownloadRetry(label, resource, ("images", label))
        if tested:
            yield DeployDeviceEnv()

    def validate(self, world: World) -> Iterable[Problem]:
        if not self.lines:
            yield self.problem("the device file has no commands for flasher", error_type="Configuration")
        yield from problems(self, self.lines, KEY, world)

    def run(self, run: Run) -> None:
        run.namespace.deploy_anew()

    def after(self, run: Run) -> None:
        urls = {
            label.upper(): expand(resource.url, self.device)
            for label, resource in self.parameters.images.items()
            if resource.download is False
        }
        run_lines(run, self.lines, KEY, placeholders(named_images(run), urls))
        run.results["commands"] = len(self.lines)
