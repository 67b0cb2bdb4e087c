# SPDX-License-Identifier: Apache-2.0
"""`to: iso-installer`: an empty disk, an installer's ISO image and the answers to its questions (spec:
job-format §5).

The answers go into the installer's ramdisk, where it looks for `/preseed.cfg` by itself: nothing has to be
served to the guest.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, cast

import msgspec
from msgspec import Meta

from executor.actions.deviceenv import DeployDeviceEnv
from executor.actions.download import DownloadRetry
from executor.actions.guest import ApplyOverlayGuest, guest_parameters
from executor.actions.overlay import LavaOverlay
from executor.model.job import DeployParameters, Resource
from executor.model.launch import Needs
from executor.pipeline.action import Action
from executor.pipeline.context import Artifact, Installer
from executor.pipeline.method import Method, method
from executor.tools import proc

if TYPE_CHECKING:
    from executor.model.device import Device
    from executor.pipeline.planner import Request, Site
    from executor.pipeline.run import Run

ISO, PRESEED = "iso", "preseed"
KERNEL, INITRD = "installer kernel", "installer initrd"  # labels that no job can use: they have a blank
_VIRTIO = ("arm", "arm64", "aarch64", "riscv64")  # whose default machine has no IDE bus
# The installer's own words, then those that it hands on to the system it installs.
_APPEND = "auto=true priority=critical DEBIAN_FRONTEND=text console={console} --- console={console}"

Inside = Annotated[
    str, Meta(pattern=r"^/?[^/]+(/[^/]+)*$", extra={"expected": "a path inside the ISO image"})
]


class Images(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`images` of `to: iso-installer`"""

    iso: Annotated[Resource, Meta(description="the ISO image, with its image_arg")]
    preseed: Annotated[Resource, Meta(description="answers to the installer's questions")]


