# SPDX-License-Identifier: Apache-2.0
"""`to: tmpfs`: images for a guest that runs in the job's own container, or for a program that flashes them
(spec: job-format §5).

No image is copied: what QEMU may write to becomes a qcow2 overlay on the cached original. Programs that flash
only read.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Literal, cast

from msgspec import Meta

from executor.actions.deviceenv import DeployDeviceEnv
from executor.actions.download import DownloadRetry
from executor.actions.drives import Use, check_disk, split, unknown_labels, use_of
from executor.actions.guest import ApplyOverlayGuest, guest_parameters
from executor.actions.overlay import LavaOverlay
from executor.errors import JobError
from executor.model.job import DeployParameters, Resource
from executor.model.launch import Needs
from executor.pipeline.action import Action
from executor.pipeline.context import Artifact
from executor.pipeline.method import Method, method
from executor.pipeline.planner import Request

if TYPE_CHECKING:
    from pathlib import Path

    from executor.model.problem import Problem
    from executor.pipeline.planner import Site
    from executor.pipeline.run import Run
    from executor.pipeline.world import World

GUESTS = {"qemu", "qemu-nfs", "qemu-iso"}  # boot methods of a device whose images are for QEMU
FIRMWARE = "uefi"  # label of the firmware directory


class TmpfsParameters(DeployParameters, kw_only=True):
    """`to: tmpfs`"""

    images: Annotated[
        dict[str, Resource],
        Meta(min_length=1, description="label → image; `{label}` in image_arg becomes its path"),
    ]
    uefi: Annotated[Resource | None, Meta(description="firmware directory for QEMU's -L")] = None
    type: Annotated[Literal["monitor"] | None, Meta(description="accepted, without effect")] = None


@method("deploy")
class Tmpfs(Method):
    """Images for QEMU."""

    name = "tmpfs"
    needs_of_device = "image"
    summary = "files for a guest in the job's container"
    Parameters = TmpfsParameters

    @classmethod
    def action(cls, request: Request) -> Action:
        return DeployImages(cast("TmpfsParameters", request.typed))


class DeployImages(Action):
    """Download the images, bring the overlay to the guest."""

    name = "deployimages"
    summary = "deploy images"
    description = "download images and make the overlay reach the guest"

    def __init__(self, parameters: TmpfsParameters) -> None:
        self.parameters = parameters
        self.guest = True  # for QEMU, whose command line takes the images

    def needs(self) -> Needs:
        tools = frozenset({"qemu-img"} if self.guest else ())
        return Needs(mounts=frozenset({"cache", "work"}), tools=tools)

    def plan(self, site: Site) -> Iterable[Action]:
        self.guest = bool(GUESTS & set(site.device.boot_methods))
        tested = site.needs_overlay
        images = self.parameters.images
        if tested:
            yield LavaOverlay(self.parameters.os)
            yield DeployDeviceEnv()
        if self.parameters.uefi is not None:
            yield DownloadRetry(FIRMWARE, self.parameters.uefi)
        for label, resource in images.items():
            yield DownloadRetry(label, resource, ("images", label))
        if not tested or any(brings_overlay(resource) for resource in images.values()):
            return
        if not any(resource.overlay for resource in images.values()):
            guest_parameters(site.device)
        yield ApplyOverlayGuest(images)

    def validate(self, world: World) -> Iterable[Problem]:
        images = self.parameters.images
        if FIRMWARE in images and self.parameters.uefi is not None:
            yield self.problem(f"an image cannot be called {FIRMWARE!r} where there is a firmware")
        for label, resource in images.items() if self.guest else ():
            if resource.image_arg is None:
                text = f"{label} has no image_arg, so it will not be on QEMU's command line"
                yield self.problem(text, "images", label, severity="warning")
                continue
            try:
                split(resource.image_arg, images)
            except JobError as error:
                yield self.problem(error.message, "images", label, "image_arg", hint=error.hint)
            for name in unknown_labels(resource.image_arg, images):
                hint = f"the images are {', '.join(images)}"
                text = f"image_arg names {{{name}}}, which is no image of this block"
                yield self.problem(text, "images", label, "image_arg", hint=hint, severity="warning")

    def run(self, run: Run) -> None:
        run.namespace.deploy_anew()

    def after(self, run: Run) -> None:
        """Give the guest something of its own to write to, for every image that lies in the shared cache."""
        if not self.guest:
            return
        artifacts = run.namespace.artifacts
        image_args = [r.image_arg for r in self.parameters.images.values() if r.image_arg]
        for label in self.parameters.images:
            use = use_of(label, image_args, artifacts)
            if use >= Use.READ_DISK and artifacts[label].shared:
                check_disk(artifacts[label])
            if use >= Use.DISK and artifacts[label].shared:
                own(run, artifacts[label], use)
        if FIRMWARE in artifacts:
            artifacts[FIRMWARE].path = firmware_directory(run, artifacts[FIRMWARE])


def brings_overlay(resource: Resource) -> bool:
    """Does this image ask for the LAVA overlay in today's form (spec: job-format §4, `overlays`)?"""
    return bool(resource.overlays.get("lava"))


def own(run: Run, artifact: Artifact, use: Use) -> None:
    """A version of the image that this job may write to.

    Every attempt to boot gets the same one: what a failed attempt or the run before has written stays, as it
    does on a board.
    """
    from executor.tools.image.copy import overlay, private_copy
    from executor.tools.image.identify import Kind, identify

    target = run.context.work / f"{artifact.safe_label}-{run.action.level}"
    if use is Use.DISK:
        kind = "qcow2" if identify(artifact.path).kind is Kind.QCOW2 else "raw"
        target = target.with_name(f"{target.name}.qcow2")
        overlay(artifact.path, kind, target, deadline=run.deadline, log=run.log.output)
        run.log.debug(f"{artifact.label}: {target.name} on top of the cached {kind} image, nothing copied")
        artifact.format = "qcow2"
    elif artifact.path.is_file():
        way = private_copy(artifact.path, target, deadline=run.deadline)
        run.log.debug(f"{artifact.label}: a copy of its own ({way}), for its use in image_arg is not known")
    else:
        return
    artifact.path, artifact.shared = target, False


def firmware_directory(run: Run, artifact: Artifact) -> Path:
    """QEMU's `-L` wants a directory with the firmware under its own name."""
    if artifact.path.is_dir():
        return artifact.path
    directory = run.context.work / f"firmware-{run.action.level}"
    directory.mkdir(parents=True, exist_ok=True)
    link = directory / artifact.file_name
    link.unlink(missing_ok=True)
    link.symlink_to(artifact.path)
    return directory
