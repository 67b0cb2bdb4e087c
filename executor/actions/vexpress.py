# SPDX-License-Identifier: Apache-2.0
"""Firmware of Arm's development boards: a volume with a whole tree of files, written anew (spec:
action-pipeline §2, `to: vemsd` and `to: mps`).
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from executor.actions.volume import CloseVolume, OpenVolume, VolumeAction, opened
from executor.errors import InfrastructureError, JobError
from executor.model.launch import Needs
from executor.pipeline.action import Action
from executor.tools.tarsafe import unpack
from executor.tools.unzip import unpack_zip

if TYPE_CHECKING:
    from executor.model.device import Device
    from executor.pipeline.run import Run

RECOVERY = "recovery_image"  # its label


def volume_path(device: Device) -> str:
    """Where the board's volume is, by its label."""
    return f"/dev/disk/by-label/{device.raw.get('usb_filesystem_label') or ''}"


class ExtractVExpressRecoveryImage(Action):
    """Unpack the archive with the board's files, zip or tar."""

    name = "extract-vexpress-recovery-image"
    summary = "unpack the recovery image"
    description = "unpack the archive with the files of the board's volume"
    timeout_error = InfrastructureError

    def needs(self) -> Needs:
        return Needs(mounts=frozenset({"cache", "work"}))

    def run(self, run: Run) -> None:
        artifact = run.namespace.artifacts[RECOVERY]
        target = run.context.work / f"recovery-{run.namespace.safe_name}"
        if target.exists():
            shutil.rmtree(target)
        if artifact.compression == "zip":
            count = unpack_zip(artifact.path, target, deadline=run.deadline)
        else:
            done = unpack(artifact.path, target, deadline=run.deadline, compression=artifact.compression)
            count = done.count
        if not count:
            raise JobError("the recovery image is empty")
        run.namespace.recovery_files = target
        run.log.info(f"{RECOVERY}: {count} files")


class MountVExpressMassStorage(OpenVolume):
    """See that it is a volume; nothing is mounted."""

    name = "mount-vexpress-usbmsd"
    summary = "open the board's volume"
    description = "open the USB volume of the board, without a mount"


class DeployVExpressRecoveryImage(VolumeAction):
    """Replace what the volume holds."""

    name = "deploy-vexpress-recovery-image"
    summary = "write the recovery image"
    description = "replace the files of the board's volume"

    def run(self, run: Run) -> None:
        files = run.namespace.recovery_files
        if files is None:
            raise InfrastructureError("the recovery image has not been unpacked")
        volume = opened(run)
        removed = volume.clear()
        copied = volume.copy_tree(_top(files))
        run.log.info(f"{removed} entries of the volume's root removed, {copied} written")


class UnmountVExpressMassStorage(CloseVolume):
    """Flush."""

    name = "unmount-vexpress-usbmsd"
    summary = "close the board's volume"
    description = "see that everything has reached the board"


def _top(files: Path) -> Path:
    """The directory that becomes the volume's root: an archive with a single directory means its content."""
    entries = list(files.iterdir())
    return entries[0] if len(entries) == 1 and entries[0].is_dir() else files
