# SPDX-License-Identifier: Apache-2.0
"""`apply-overlay-guest`: how the overlay reaches a QEMU guest.

Today's form is a small disk that is mounted in the guest; the seeds' form puts the overlay into the image
itself (spec: job-format §5). Neither mounts anything here, neither needs root.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from executor.actions.image.disk import make_disk
from executor.actions.image.inject import inject
from executor.actions.image.ramdisk import append
from executor.errors import InfrastructureError
from executor.model.launch import Needs
from executor.pipeline.action import Action
from executor.pipeline.context import OverlayDisk

if TYPE_CHECKING:
    from executor.model.job import Resource
    from executor.pipeline.context import Artifact
    from executor.pipeline.run import Run


class ApplyOverlayGuest(Action):
    """A disk for the guest, or the image itself where the job asks for that."""

    name = "apply-overlay-guest"
    summary = "bring the overlay to the guest"
    description = "make a disk with the overlay, or put the overlay into the image"
    timeout_error = InfrastructureError

    def __init__(self, images: dict[str, Resource]) -> None:
        self.images = images

    def needs(self) -> Needs:
        return Needs(mounts=frozenset({"work"}), tools=frozenset({"mke2fs", "debugfs", "qemu-img"}))

    def run(self, run: Run) -> None:
        into = [label for label, resource in self.images.items() if resource.overlay]
        for label in into:
            artifact = run.namespace.artifacts[label]
            apply_overlay(run, artifact, self.images[label])
        if not into:
            run.namespace.overlay_disk = self._disk(run)

    def _disk(self, run: Run) -> OverlayDisk:
        namespace = run.namespace
        guest = run.context.device.deploy_methods["image"]["parameters"]["guest"]
        archives = [path for path in (namespace.overlay, namespace.overlay_secrets) if path is not None]
        identity = str(uuid.uuid4())
        path = run.context.work / f"lava-guest-{self.level}.ext2"
        make_disk(
            path,
            archives,
            uuid=identity,
            size_mib=int(guest.get("size", 512)),
            strip=namespace.results_dir,
            deadline=run.deadline,
            log=run.log.output,
        )
        drive = str(guest.get("driveid", "lavatest"))
        interface = str(guest.get("interface", "virtio"))
        run.results |= {"uuid": identity, "size": f"{guest.get('size', 512)} MiB", "interface": interface}
        # The disk is private and thrown away: no flush of it needs to reach the worker's own disk.
        argument = f"format=raw,file={path},media=disk,if={interface},id={drive},cache=unsafe"
        return OverlayDisk(path, identity, ["-drive", argument])


def apply_overlay(run: Run, artifact: Artifact, resource: Resource) -> None:
    """Put the namespace's overlay into `artifact`, of which the job gets a version of its own."""
    namespace = run.namespace
    archives = [path for path in (namespace.overlay, namespace.overlay_secrets) if path is not None]
    work = run.context.work / f"{artifact.label}-{run.action.level}"
    if resource.format == "cpio.newc":
        work.mkdir(parents=True, exist_ok=True)
        extended = append(
            artifact.path,
            archives,
            work / "ramdisk",
            workdir=work,
            compression=artifact.compression,
            header=resource.header == "u-boot",
            deadline=run.deadline,
            log=run.log.output,
        )
        artifact.path, artifact.format = extended.path, "raw"
    else:
        partition = resource.partition if resource.partition is not None else resource.root_partition
        done = inject(
            artifact.path,
            archives,
            partition=partition,
            workdir=work,
            shared=artifact.shared,
            as_overlay=True,
            compression=artifact.compression,
            deadline=run.deadline,
            log=run.log.output,
        )
        artifact.path, artifact.format = done.path, done.format
    artifact.shared = False
    namespace.overlay_applied = True
    run.log.info(f"{artifact.label}: overlay applied")
    run.results[artifact.label] = artifact.path.name


class AppendOverlays(Action):
    """Below a download: `overlays` of that artefact (spec: job-format §4)."""

    name = "append-overlays"
    summary = "append overlays"
    description = "put overlays into a downloaded artefact"
    timeout_error = InfrastructureError

    def __init__(self, key: str, resource: Resource) -> None:
        self.key, self.resource = key, resource

    @property
    def label(self) -> str:
        return self.key

    def needs(self) -> Needs:
        return Needs(mounts=frozenset({"work"}), tools=frozenset({"debugfs", "qemu-img"}))

    def run(self, run: Run) -> None:
        apply_overlay(run, run.namespace.artifacts[self.key], self.resource)
