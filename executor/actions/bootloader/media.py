# SPDX-License-Identifier: Apache-2.0
"""Booting what an earlier deploy has written to a disk of the device: paths on that disk instead of names at
the TFTP server (spec: job-format §5 usb, sata, sd; §6 `{ROOT}`, `{ROOT_PART}`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import Meta

from executor.model.job import BootParameters
from executor.model.parameters import Text
from executor.model.problem import Problem
from executor.pipeline.action import Action
from executor.schema.normalise import MEDIA

if TYPE_CHECKING:
    from executor.model.device import Device
    from executor.model.job import Block, Job
    from executor.pipeline.planner import Site
    from executor.pipeline.run import Run
    from executor.pipeline.world import World


class MediaParameters(BootParameters, kw_only=True):
    """Keys of bootloaders that can boot from a disk."""

    kernel: Annotated[Text | None, Meta(description="path of the kernel on the disk")] = None
    ramdisk: Annotated[Text | None, Meta(description="path of the ramdisk on the disk")] = None
    dtb: Annotated[Text | None, Meta(description="path of the device tree on the disk")] = None
    root_uuid: Annotated[Text | None, Meta(description="the root as the kernel is told, such as UUID=…")] = (
        None
    )
    boot_part: Annotated[
        int | str | None, Meta(description="number of the partition that the bootloader reads")
    ] = None
    kernel_type: Annotated[
        Literal["image", "zimage", "uimage"] | None, Meta(description="type of the kernel on the disk")
    ] = None

    @property
    def from_media(self) -> bool:
        """Does the block name files of a disk?"""
        return bool(self.kernel or self.ramdisk or self.dtb or self.root_uuid)


class FromMedia(Action):
    """Take the paths and the partition; nothing to do for a boot over the network."""

    summary = "use a disk of the device"
    description = "take paths, partition and root of a disk that the device boots from"

    def __init__(self, parameters: MediaParameters) -> None:
        self.parameters = parameters
        self.medium: Mapping[str, Any] | None = None
        self.uuid_required = False
        self.named = True  # is there a description of the disk that the job means?

    def plan(self, site: Site) -> Iterable[Action]:
        kind = str(self.parameters.commands)
        if self.parameters.from_media and site.block is not None and kind in MEDIA:
            label = _label(site.job, site.block, kind)
            media = site.device.media.get(kind)
            self.medium = _medium(site.device, kind, label)
            self.named = not label or self.medium is not None
            required = media.get("UUID-required") if isinstance(media, Mapping) else None
            own = self.medium.get("UUID-required") if self.medium is not None else None
            self.uuid_required = bool(required if own is None else own)
        return ()

    def validate(self, world: World) -> Iterable[Problem]:
        if not self.parameters.from_media:
            return
        if not self.named:
            yield self.problem(
                "the device file does not describe the disk that the deploy block names",
                error_type="Configuration",
                hint=f"add it to parameters.media.{self.parameters.commands}",
            )
        if self.uuid_required and not self.parameters.root_uuid:
            yield self.problem(
                "root_uuid is missing", hint="the device file says UUID-required for this disk"
            )
        if self.partition is None:
            yield self.problem("boot_part is missing", hint="it is the partition that the bootloader reads")

    @property
    def partition(self) -> int | str | None:
        if self.parameters.boot_part is not None:
            return self.parameters.boot_part
        return self.medium.get("boot_part") if self.medium is not None else None

    def run(self, run: Run) -> None:
        run.namespace.media = self.values()
        if run.namespace.media:
            run.log.info(f"from the device's disk: {run.namespace.media}")

    def values(self) -> dict[str, str]:
        """Placeholders without braces, {} for a boot over the network."""
        given = self.parameters
        if not given.from_media:
            return {}
        values = {"KERNEL": given.kernel, "RAMDISK": given.ramdisk, "DTB": given.dtb, "ROOT": given.root_uuid}
        if self.partition is not None:
            values["ROOT_PART"] = _pair(self.medium, str(self.partition))
        return {name: value for name, value in values.items() if value}


class UBootFromMedia(FromMedia):
    """U-Boot's own name for it."""

    name = "uboot-from-media"


class BootloaderFromMedia(FromMedia):
    """That of the others."""

    name = "bootloader-from-media"


def _label(job: Job, block: Block, kind: str) -> str:
    """`device` of the deploy that wrote the disk, "" when there is none."""
    for earlier in reversed(job.blocks[: block.index]):
        deploys = earlier.section == "deploy" and earlier.parameters.get("to") == kind
        if deploys and earlier.namespace == block.namespace:
            return str(earlier.parameters.get("device") or "")
    return ""


def _medium(device: Device, kind: str, label: str) -> Mapping[str, Any] | None:
    """The disk `label`, or the only one that the device has."""
    media = device.media.get(kind)
    disks = {k: v for k, v in media.items() if isinstance(v, Mapping)} if isinstance(media, Mapping) else {}
    if label:
        return disks.get(label)
    return next(iter(disks.values())) if len(disks) == 1 else None


def _pair(medium: Mapping[str, Any] | None, partition: str) -> str:
    """`<device>:<partition>`; old files give both in one."""
    number = medium.get("device_id") if medium is not None else None
    return partition if ":" in partition or number is None else f"{number}:{partition}"
