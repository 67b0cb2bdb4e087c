# SPDX-License-Identifier: Apache-2.0
"""The ramdisk that a device boots with: modules, overlay and preseed file as further archives behind it.

It is not unpacked (see tools/image/ramdisk.py). Only a U-Boot header is taken off and put on, as job and
device say (spec: job-format §5, device-config §2 `add_header`).
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from executor.actions.netboot.contents import overlays
from executor.actions.netboot.nfsroot import tar_compression
from executor.actions.netboot.parameters import TftpParameters, takes_modules
from executor.actions.netboot.share import publish, served_directory
from executor.errors import InfrastructureError, JobError
from executor.model.launch import Needs
from executor.pipeline.action import Action
from executor.tools.image import uimage

if TYPE_CHECKING:
    from executor.model.problem import Problem
    from executor.pipeline.context import Artifact
    from executor.pipeline.planner import Site
    from executor.pipeline.run import Run
    from executor.pipeline.world import World

PRESEED_IN_RAMDISK = {"debian_installer": "preseed.cfg"}  # where an installer looks for its answers


class ExtractOverlayRamdisk(Action):
    """See early that the ramdisk is one that something can be appended to."""

    name = "extract-overlay-ramdisk"
    summary = "check the ramdisk"
    description = "check header and compression of the ramdisk against what the job says"
    timeout_error = InfrastructureError

    def __init__(self, parameters: TftpParameters) -> None:
        self.parameters = parameters

    def run(self, run: Run) -> None:
        resource = self.parameters.ramdisk
        if resource is None or resource.header != "u-boot":
            return
        artifact = run.namespace.artifacts["ramdisk"]
        with artifact.path.open("rb") as file:
            header = uimage.parse(file.read(uimage.SIZE))
        run.log.debug(
            f"ramdisk: U-Boot header for {header.size} bytes, called {header.name.decode(errors='replace')!r}"
        )


class ConfigurePreseedFile(Action):
    """Tell by which name an installer finds its answers."""

    name = "configure-preseed-file"
    summary = "place the preseed file"
    description = "say where the installer finds its preseed file"

    def __init__(self, parameters: TftpParameters) -> None:
        self.parameters = parameters

    def run(self, run: Run) -> None:
        if self.parameters.preseed is None:
            return
        publish(run, run.namespace.artifacts["preseed"], "preseed")
        if name := preseed_in_ramdisk(self.parameters):
            run.namespace.substitutions["{PRESEED_LOCAL}"] = name


def preseed_in_ramdisk(parameters: TftpParameters) -> str:
    """The preseed file's name in the ramdisk, empty where the installer fetches it."""
    if parameters.preseed is None or parameters.ramdisk is None:
        return ""
    return PRESEED_IN_RAMDISK.get(parameters.os or "", "")


class CompressRamdisk(Action):
    """Make the ramdisk at the TFTP server."""

    name = "compress-ramdisk"
    summary = "make the ramdisk"
    description = "append modules, overlay and preseed file to the ramdisk and give it its header"
    timeout_error = InfrastructureError

    def __init__(self, parameters: TftpParameters) -> None:
        self.parameters = parameters
        self.header = ""
        self.arch = ""

    def needs(self) -> Needs:
        return Needs(mounts=frozenset({"cache", "work", "tftp"}))

    def plan(self, site: Site) -> Iterable[Action]:
        given = site.device.deploy_parameters
        self.header = str(given.get("add_header") or "")
        self.arch = str(given.get("mkimage_arch") or "")
        return ()

    def validate(self, world: World) -> Iterable[Problem]:
        if self.parameters.ramdisk is None or self.header != "u-boot":
            return
        if self.arch not in uimage.ARCHES:
            known = ", ".join(sorted(uimage.ARCHES))
            yield self.problem(
                f"the device file has the mkimage_arch {self.arch!r}",
                error_type="Configuration",
                hint=f"actions.deploy.parameters.mkimage_arch is one of {known}",
            )

    def run(self, run: Run) -> None:
        resource, namespace = self.parameters.ramdisk, run.namespace
        if resource is None:
            return
        artifact = namespace.artifacts["ramdisk"]
        if resource.install_modules is False and resource.install_overlay is False:
            run.log.debug("ramdisk: left as it is, as the job says")
        else:
            self._make(run, artifact, header=resource.header == "u-boot")
        publish(run, artifact, "ramdisk")

    def _make(self, run: Run, artifact: Artifact, *, header: bool) -> None:
        from executor.tools.image.ramdisk import append

        archives = self._archives(run)
        # Device files of the first V2 jobs do not say it: there a header is replaced by the same.
        wanted = self.header == "u-boot" or (header and not self.header)
        if not archives and header == wanted:
            return
        target = served_directory(run.namespace, "ramdisk") / artifact.file_name
        made: uimage.Header | bool = header and wanted
        if wanted and not header:
            made = uimage.Header(0, 0, arch=uimage.ARCHES[self.arch], name=b"ramdisk")
        done = append(
            artifact.path,
            archives,
            target,
            workdir=run.context.work / f"ramdisk-{self.level}",
            compression=artifact.compression,
            header=header,
            add_header=made,
            deadline=run.deadline,
            log=run.log.output,
        )
        artifact.path, artifact.shared = done.path, False
        run.results |= {"added": done.added, "header": "u-boot" if wanted else "none"}

    def _archives(self, run: Run) -> list[Path]:
        """What goes into the ramdisk, in the order of unpacking."""
        given, namespace = self.parameters, run.namespace
        archives: list[Path] = []
        if "modules" in namespace.artifacts and takes_modules(given.ramdisk):
            modules = namespace.artifacts["modules"]
            tar_compression(modules, ("gz",))
            archives.append(modules.path)
        if given.overlay_target == "ramdisk" and overlays(namespace):
            archives += overlays(namespace)
            namespace.overlay_applied = True
        if name := preseed_in_ramdisk(given):
            archives.append(_tarball(run, namespace.artifacts["preseed"].path, name))
        return archives


def _tarball(run: Run, source: Path, name: str) -> Path:
    """One file as a tarball, with it at the root."""
    path = run.context.work / f"preseed-{run.action.level}.tar"
    try:
        with tarfile.open(path, "w") as archive, source.open("rb") as file:
            info = tarfile.TarInfo(name)
            info.size = source.stat().st_size
            archive.addfile(info, file)
    except OSError as problem:
        raise InfrastructureError(f"{path} cannot be written: {problem.strerror}") from problem
    except tarfile.TarError as problem:
        raise JobError(f"the preseed file cannot be packed: {problem}") from problem
    return path
