# SPDX-License-Identifier: Apache-2.0
"""Boards whose flash is written from here, while U-Boot shows it as a USB disk (spec: action-pipeline §2)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from executor.actions.usb import local
from executor.errors import InfrastructureError, JobError
from executor.model.launch import Needs
from executor.model.problem import Problem
from executor.pipeline.action import Action
from executor.tools import proc

if TYPE_CHECKING:
    from executor.pipeline.run import Run
    from executor.pipeline.world import World

IMAGE = "image"  # label of the deploy's artefact


class FlashUms(Action):
    """Write the image, then end U-Boot's command that shows the disk."""

    name = "flash-uboot-ums"
    summary = "write the image"
    description = "write the deployed image to the board's flash"
    timeout_error = InfrastructureError

    def __init__(self, path: str) -> None:
        self.path = path

    def needs(self) -> Needs:
        return Needs(
            mounts=frozenset({"cache", "work"}), devices=frozenset({"block"}), tools=frozenset({"dd"})
        )

    def validate(self, world: World) -> Iterable[Problem]:
        if not self.path:
            yield self.problem(
                "the device file has no uboot_mass_storage_device",
                error_type="Configuration",
                hint="it is the path of the disk as the worker sees it, below /dev/disk/by-id",
            )

    def run(self, run: Run) -> None:
        artifact = run.namespace.artifacts.get(IMAGE)
        if artifact is None:
            raise JobError(
                "there is no image to write", "a deploy `to: u-boot-ums` must come before this block"
            )
        target = local(run.context.dev, self.path)
        argv = ["dd", f"if={artifact.path}", f"of={target}", "bs=4M", "conv=fsync"]
        proc.run(argv, deadline=run.deadline, log=run.log.output, error=InfrastructureError)
        run.results["image"] = artifact.file_name
        run.console.send_control("c")
