# SPDX-License-Identifier: Apache-2.0
"""`to: musca`: flash by copying the program to the board's USB volume, and see that it took it (spec:
job-format §5).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, cast

import msgspec
from msgspec import Meta

from executor.actions.connect import DisconnectDevice, ResetDevice
from executor.actions.download import DownloadRetry
from executor.actions.hosttool import method_options
from executor.actions.usb import WaitDevicePath
from executor.actions.volume import CloseVolume, OpenVolume, VolumeAction, opened
from executor.errors import InfrastructureError, JobError
from executor.model.job import DeployParameters, Resource
from executor.pipeline.action import Action, RetryAction
from executor.pipeline.method import Method, method

if TYPE_CHECKING:
    from executor.model.device import Device
    from executor.model.problem import Problem
    from executor.pipeline.planner import Request, Site
    from executor.pipeline.run import Run
    from executor.pipeline.world import World

BINARY = "test_binary"
FAILURE = "FAIL.TXT"  # what the board's controller writes when it could not flash a file


class MuscaImages(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Images of `to: musca`"""

    test_binary: Annotated[Resource, Meta(description="the program, a hex file")]


class MuscaParameters(DeployParameters, kw_only=True):
    """`to: musca`"""

    images: MuscaImages


@method("deploy")
class Musca(Method):
    """Copy a program to the board's volume."""

    name = "musca"
    summary = "flash a Musca board by its USB volume"
    Parameters = MuscaParameters

    @classmethod
    def action(cls, request: Request) -> Action:
        return MuscaDeploy(cast("MuscaParameters", request.typed), request.device)


class MuscaDeploy(RetryAction):
    """Download, power the board, copy, and look at its answer."""

    name = "musca-deploy"
    summary = "deploy to a Musca board"
    description = "copy the program to the board's USB volume and check that it was flashed"
    restarts_device = True

    def __init__(self, parameters: MuscaParameters, device: Device) -> None:
        self.parameters, self.device = parameters, device

    def plan(self, site: Site) -> Iterable[Action]:
        serial = str(method_options(self.device, "deploy", "musca").get("id_serial") or "")
        path = f"/dev/disk/by-id/{serial}" if serial else ""
        yield DisconnectDevice(self.device)
        yield DownloadRetry(BINARY, self.parameters.images.test_binary, ("images", BINARY))
        yield ResetDevice()
        yield WaitMuscaPath(self.device, path)
        yield MountMusca(path)
        yield DeployMuscaBinary()
        yield UnmountMusca()
        yield WaitMuscaPath(self.device, path)
        yield MountMusca(path)
        yield CheckMuscaFlash()
        yield UnmountMusca()

    def run(self, run: Run) -> None:
        run.namespace.deploy_anew()


class WaitMuscaPath(WaitDevicePath):
    """The board's volume; it goes and comes again when the board flashes."""

    name = "wait-musca-path"
    summary = "wait for the board's volume"
    description = "wait until the USB volume of the board is there"
    timeout_error = JobError

    def validate(self, world: World) -> Iterable[Problem]:
        if not self.path:
            yield self.problem("the device file has no id_serial for musca", error_type="Configuration")


class MountMusca(OpenVolume):
    """See that it is a volume; nothing is mounted."""

    name = "mount-musca-usbmsd"
    summary = "open the board's volume"
    description = "open the USB volume of the board, without a mount"


class DeployMuscaBinary(VolumeAction):
    """The copy."""

    name = "deploy-musca-test-binary"
    summary = "copy the program"
    description = "copy the program to the USB volume of the board"
    timeout_error = JobError

    def run(self, run: Run) -> None:
        artifact = run.namespace.artifacts[BINARY]
        opened(run).copy(artifact.path, artifact.file_name)
        run.results["file"] = artifact.file_name


class UnmountMusca(CloseVolume):
    """Flush; from here on the board flashes."""

    name = "unmount-musca-usbmsd"
    summary = "close the board's volume"
    description = "see that everything has reached the board"


class CheckMuscaFlash(VolumeAction):
    """A board that refused the program says so in a file."""

    name = "check-musca-flash"
    summary = "check what was flashed"
    description = "look for the file in which the board tells of a failure"
    timeout_error = JobError

    def run(self, run: Run) -> None:
        volume = opened(run)
        found = next((name for name in volume.names() if name.upper() == FAILURE), None)
        if found is not None:
            reason = volume.text(found).strip() or "no reason given"
            raise InfrastructureError(f"the board did not flash the program: {reason}")
        run.log.info(f"no {FAILURE} on the volume: the board took the program")
