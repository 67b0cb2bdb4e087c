# SPDX-License-Identifier: Apache-2.0
"""`to: avh`: firmware for a board that Arm Virtual Hardware simulates (spec: job-format §5)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, cast

import msgspec
from msgspec import Meta

from executor.actions.avh.api import log_in
from executor.actions.avh.package import make_package
from executor.actions.download import DownloadRetry
from executor.actions.hosttool import method_options
from executor.actions.overlay import LavaOverlay
from executor.actions.overlayimage import ApplyOverlayImage
from executor.errors import InfrastructureError, LavaExecError
from executor.model.job import DeployParameters, Resource
from executor.model.launch import Needs
from executor.model.parameters import Text
from executor.model.problem import Path, Problem
from executor.pipeline.action import Action, RetryAction
from executor.pipeline.method import Method, method

if TYPE_CHECKING:
    from executor.model.device import Device
    from executor.pipeline.planner import Request, Site
    from executor.pipeline.run import Run
    from executor.pipeline.world import World

PACKAGE, ROOTFS = "fw_package", "rootfs"


class AvhOptions(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """`options`: in place of the device's."""

    model: Annotated[Text | None, Meta(description="model of the board, such as rpi4b")] = None
    api_endpoint: Annotated[Text | None, Meta(description="URL of the service's API")] = None
    project_name: Annotated[Text | None, Meta(description="project of the user at the service")] = None


class AvhParameters(DeployParameters, kw_only=True):
    """`to: avh`"""

    options: AvhOptions = msgspec.field(default_factory=AvhOptions)
    images: Annotated[dict[str, Resource], Meta(description="kernel, dtb and rootfs; a package is made")] = {}
    fw_package: Annotated[Resource | None, Meta(description="a package that is whole already")] = None

    @staticmethod
    def rules(data: dict[str, Any], path: Path) -> Iterator[Problem]:
        yield from DeployParameters.rules(data, path)
        if bool(data.get("images")) == bool(data.get(PACKAGE)):
            yield Problem("nothing to deploy, or too much", path=path, expected="either images or fw_package")


@method("deploy")
class Avh(Method):
    """Firmware for a simulated board."""

    name = "avh"
    summary = "firmware for Arm Virtual Hardware"
    Parameters = AvhParameters

    @classmethod
    def action(cls, request: Request) -> Action:
        return DeployAvhRetry(cast("AvhParameters", request.typed), request.device)


class DeployAvhRetry(RetryAction):
    """The whole, tried again."""

    name = "deploy-avh-retry"
    summary = "deploy to Arm Virtual Hardware, with retry"
    description = "make a firmware package and upload it, with retry"

    def __init__(self, parameters: AvhParameters, device: Device) -> None:
        self.parameters, self.device = parameters, device

    def plan(self, site: Site) -> Iterable[Action]:
        yield DeployAvh(self.parameters, self.device)


def settings(device: Device, options: AvhOptions) -> dict[str, str]:
    """api_endpoint, project_name and model: of the job, else of the device."""
    own = method_options(device, "deploy", "avh", "options")
    return {key: str(value or own.get(key) or "") for key, value in msgspec.structs.asdict(options).items()}


class DeployAvh(Action):
    """Download, the overlay into the root file system, pack, upload."""

    name = "deploy-avh"
    summary = "deploy to Arm Virtual Hardware"
    description = "make a firmware package and upload it"

    def __init__(self, parameters: AvhParameters, device: Device) -> None:
        self.parameters, self.settings = parameters, settings(device, parameters.options)

    def needs(self) -> Needs:
        return Needs(mounts=frozenset({"cache", "work"}), network="bridge")

    def plan(self, site: Site) -> Iterable[Action]:
        tested = site.needs_overlay
        if tested:
            yield LavaOverlay(self.parameters.os)
        if self.parameters.fw_package is not None:
            yield DownloadRetry(PACKAGE, self.parameters.fw_package)
        for label, resource in self.parameters.images.items():
            yield DownloadRetry(label, resource, ("images", label))
            if tested and label == ROOTFS:
                yield ApplyOverlayImage(label, resource)

    def validate(self, world: World) -> Iterable[Problem]:
        for key, value in self.settings.items():
            if not value:
                yield self.problem(f"neither device file nor job has {key}", "options", hint="see options")
        if self.parameters.fw_package is not None and self.parameters.os:
            text = "a whole package is uploaded as it is, the overlay with the tests is not in it"
            hint = "transfer_overlay in the boot block lets the board fetch it"
            yield self.problem(text, PACKAGE, severity="warning", hint=hint)

    def run(self, run: Run) -> None:
        run.namespace.deploy_anew()

    def after(self, run: Run) -> None:
        artifacts, given = run.namespace.artifacts, self.settings
        name = f"lava-{run.context.worker.job_id}-{self.level}"
        if self.parameters.fw_package is not None:
            package = artifacts[PACKAGE].path
        else:
            package = run.context.work / f"{name}.zip"
            parts = {label: artifacts[label].path for label in self.parameters.images}
            make_package(package, given["model"], run.context.worker.job_id, parts, deadline=run.deadline)
        service = log_in(run.context, given["api_endpoint"], run.deadline)
        run.log.info(f"uploading {package.stat().st_size} bytes to {given['api_endpoint']}")
        image = service.upload(service.project(given["project_name"]), name, package)
        run.namespace.virtual_firmware = image
        run.namespace.virtual_settings = given
        run.results["image"] = image

    def cleanup(self, run: Run) -> None:
        image, run.namespace.virtual_firmware = run.namespace.virtual_firmware, ""
        if not image:
            return
        try:
            log_in(run.context, self.settings["api_endpoint"], run.deadline).remove("images", image)
        except LavaExecError as error:
            raise InfrastructureError(
                f"the uploaded image {image} was not removed: {error.message}"
            ) from error
