# SPDX-License-Identifier: Apache-2.0
"""Root file systems that a device mounts by NFS: unpacked for this job, or kept by a server of the lab.

A tree is unpacked with every name checked, as a system sees it whose root it is (see actions/tarsafe.py).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from executor.actions.download import expand
from executor.actions.netboot.share import new_directory, nfs_server
from executor.errors import InfrastructureError, JobError
from executor.model.launch import Needs
from executor.pipeline.action import Action
from executor.pipeline.context import Artifact, NfsRoot
from executor.tools.image.magic import HEAD, looks_like

if TYPE_CHECKING:
    from executor.model.job import PersistentNfs, Resource
    from executor.model.problem import Problem
    from executor.pipeline.planner import Site
    from executor.pipeline.run import Run
    from executor.pipeline.world import World
    from executor.tools.tartree import Policy

_TARBALLS = ("gz", "bz2", "xz", "zstd")
_PACKED = (*_TARBALLS, "zip", "lz4")


class ExtractNfsRootfs(Action):
    """Unpack the root file system; nothing to do for a block without one."""

    name = "extract-nfsrootfs"
    summary = "unpack the NFS root file system"
    description = "unpack the root file system into a directory that the NFS server exports"
    timeout_error = InfrastructureError

    def __init__(self, resource: Resource | None) -> None:
        self.resource = resource

    def needs(self) -> Needs:
        return Needs(mounts=frozenset({"nfs", "cache"} if self.resource is not None else ()))

    def run(self, run: Run) -> None:
        if self.resource is not None:
            unpack_root(run, run.namespace.artifacts["nfsrootfs"], self.resource.prefix or "")


def unpack_root(run: Run, artifact: Artifact, prefix: str) -> NfsRoot:
    """Unpack the tarball; the directory `prefix` in it becomes the device's root."""
    from executor.tools.tarsafe import unpack
    from executor.tools.tartree import Limits

    context = run.context
    top = new_directory(context.nfs, context.worker.job_id, "extract-nfsrootfs")
    done = unpack(
        artifact.path,
        top,
        deadline=run.deadline,
        compression=tar_compression(artifact),
        policy=root_policy(),
        limits=Limits(size=context.worker.limits.work_bytes),
        name=artifact.label,
    )
    root = top.joinpath(*PurePosixPath(prefix).parts)
    if prefix and not (root.is_dir() and root.resolve().is_relative_to(top.resolve())):
        raise JobError(f"nfsrootfs has no directory {prefix!r}", "`prefix` is a directory inside the tarball")
    made = run.namespace.nfs_root = NfsRoot(nfs_server(context), str(root), root)
    run.log.info(f"nfsrootfs: {done.count} files, {done.size} bytes in {root}")
    if done.skipped:
        run.log.debug(f"nfsrootfs: {done.skipped} device nodes left out, the kernel makes its own")
    run.results |= {"files": done.count, "size": done.size}
    return made


def root_policy() -> Policy:
    """Owners and device nodes as in the archive where this process may make them."""
    from executor.tools.tartree import ROOTFS

    return replace(ROOTFS, owners=True, special="make") if os.geteuid() == 0 else ROOTFS


def tar_compression(artifact: Artifact, known: Sequence[str] = _TARBALLS) -> str:
    """How a tarball is still packed, when the job did not say so: its first bytes leave no doubt, and the
    first V2 jobs never said it (spec: seeds, nfsrootfs). Raises JobError for what is none of `known`.
    """
    with artifact.path.open("rb") as file:
        found = looks_like(file.read(HEAD))
    if found in known:
        return found
    if found in _PACKED:
        raise JobError(
            f"{artifact.label}: the tarball is packed with {found}",
            f"write `compression: {found}` beside its url",
        )
    return ""


def unpack_into(run: Run, root: Path, archives: Sequence[Path], what: str, compression: str = "") -> None:
    """Unpack tarballs on top of a root file system, symlinks such as `lib → usr/lib` followed inside it."""
    from executor.tools.tarsafe import unpack

    for path in archives:
        done = unpack(
            path,
            root,
            deadline=run.deadline,
            compression=compression,
            policy=root_policy(),
            name=what,
        )
        run.log.debug(f"{what}: {done.count} files, {done.size} bytes into {root}")


class ParsePersistentNfs(Action):
    """The server and path of a root file system that is there already."""

    name = "parse-persistent-nfs"
    summary = "read the address of the persistent NFS"
    description = "tell the device's root file system by the address in the job"

    def __init__(self, given: PersistentNfs | None) -> None:
        self.given = given
        self.address = ""

    def plan(self, site: Site) -> Iterable[Action]:
        if self.given is not None:
            self.address = expand(self.given.address, site.device)
        return ()

    def validate(self, world: World) -> Iterable[Problem]:
        if self.given is not None and not _split(self.address)[1].startswith("/"):
            yield self.problem(
                f"the address {self.address!r} names no absolute path",
                "persistent_nfs",
                "address",
                hint="write server:/path/to/root",
            )

    def run(self, run: Run) -> None:
        if self.given is not None:
            server, path = _split(self.address)
            run.namespace.nfs_root = NfsRoot(server, path)
            run.log.info(f"root file system: {path} at {server}")


def _split(address: str) -> tuple[str, str]:
    """Server and path; an IPv6 address stands in brackets."""
    if address.startswith("["):
        server, _, path = address[1:].partition("]:")
        return server, path
    server, _, path = address.partition(":")
    return server, path
