# SPDX-License-Identifier: Apache-2.0
"""`to: mps`: write firmware and programs to the USB volume of an MPS board (spec: job-format §5)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, cast

from msgspec import Meta

from executor.actions.connect import DisconnectDevice, ResetDevice
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
from executor.actions.volume import VolumeAction, opened
from executor.errors import InfrastructureError
from executor.model.job import DeployParameters, Resource
from executor.model.problem import Path, Problem
from executor.pipeline.action import Action
from executor.pipeline.method import Method, method

if TYPE_CHECKING:
    from executor.model.device import Device
    from executor.pipeline.planner import Request, Site
    from executor.pipeline.run import Run

BINARY = "test_binary"  # labels of programs begin with it
SOFTWARE = "SOFTWARE"  # their directory on the volume
REBOOT = "reboot.txt"


class MpsParameters(DeployParameters, kw_only=True):
    """`to: mps`"""

    images: Annotated[
        dict[str, Resource],
        Meta(min_length=1, description="recovery_image, and programs whose labels begin with test_binary"),
    ]

    @staticmethod
    def rules(data: dict[str, Any], path: Path) -> Iterator[Problem]:
        yield from DeployParameters.rules(data, path)
        for label in data["images"]:
            if label != RECOVERY and not label.startswith(BINARY):
                yield Problem(
                    f"an image of mps cannot be called {label!r}",
                    path=(*path, "images", label),
                    expected=f"{RECOVERY}, or a name that begins with {BINARY}",
                )


@method("deploy")
class Mps(Method):
    """Write the volume of an MPS board."""

    name = "mps"
    summary = "write the USB volume of an MPS board"
    Parameters = MpsParameters

    @classmethod
    def action(cls, request: Request) -> Action:
        return MpsDeploy(cast("MpsParameters", request.typed), request.device)


class MpsDeploy(Action):
    """Reset the board so that it shows its volume, write it, have the board start anew."""

    name = "mps-deploy"
    summary = "deploy to an MPS board"
    description = "write firmware and programs to the board's USB volume"
    restarts_device = True

    def __init__(self, parameters: MpsParameters, device: Device) -> None:
        self.parameters, self.device = parameters, device

    def plan(self, site: Site) -> Iterable[Action]:
        images = self.parameters.images
        options = method_options(self.device, "deploy", "mps", "parameters")
        yield DisconnectDevice(self.device)
        yield ResetDevice()
        yield WaitUsbMassStorage(self.device)
        for label, resource in images.items():
            yield DownloadRetry(label, resource, ("images", label))
        yield MountVExpressMassStorage(volume_path(self.device))
        if RECOVERY in images:
            yield ExtractVExpressRecoveryImage()
            yield DeployVExpressRecoveryImage()
        programs = {label: resource for label, resource in images.items() if label != RECOVERY}
        if programs:
            yield DeployMpsTestBinary(programs)
        if not options.get("hard-reboot"):
            yield DeployMpsRebootTxt(str(options.get("reboot-string") or ""))
        yield UnmountVExpressMassStorage()
        if options.get("hard-reboot"):
            yield ResetDevice()

    def run(self, run: Run) -> None:
        run.namespace.deploy_anew()


class DeployMpsTestBinary(VolumeAction):
    """Programs go into a directory of the volume, under the name that the job gives."""

    name = "deploy-mps-test-binary"
    summary = "copy the programs"
    description = "copy the programs to the board's USB volume"

    def __init__(self, programs: dict[str, Resource]) -> None:
        self.programs = programs

    def run(self, run: Run) -> None:
        volume = opened(run)
        directory = next((n for n in volume.names() if n.upper() == SOFTWARE), None)
        if directory is None:
            raise InfrastructureError(
                f"the board's volume has no directory {SOFTWARE}", "is a recovery_image needed?"
            )
        for label, resource in self.programs.items():
            artifact = run.namespace.artifacts[label]
            name = resource.rename or artifact.file_name
            volume.copy(artifact.path, name, directory)
            run.results[label] = f"{directory}/{name}"


class DeployMpsRebootTxt(VolumeAction):
    """The board's controller restarts the board when this file appears."""

    name = "deploy-mps-reboot-txt"
    summary = "have the board restart"
    description = "write the file that makes the board restart"

    def __init__(self, text: str) -> None:
        self.text = text

    def run(self, run: Run) -> None:
        file = run.context.work / f"{REBOOT}-{self.level}"
        file.write_text(self.text, encoding="ascii", errors="replace")
        opened(run).copy(file, REBOOT)
