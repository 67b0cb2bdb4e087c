# SPDX-License-Identifier: Apache-2.0
"""`to: qdl`: the set of files with which boot `qdl` flashes a Qualcomm board (spec: job-format §5)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, cast

import msgspec
from msgspec import Meta

from executor.actions.deviceenv import DeployDeviceEnv
from executor.actions.download import DownloadRetry
from executor.actions.hosttool import named_images
from executor.actions.overlay import LavaOverlay
from executor.actions.overlayimage import ApplyOverlayImage
from executor.errors import JobError
from executor.model.job import DeployParameters, Resource
from executor.pipeline.action import Action
from executor.pipeline.method import Method, method

if TYPE_CHECKING:
    from executor.pipeline.planner import Request, Site
    from executor.pipeline.run import Run

FLASH, ROOTFS = "qcomflash", "rootfs_image"


class QdlParameters(DeployParameters, kw_only=True):
    """`to: qdl`"""

    qcomflash: Annotated[
        Resource, Meta(description="tar archive with firehose program, XML files and what they name")
    ]
    rootfs_image: Annotated[
        Resource | None, Meta(description="image that takes the place of the one of its name in the archive")
    ] = None


@method("deploy")
class Qdl(Method):
    """Files to flash over Qualcomm's emergency download mode."""

    name = "qdl"
    needs_of_device = "qdl"
    summary = "files for Qualcomm's emergency download mode"
    Parameters = QdlParameters

    @classmethod
    def supported(cls, request: Request) -> str:
        """The device may list it in either section."""
        if cls.name not in (*request.device.deploy_methods, *request.device.boot_methods):
            return "the device file has no method 'qdl'"
        return ""

    @classmethod
    def action(cls, request: Request) -> Action:
        return QdlDeploy(cast("QdlParameters", request.typed))


class QdlDeploy(Action):
    """Download, unpack, the overlay into the root file system."""

    name = "qdl-deploy"
    summary = "deploy for qdl"
    description = "download and unpack the files, and put the overlay into the root file system"

    def __init__(self, parameters: QdlParameters) -> None:
        self.parameters = parameters

    def plan(self, site: Site) -> Iterable[Action]:
        tested = site.needs_overlay
        rootfs = self.parameters.rootfs_image
        if tested:
            yield LavaOverlay(self.parameters.os)
        yield DownloadRetry(FLASH, msgspec.structs.replace(self.parameters.qcomflash, archive="tar"))
        if rootfs is not None:
            yield DownloadRetry(ROOTFS, rootfs)
            if tested:
                yield ApplyOverlayImage(ROOTFS, rootfs)
        if tested:
            yield DeployDeviceEnv()

    def run(self, run: Run) -> None:
        run.namespace.deploy_anew()

    def after(self, run: Run) -> None:
        """The root file system replaces the one that the archive holds under the same name."""
        if self.parameters.rootfs_image is None:
            return
        artifact = run.namespace.artifacts[ROOTFS]
        image = named_images(run)[ROOTFS]
        there = sorted(run.namespace.artifacts[FLASH].path.rglob(artifact.file_name))
        if not there:
            raise JobError(
                f"{FLASH} holds no {artifact.file_name}",
                f"{ROOTFS} replaces a file of the same name in the archive",
            )
        for old in there:
            old.unlink()
            old.symlink_to(image.resolve())
            run.log.info(f"{old.name} is replaced by {ROOTFS}")
