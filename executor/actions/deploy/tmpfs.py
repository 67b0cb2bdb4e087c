# SPDX-License-Identifier: Apache-2.0
"""`to: tmpfs`: images for a guest that runs in the job's own container (spec: job-format §5).

No image is copied: what QEMU may write to becomes a qcow2 overlay on the cached original.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Literal, cast

from msgspec import Meta

from executor.actions.deviceenv import DeployDeviceEnv
from executor.actions.download import DownloadRetry
from executor.actions.guest import ApplyOverlayGuest
from executor.actions.image.copy import overlay
from executor.actions.image.identify import Kind, identify
from executor.actions.overlay import LavaOverlay
from executor.errors import ConfigurationError, JobError
from executor.model.job import DeployParameters, Resource
from executor.model.launch import Needs
from executor.pipeline.action import Action
from executor.pipeline.context import Artifact
from executor.pipeline.method import Method, method
from executor.pipeline.planner import Request

if TYPE_CHECKING:
    from executor.pipeline.planner import Site
    from executor.pipeline.run import Run

# Options of QEMU whose file the guest never writes to.
_READ_ONLY = re.compile(r"(^|\s)--?(kernel|initrd|dtb|bios|L)\s+\S*\{%s\}")


class TmpfsParameters(DeployParameters, kw_only=True):
    """`to: tmpfs`"""

    images: Annotated[
        dict[str, Resource],
        Meta(min_length=1, description="label → image; `{label}` in image_arg becomes its path"),
    ]
    uefi: Annotated[Resource | None, Meta(description="firmware directory for QEMU's -L")] = None
    type: Literal["monitor"] | None = None


@method("deploy")
class Tmpfs(Method):
    """Images for QEMU."""

    name = "tmpfs"
    summary = "files for a guest in the job's container"
    Parameters = TmpfsParameters

    @classmethod
    def accepts(cls, request: Request) -> str:
        if request.parameters.get("to") != "tmpfs":
            return f"'to' is {request.parameters.get('to')!r}, not 'tmpfs'"
        if "image" not in request.device.deploy_methods:
            return "the device file has no deploy method 'image'"
        return ""

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

    def needs(self) -> Needs:
        return Needs(mounts=frozenset({"cache", "work"}), tools=frozenset({"qemu-img"}))

    def plan(self, site: Site) -> Iterable[Action]:
        tested = any(test.stage >= 0 for test in site.tests)
        images = self.parameters.images
        if tested:
            yield LavaOverlay(self.parameters.os)
            yield DeployDeviceEnv()
        if self.parameters.uefi is not None:
            yield DownloadRetry("uefi", self.parameters.uefi)
        for label, resource in images.items():
            yield DownloadRetry(label, resource)
        if not tested:
            return
        if any(brings_overlay(resource) for resource in images.values()):
            return
        if not any(resource.overlay for resource in images.values()):
            guest = site.device.deploy_methods["image"].get("parameters", {}).get("guest")
            if not guest:
                raise ConfigurationError(
                    "the device file has no actions.deploy.methods.image.parameters.guest",
                    "it tells size and interface of the disk that brings the tests to the guest",
                )
        yield ApplyOverlayGuest(images)

    def after(self, run: Run) -> None:
        """Give the guest something of its own to write to, for every image that lies in the shared cache."""
        for label in self.parameters.images:
            artifact = run.namespace.artifacts[label]
            if not artifact.shared or not artifact.image_arg or _only_read(label, artifact.image_arg):
                continue
            run.namespace.artifacts[label] = _own(run, artifact)


def brings_overlay(resource: Resource) -> bool:
    """Does this image ask for the LAVA overlay in today's form (spec: job-format §4, `overlays`)?"""
    return bool((resource.overlays or {}).get("lava"))


def _only_read(label: str, image_arg: str) -> bool:
    return re.search(_READ_ONLY.pattern % re.escape(label), image_arg) is not None


def _own(run: Run, artifact: Artifact) -> Artifact:
    found = identify(artifact.path)
    if artifact.compression:
        raise JobError(f"{artifact.label}: still compressed with {artifact.compression}")
    kind = "qcow2" if found.kind is Kind.QCOW2 else "raw"
    target = run.context.work / f"{artifact.label}-{run.action.level}.qcow2"
    overlay(artifact.path, kind, target, deadline=run.deadline, log=run.log.output)
    run.log.debug(f"{artifact.label}: {target.name} on top of the cached {kind} image, nothing copied")
    artifact.path, artifact.format, artifact.shared = target, "qcow2", False
    return artifact