class Iso(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`iso` of `to: iso-installer`"""

    installation_size: Annotated[
        str,
        Meta(
            pattern=r"^[1-9]\d{0,9}[KMGT]?$",
            extra={"expected": "a size such as 4G"},
            description="of the disk to install to",
        ),
    ]
    kernel: Annotated[Inside, Meta(description="the installer's kernel in the ISO image")]
    initrd: Annotated[Inside, Meta(description="the installer's ramdisk in the ISO image")]


class IsoInstallerParameters(DeployParameters, kw_only=True):
    """`to: iso-installer`"""

    images: Annotated[Images, Meta(description="the installer")]
    iso: Annotated[Iso, Meta(description="how to install from it")]


@method("deploy")
class IsoInstaller(Method):
    """What an installation in QEMU begins with."""

    name = "iso-installer"
    needs_of_device = "image"
    summary = "an installer and an empty disk for QEMU"
    Parameters = IsoInstallerParameters

    @classmethod
    def action(cls, request: Request) -> Action:
        return DeployIsoInstaller(cast("IsoInstallerParameters", request.typed))


class DeployIsoInstaller(Action):
    """Disk, image, answers."""

    name = "deploy-iso-installer"
    summary = "deploy an installer"
    description = "get an installer and make the disk that it installs to"

    def __init__(self, parameters: IsoInstallerParameters) -> None:
        self.parameters = parameters

    def needs(self) -> Needs:
        return Needs(mounts=frozenset({"cache", "work"}), tools=frozenset({"qemu-img"}))

    def plan(self, site: Site) -> Iterable[Action]:
        images, iso = self.parameters.images, self.parameters.iso
        yield PrepareEmptyImage(iso.installation_size)
        yield DownloadRetry(PRESEED, images.preseed, ("images", PRESEED))
        yield DownloadRetry(ISO, images.iso, ("images", ISO))
        yield PullInstallerFiles(iso)
        yield PrepareQemuCommands(site.device, str(site.job.context.get("arch", "")))
        if site.needs_overlay:
            guest_parameters(site.device)
            yield LavaOverlay(self.parameters.os)
            yield ApplyOverlayGuest({})
            yield DeployDeviceEnv()

    def run(self, run: Run) -> None:
        run.namespace.deploy_anew()


class PrepareEmptyImage(Action):
    """The disk that the installer finds; it takes space as it is written to."""

    name = "prepare-empty-image"
    summary = "make an empty disk"
    description = "make the disk that the system is installed to"

    def __init__(self, size: str) -> None:
        self.size = size

    def run(self, run: Run) -> None:
        installer = Installer(run.context.work / f"installed-{self.level}.qcow2", self.size)
        empty(installer, run)
        run.namespace.installer = installer
        run.results["size"] = self.size


def empty(installer: Installer, run: Run) -> None:
    """Make the disk, or make it anew."""
    installer.disk.unlink(missing_ok=True)
    argv = ["qemu-img", "create", "-q", "-f", "qcow2", str(installer.disk), installer.size]
    proc.run(argv, deadline=run.deadline, log=run.log.output)


class PullInstallerFiles(Action):
    """QEMU starts the installer's kernel itself, so that it can be given arguments."""

    name = "pull-installer-files"
    summary = "get the installer's kernel"
    description = "copy kernel and ramdisk out of the ISO image"

    def __init__(self, iso: Iso) -> None:
        self.iso = iso

    def run(self, run: Run) -> None:
        from executor.tools.image.iso9660 import extract

        artifacts = run.namespace.artifacts
        for label, name in ((KERNEL, self.iso.kernel), (INITRD, self.iso.initrd)):
            target = run.context.work / f"{self.level}-{label.split()[-1]}"
            size = extract(artifacts[ISO].path, name, target, deadline=run.deadline)
            artifacts[label] = Artifact(label, target, size=size, shared=False)
            run.results[name] = size


class PrepareQemuCommands(Action):
    """What QEMU is told beside the device's own options."""

    name = "prepare-qemu-commands"
    summary = "prepare QEMU's command line"
    description = "put the answers into the ramdisk and make QEMU's arguments"

    def __init__(self, device: Device, arch: str) -> None:
        options = device.boot_methods.get("qemu")
        parameters = options.get("parameters") if isinstance(options, dict) else None
        boot = parameters.get("boot_options") if isinstance(parameters, dict) else None
        console = boot.get("console") if isinstance(boot, dict) else None
        self.console = str(console or ("ttyAMA0" if arch in _VIRTIO else "ttyS0"))
        self.interface = "virtio" if arch in _VIRTIO else "ide"

    def run(self, run: Run) -> None:
        namespace, installer = run.namespace, run.namespace.installer
        assert installer is not None  # noqa: S101  # made by the first action of this block
        initrd = self._with_answers(run)
        kernel = namespace.artifacts[KERNEL].path
        append = _APPEND.format(console=self.console)
        disk = str(installer.disk).replace(",", ",,")
        installer.drive = ["-drive", f"format=qcow2,file={disk},media=disk,if={self.interface},index=0"]
        installer.arguments = ["-kernel", str(kernel), "-initrd", str(initrd.path), "-append", append]
        run.results["append"] = append

    def _with_answers(self, run: Run) -> Artifact:
        from executor.tools.image.ramdisk import append

        namespace, work = run.namespace, run.context.work / f"preseed-{self.level}"
        work.mkdir(parents=True, exist_ok=True)
        archive = work / "preseed.tar"
        with tarfile.open(archive, "w") as tar:
            tar.add(namespace.artifacts[PRESEED].path.resolve(), arcname="preseed.cfg", recursive=False)
        plain = namespace.artifacts[INITRD]
        made = append(
            plain.path,
            [archive],
            work / "initrd",
            workdir=work,
            new=("preseed.cfg",),
            deadline=run.deadline,
            log=run.log.output,
        )
        return Artifact(INITRD, made.path, shared=False)
