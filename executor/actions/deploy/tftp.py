# SPDX-License-Identifier: Apache-2.0
"""`to: tftp`: kernel, device tree and root file system for a board that boots over the network.

Spec: job-format §5 (to: tftp), action-pipeline §2 (tftp-deploy).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, cast

from executor.actions.deviceenv import DeployDeviceEnv
from executor.actions.download import DownloadRetry, Place
from executor.actions.netboot.contents import ApplyOverlayTftp, ExtractModules
from executor.actions.netboot.kernel import fit_image, prepare_kernel
from executor.actions.netboot.nfsroot import ExtractNfsRootfs, ParsePersistentNfs
from executor.actions.netboot.parameters import TftpParameters, as_tarball, takes_modules
from executor.actions.netboot.ramdisk import CompressRamdisk, ConfigurePreseedFile, ExtractOverlayRamdisk
from executor.actions.netboot.share import publish, serve_files
from executor.actions.overlay import LavaOverlay
from executor.model.launch import Needs
from executor.pipeline.action import Action
from executor.pipeline.method import Method, method

if TYPE_CHECKING:
    from executor.model.job import Resource
    from executor.pipeline.planner import Request, Site
    from executor.pipeline.run import Run

_ORDER = ("ramdisk", "kernel", "dtb", "nfsrootfs", "modules", "preseed", "tee")
_NOT_SERVED = ("nfsrootfs", "modules")  # mounted, or inside something else
EXTRA = "extra_files"


@method("deploy")
class Tftp(Method):
    """Files for a bootloader that fetches them."""

    name = "tftp"
    summary = "kernel, ramdisk and root file system over the network"
    Parameters = TftpParameters

    @classmethod
    def action(cls, request: Request) -> Action:
        return TftpDeploy(cast("TftpParameters", request.typed))


class TftpDeploy(Action):
    """Download, make ready, bring to the TFTP server."""

    name = "tftp-deploy"
    summary = "deploy by TFTP"
    description = "download files and make them ready to be fetched by TFTP or mounted by NFS"

    def __init__(self, parameters: TftpParameters) -> None:
        self.parameters = parameters

    def needs(self) -> Needs:
        return Needs(mounts=frozenset({"cache", "work", "tftp"}))

    def plan(self, site: Site) -> Iterable[Action]:
        tested = site.needs_overlay
        if tested:
            yield LavaOverlay(self.parameters.os)
        for label, resource, place in _resources(self.parameters):
            yield DownloadRetry(label, resource, place)
        yield PrepareTftpOverlay(self.parameters)
        if tested:
            yield DeployDeviceEnv()

    def run(self, run: Run) -> None:
        serve_files(run, self.name)

    def after(self, run: Run) -> None:
        """Whatever a bootloader asks for lies at the server now."""
        namespace = run.namespace
        for label, artifact in namespace.artifacts.items():
            key = EXTRA if label.startswith(f"{EXTRA}.") else label
            if label not in _NOT_SERVED and not artifact.served:
                publish(run, artifact, key)
        if self.parameters.extra_files and namespace.served is not None:
            namespace.extra_files = str((namespace.served / EXTRA).relative_to(run.context.tftp))


def _resources(parameters: TftpParameters) -> Iterator[tuple[str, Resource, Place]]:
    """What is downloaded, in order: label, resource, place in the block."""
    for key in _ORDER:
        resource = getattr(parameters, key)
        if resource is not None:
            yield key, as_tarball(resource) if key in _NOT_SERVED else resource, (key,)
    for number, resource in enumerate(parameters.dtbo):
        yield f"dtbo{number}", resource, ("dtbo", number)
    for name, resource in parameters.extra_files.items():
        yield f"{EXTRA}.{name}", resource, (EXTRA, name)


class PrepareTftpOverlay(Action):
    """Everything between the downloads and the files that a device gets."""

    name = "prepare-tftp-overlay"
    summary = "make the files ready"
    description = "unpack root file system and modules, put the overlay in, make kernel and ramdisk"

    def __init__(self, parameters: TftpParameters) -> None:
        self.parameters = parameters

    def plan(self, site: Site) -> Iterable[Action]:
        given = self.parameters
        yield ExtractNfsRootfs(given.nfsrootfs)
        yield ParsePersistentNfs(given.persistent_nfs)
        yield ExtractOverlayRamdisk(given)
        yield ExtractModules(into_root=takes_modules(given.nfsrootfs))
        if site.needs_overlay:
            yield ApplyOverlayTftp(given.overlay_target)
        yield from prepare_kernel(given.kernel, site.device)
        yield ConfigurePreseedFile(given)
        yield CompressRamdisk(given)
        yield from fit_image(given.kernel, site.device)
