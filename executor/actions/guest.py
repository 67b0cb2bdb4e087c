# SPDX-License-Identifier: Apache-2.0
"""`apply-overlay-guest`: how the overlay reaches a QEMU guest.

Today's form is a small disk that is mounted in the guest; the seeds' form puts the overlay into the image
itself (spec: job-format §5). Neither mounts anything here, neither needs root. The tools for it are imported
by the actions that run: planning does without them, and the start of every job waits for imports.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from executor.actions.drives import Use, check_disk, use_of
from executor.errors import ConfigurationError, InfrastructureError
from executor.model.launch import Needs
from executor.pipeline.action import Action
from executor.pipeline.context import OverlayDisk

if TYPE_CHECKING:
    from pathlib import Path

    from executor.model.device import Device
    from executor.model.job import OverlaySource, Resource
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
        image_args = [resource.image_arg for resource in self.images.values() if resource.image_arg]
        for label in into:
            apply_overlay(run, run.namespace.artifacts[label], self.images[label], image_args)
        if not into:
            run.namespace.overlay_disk = self._disk(run)

    def _disk(self, run: Run) -> OverlayDisk:
        from executor.tools.image.disk import make_disk

        namespace = run.namespace
        guest = guest_parameters(run.context.device)
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


def guest_parameters(device: Device) -> dict[str, Any]:
    """Size and interface of the disk that brings the tests. Raises ConfigurationError."""
    method_ = device.deploy_methods.get("image")
    parameters = method_.get("parameters") if isinstance(method_, dict) else None
    guest = parameters.get("guest") if isinstance(parameters, dict) else None
    if not isinstance(guest, dict) or not guest:
        raise ConfigurationError(
            "the device file has no actions.deploy.methods.image.parameters.guest",
            "it tells size and interface of the disk that brings the tests to the guest",
        )
    return guest


def apply_overlay(
    run: Run,
    artifact: Artifact,
    resource: Resource,
    image_args: Sequence[str],
    *,
    lava: bool = True,
    extras: Sequence[Path] = (),
) -> None:
    """Put the namespace's overlay (`lava`) and other tarballs into `artifact`, of which the job gets a
    version of its own. Of a name that several bring, the LAVA overlay's wins, then the later one's.

    Where QEMU takes the image as a disk that is a qcow2 on top of the cached original, else a plain file.
    Raises JobError for an image that cannot take it, with what the image is.
    """
    from executor.tools.image.inject import inject
    from executor.tools.image.ramdisk import append
    from executor.tools.image.tarextend import extend

    namespace = run.namespace
    ours = (namespace.overlay, namespace.overlay_secrets) if lava else ()
    archives = [*extras, *(path for path in ours if path is not None)]
    work = run.context.work / f"{artifact.safe_label}-{run.action.level}"
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
    elif resource.format == "tar":
        work.mkdir(parents=True, exist_ok=True)
        target = work / "rootfs.tar"
        artifact.path = extend(artifact.path, archives, target, workdir=work, deadline=run.deadline)
    else:
        if not artifact.compression:
            check_disk(artifact)
        use = use_of(artifact.label, image_args, {**run.namespace.artifacts, artifact.label: artifact})
        partition = resource.partition if resource.partition is not None else resource.root_partition
        done = inject(
            artifact.path,
            archives,
            partition=partition,
            number=_root_part(run, artifact) if partition is None else None,
            workdir=work,
            shared=artifact.shared,
            as_overlay=use in (Use.DISK, Use.READ_DISK),
            compression=artifact.compression,
            deadline=run.deadline,
            log=run.log.output,
        )
        artifact.path, artifact.format = done.path, done.format
    artifact.shared = False
    namespace.overlay_applied = namespace.overlay_applied or lava
    run.log.info(f"{artifact.label}: overlay applied")
    run.results[artifact.label] = artifact.path.name


def _root_part(run: Run, artifact: Artifact) -> int | None:
    """The device's own default, where the image has partitions at all (spec: job-format §5, seed form)."""
    from executor.tools.image.identify import Kind, identify

    number = run.context.device.root_part
    if number is None or artifact.compression or identify(artifact.path).kind is not Kind.PARTITIONED:
        return None
    return number


class AppendOverlays(Action):
    """Below a download: `overlays` of that artefact (spec: job-format §4)."""

    name = "append-overlays"
    summary = "append overlays"
    description = "put overlays into a downloaded artefact"
    timeout_error = InfrastructureError

    def __init__(self, key: str, resource: Resource, extras: dict[str, OverlaySource], *, lava: bool) -> None:
        self.key, self.resource, self.extras, self.lava = key, resource, extras, lava

    @property
    def label(self) -> str:
        return self.key

    def needs(self) -> Needs:
        return Needs(mounts=frozenset({"work"}), tools=frozenset({"debugfs", "qemu-img"}))

    def run(self, run: Run) -> None:
        from executor.tools.image.tarextend import moved

        artifacts = run.namespace.artifacts
        extras: list[Path] = []
        for name, source in self.extras.items():
            brought = artifacts[f"{self.key}.{name}"]
            target = run.context.work / f"overlay-{self.level}-{len(extras)}.tar"
            moved(
                brought.path,
                target,
                source.path,
                tar=source.format == "tar",
                deadline=run.deadline,
                name=name,
            )
            extras.append(target)
        image_args = [self.resource.image_arg] if self.resource.image_arg else []
        apply_overlay(run, artifacts[self.key], self.resource, image_args, lava=self.lava, extras=extras)
        for path in extras:
            path.unlink()
