# SPDX-License-Identifier: Apache-2.0
"""`to: nfs`: a root file system by NFS, for a board whose kernel comes otherwise or for a QEMU guest.

Spec: job-format §5 (nfs), action-pipeline §2 (nfs-deploy, deploy-qemu-nfs).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, cast

from msgspec import Meta

from executor.actions.deviceenv import DeployDeviceEnv
from executor.actions.download import DownloadRetry
from executor.actions.netboot.contents import ApplyOverlayTftp, ExtractModules
from executor.actions.netboot.nfsroot import ExtractNfsRootfs, unpack_root
from executor.actions.netboot.parameters import RootParameters, Target, as_tarball, takes_modules
from executor.actions.overlay import LavaOverlay
from executor.errors import InfrastructureError
from executor.model.job import Resource
from executor.model.launch import Needs
from executor.model.problem import Path, Problem
from executor.pipeline.action import Action
from executor.pipeline.method import Method, method

if TYPE_CHECKING:
    from executor.pipeline.planner import Request, Site
    from executor.pipeline.run import Run

ROOT = "nfsrootfs"


class NfsParameters(RootParameters, kw_only=True):
    """`to: nfs`"""

    images: Annotated[
        dict[str, Resource],
        Meta(description="for a QEMU guest: kernel, nfsrootfs, …; `{label}` in image_arg becomes the path"),
    ] = {}

    @staticmethod
    def rules(data: dict[str, Any], path: Path) -> Iterator[Problem]:
        images = data.get("images") or {}
        if images and data.get(ROOT) is not None:
            expected = "nfsrootfs for a board, or images for a QEMU guest"
            yield Problem("images and nfsrootfs in one block", path=(*path, "images"), expected=expected)
        elif images and ROOT not in images:
            yield Problem(
                "the images have no nfsrootfs", path=(*path, "images"), expected="one called nfsrootfs"
            )
        elif not images and data.get(ROOT) is None:
            yield Problem("nothing to mount", path=path, expected="nfsrootfs, or images with one")


@method("deploy")
class Nfs(Method):
    """A root file system by NFS."""

    name = "nfs"
    summary = "a root file system that board or guest mounts"
    Parameters = NfsParameters

    @classmethod
    def accepts(cls, request: Request) -> str:
        if reason := super().accepts(request):
            return reason
        if request.parameters.get("images") and "qemu-nfs" not in request.device.boot_methods:
            return "images are for a QEMU guest, and the device file has no boot method 'qemu-nfs'"
        return ""

    @classmethod
    def action(cls, request: Request) -> Action:
        parameters = cast("NfsParameters", request.typed)
        return DeployQemuNfs(parameters) if parameters.images else NfsDeploy(parameters)


def _target(root: Resource | None) -> Target:
    return "nfsrootfs" if root is None or root.install_overlay is not False else ""


class NfsDeploy(Action):
    """For a board."""

    name = "nfs-deploy"
    summary = "deploy a root file system by NFS"
    description = "unpack a root file system, put modules and overlay into it"

    def __init__(self, parameters: NfsParameters) -> None:
        self.parameters = parameters

    def needs(self) -> Needs:
        return Needs(mounts=frozenset({"cache", "work", "nfs"}))

    def plan(self, site: Site) -> Iterable[Action]:
        given = self.parameters
        for label, resource in ((ROOT, given.nfsrootfs), ("modules", given.modules)):
            if resource is not None:
                yield DownloadRetry(label, as_tarball(resource))
        yield ExtractNfsRootfs(given.nfsrootfs)
        yield LavaOverlay(given.os)
        yield ExtractModules(into_root=takes_modules(given.nfsrootfs))
        yield ApplyOverlayTftp(_target(given.nfsrootfs))
        if site.needs_overlay:
            yield DeployDeviceEnv()

    def run(self, run: Run) -> None:
        run.namespace.deploy_anew()


class DeployQemuNfs(Action):
    """For a guest."""

    name = "deploy-qemu-nfs"
    summary = "deploy images for a guest with an NFS root"
    description = "download kernel and root file system of a guest, which mounts the latter by NFS"

    def __init__(self, parameters: NfsParameters) -> None:
        self.parameters = parameters

    def needs(self) -> Needs:
        return Needs(mounts=frozenset({"cache", "work", "nfs"}))

    def plan(self, site: Site) -> Iterable[Action]:
        images = self.parameters.images
        for label, resource in images.items():
            kept = as_tarball(resource) if label == ROOT else resource
            yield DownloadRetry(label, kept, ("images", label))
        yield QemuNfsDeploy(images[ROOT])
        yield LavaOverlay(self.parameters.os)
        yield ApplyOverlayTftp(_target(images[ROOT]))
        yield DeployDeviceEnv()

    def run(self, run: Run) -> None:
        run.namespace.deploy_anew()


class QemuNfsDeploy(Action):
    """Unpack the guest's root file system."""

    name = "qemu-nfs-deploy"
    summary = "unpack the guest's root file system"
    description = "unpack the root file system into a directory that the NFS server exports"
    timeout_error = InfrastructureError

    def __init__(self, resource: Resource) -> None:
        self.resource = resource

    def run(self, run: Run) -> None:
        artifact = run.namespace.artifacts[ROOT]
        root = unpack_root(run, artifact, self.resource.prefix or "")
        root.arguments, artifact.image_arg = artifact.image_arg, ""  # they are the kernel's, not QEMU's
