# SPDX-License-Identifier: Apache-2.0
"""What goes into the root that the device ends in: kernel modules and the overlay with the tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from executor.actions.netboot.nfsroot import tar_compression, unpack_into
from executor.errors import InfrastructureError, JobError
from executor.model.launch import Needs
from executor.pipeline.action import Action

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from executor.actions.netboot.parameters import Target
    from executor.model.problem import Problem
    from executor.pipeline.context import Namespace
    from executor.pipeline.planner import Site
    from executor.pipeline.run import Run
    from executor.pipeline.world import World


class ExtractModules(Action):
    """Unpack the modules into the NFS root; a ramdisk gets them as a further archive when it is made."""

    name = "extract-modules"
    summary = "unpack the kernel modules"
    description = "unpack the kernel modules into the root file system"
    timeout_error = InfrastructureError

    def __init__(self, *, into_root: bool) -> None:
        self.into_root = into_root

    def run(self, run: Run) -> None:
        modules = run.namespace.artifacts.get("modules")
        root = run.namespace.nfs_root
        if modules is None or not self.into_root or root is None or root.directory is None:
            return
        unpack_into(run, root.directory, [modules.path], "modules", tar_compression(modules))


class ApplyOverlayTftp(Action):
    """Put the overlay into an NFS root; a ramdisk gets it as a further archive when it is made."""

    name = "apply-overlay-tftp"
    summary = "put the overlay into the root file system"
    description = "unpack the overlay into the root file system that the device will have"
    timeout_error = InfrastructureError

    def __init__(self, target: Target) -> None:
        self.target = target
        self.fetched = False

    def needs(self) -> Needs:
        return Needs(mounts=frozenset({"nfs"} if self.target == "nfsrootfs" else ()))

    def plan(self, site: Site) -> Iterable[Action]:
        self.fetched = fetches_overlay(site)
        return ()

    def validate(self, world: World) -> Iterable[Problem]:
        if self.fetched:
            return
        hint = "`transfer_overlay` in the boot block lets the device fetch it"
        if not self.target:
            yield self.problem("nothing takes the overlay with the tests", hint=hint, severity="warning")
        elif self.target == "persistent_nfs":
            text = "the overlay cannot be written into a persistent NFS from the job's container"
            yield self.problem(text, "persistent_nfs", hint=hint, severity="warning")

    def run(self, run: Run) -> None:
        namespace = run.namespace
        archives = overlays(namespace)
        if not archives or self.target == "ramdisk":
            return
        root = namespace.nfs_root
        if self.target and root is not None and root.directory is not None:
            unpack_into(run, root.directory, archives, "overlay", "gz")
            namespace.overlay_applied = True
        elif self.target == "persistent_nfs" and not self.fetched:
            raise JobError(
                "the overlay cannot be written into a persistent NFS from the job's container",
                "let the device fetch it: `transfer_overlay` in the boot block",
            )


def fetches_overlay(site: Site) -> bool:
    """Does the device fetch the overlay itself after boot (spec: job-format §6, transfer_overlay)?"""
    return any(
        block.section == "boot"
        and site.block is not None
        and block.namespace == site.block.namespace
        and block.parameters.get("transfer_overlay")
        for block in site.job.blocks
    )


def overlays(namespace: Namespace) -> list[Path]:
    """The tarballs that make the overlay: what is kept, the secrets, the key that is let in."""
    every = (namespace.overlay, namespace.overlay_secrets, namespace.overlay_authorized)
    return [path for path in every if path is not None]
