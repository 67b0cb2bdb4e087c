# SPDX-License-Identifier: Apache-2.0
"""Images to partitions, in the device's order, with the reboots that the job wants between them (spec:
job-format §5).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar

from executor.actions.connect import PduReboot
from executor.actions.fastboot.tools import Board, FastbootAction
from executor.actions.fastboot.wait import WaitBoard
from executor.actions.finalize import ReadFeedback
from executor.errors import InfrastructureError
from executor.pipeline.action import Action

if TYPE_CHECKING:
    from executor.model.device import Device
    from executor.model.job import Resource
    from executor.model.problem import Problem
    from executor.pipeline.planner import Site
    from executor.pipeline.run import Run
    from executor.pipeline.world import World

BOOT = "boot"  # label of the image that a board can start without having it written
NO_FLASH = "no-flash-boot"  # in the device's boot sequence: that is what it does
_UPDATE = "update"  # label of an archive that fastboot takes apart itself


def in_order(labels: Iterable[str], order: Sequence[str]) -> list[str]:
    """The device's order first, then the job's."""
    given = list(labels)
    return [name for name in order if name in given] + [name for name in given if name not in order]


class FlashOrder(Action):
    """All images, one after the other."""

    name = "fastboot-flash-order-action"
    summary = "flash in order"
    description = "flash the images in the device's order, with reboots between them"
    timeout_error = InfrastructureError

    def __init__(self, images: dict[str, Resource], device: Device) -> None:
        self.images, self.device, self.board = images, device, Board.of(device)

    def plan(self, site: Site) -> Iterable[Action]:
        order = self.device.raw.get("flash_cmds_order")
        wanted = [str(name) for name in order] if isinstance(order, list) else []
        yield ReadFeedback()
        for label in in_order(self.images, wanted):
            yield WaitBoard(self.device)
            yield Flash(self.board, label, written=not (label == BOOT and _not_flashed(self.device)))
            reboot = self.images[label].reboot
            if reboot is not None:
                yield PduReboot() if reboot == "hard-reset" else _REBOOTS[reboot](self.board)
                yield ReadFeedback()

    def validate(self, world: World) -> Iterable[Problem]:
        for label, resource in self.images.items():
            if label.startswith("-"):
                yield self.problem(f"no partition is called {label!r}", "images", label)
            if resource.reboot == "hard-reset" and not self.device.command("hard_reset"):
                text = f"{label}: the device has no hard_reset, so it is not reset after this image"
                yield self.problem(text, "images", label, "reboot", severity="warning")


def _not_flashed(device: Device) -> bool:
    return NO_FLASH in (device.boot_methods.get("fastboot") or ())


class Flash(FastbootAction):
    """One image to its partition."""

    name = "fastboot-flash-action"
    summary = "flash an image"
    description = "write one image to the partition that its label names"

    def __init__(self, board: Board, partition: str, *, written: bool = True) -> None:
        super().__init__(board)
        self.partition, self.written = partition, written

    @property
    def label(self) -> str:
        return self.partition

    def run(self, run: Run) -> None:
        if not self.written:
            run.log.info(f"{self.partition} is not written: the device starts it directly ({NO_FLASH})")
            return
        path = run.namespace.artifacts[self.partition].path
        words = [_UPDATE] if self.partition == _UPDATE else ["flash", self.partition]
        self.fastboot(run, *words, path)
        run.results |= {"label": self.partition, "status": "finished"}


class Reboot(FastbootAction):
    """Leave fastboot, or come back to it."""

    name = "fastboot-reboot"
    summary = "reboot by fastboot"
    description = "reboot the board by fastboot"
    restarts_device = True
    words: ClassVar[tuple[str, ...]] = ("reboot",)

    def run(self, run: Run) -> None:
        if run.connected is not None:
            run.connected.expect_reset()
        self.fastboot(run, *self.words)
        run.results["status"] = "finished"


class RebootBootloader(Reboot):
    """Into the bootloader's fastboot."""

    name = "fastboot-reboot-bootloader"
    summary = "reboot into the bootloader"
    words = ("reboot", "bootloader")


class RebootFastboot(Reboot):
    """Into the fastboot of the system's own, which can write to logical partitions."""

    name = "fastboot-reboot-fastboot"
    summary = "reboot into userspace fastboot"
    words = ("reboot", "fastboot")


_REBOOTS: dict[str, type[Reboot]] = {kind.name: kind for kind in (Reboot, RebootBootloader, RebootFastboot)}
