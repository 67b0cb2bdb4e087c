# SPDX-License-Identifier: Apache-2.0
"""Keys that deployments over the network have in common, and what follows from them (spec: job-format §5)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from executor.model.job import DeployParameters, PersistentNfs, Resource
from executor.model.problem import Path, Problem
from executor.schema.normalise import KERNEL_COMMANDS, KERNEL_TYPES

Target = Literal["nfsrootfs", "persistent_nfs", "ramdisk", ""]


def kernel_problem(data: dict[str, Any], path: Path) -> Iterator[Problem]:
    """What is wrong with `kernel.type`."""
    kind = (data.get("kernel") or {}).get("type")
    if kind is None or kind in KERNEL_COMMANDS:
        return
    hint = f"it is the kind of image, not the command: {KERNEL_TYPES[kind]}" if kind in KERNEL_TYPES else ""
    yield Problem(
        f"kernel type cannot be {kind!r}",
        path=(*path, "kernel", "type"),
        expected=f"one of {', '.join(sorted(KERNEL_COMMANDS))}",
        hint=hint,
    )


def archive_problems(data: dict[str, Any], path: Path, keys: Iterable[str]) -> Iterator[Problem]:
    """`archive: tar` of what must be one file."""
    for key in keys:
        resource = data.get(key)
        if isinstance(resource, dict) and resource.get("archive") is not None:
            yield Problem(
                f"{key} cannot be an archive",
                path=(*path, key, "archive"),
                expected="the file itself: what is in an archive can only be served, by extra_files",
            )


def as_tarball(resource: Resource) -> Resource:
    """Not unpacked by the download, even where `archive: tar` says what it is: that is done where it goes."""
    return msgspec.structs.replace(resource, archive=None)


class RootParameters(DeployParameters, kw_only=True):
    """A root file system by NFS, and modules for it."""

    nfsrootfs: Annotated[
        Resource | None, Meta(description="tarball with a root file system that the device mounts by NFS")
    ] = None
    modules: Annotated[
        Resource | None, Meta(description="tarball with kernel modules, unpacked into the root file system")
    ] = None


class TftpParameters(RootParameters, kw_only=True):
    """`to: tftp`"""

    kernel: Annotated[
        Resource | None, Meta(description="kernel; its `type` says how a bootloader starts it")
    ] = None
    dtb: Annotated[Resource | None, Meta(description="device tree")] = None
    dtbo: Annotated[list[Resource], Meta(description="device tree overlays, in order")] = []
    tee: Annotated[Resource | None, Meta(description="trusted execution environment")] = None
    ramdisk: Annotated[
        Resource | None,
        Meta(description="initramfs; receives overlay and modules where there is no NFS root"),
    ] = None
    preseed: Annotated[Resource | None, Meta(description="answers for an installer")] = None
    extra_files: Annotated[
        dict[str, Resource], Meta(description="further files, in a directory of their own at the server")
    ] = {}
    persistent_nfs: Annotated[
        PersistentNfs | None, Meta(description="a root file system that an NFS server has already")
    ] = None

    @staticmethod
    def rules(data: dict[str, Any], path: Path) -> Iterator[Problem]:
        yield from kernel_problem(data, path)
        yield from archive_problems(data, path, ("kernel", "dtb", "tee", "ramdisk", "preseed"))
        if data.get("nfsrootfs") is not None and data.get("persistent_nfs") is not None:
            yield Problem(
                "nfsrootfs and persistent_nfs in one block",
                path=(*path, "persistent_nfs"),
                expected="one of them: a device has one root file system",
            )

    @property
    def overlay_target(self) -> Target:
        """What receives the overlay: the root that the device ends in, where the job does not forbid it.

        `install_overlay: false` of an NFS root does not make the ramdisk before it a target: the test shell
        would not find it there.
        """
        if self.nfsrootfs is not None:
            return "nfsrootfs" if self.nfsrootfs.install_overlay is not False else ""
        if self.persistent_nfs is not None:
            return "persistent_nfs" if self.persistent_nfs.install_overlay is not False else ""
        if self.ramdisk is not None:
            return "ramdisk" if self.ramdisk.install_overlay is not False else ""
        return ""


def takes_modules(resource: Resource | None) -> bool:
    """Do the modules go into this root?"""
    return resource is not None and resource.install_modules is not False
