# SPDX-License-Identifier: Apache-2.0
"""`to: nbd`: kernel and initrd by TFTP, the root file system as a network block device.

Spec: job-format §5, §9 (lava-xnbd).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, cast

from msgspec import Meta

from executor.actions.download import DownloadRetry
from executor.actions.netboot.kernel import prepare_kernel
from executor.actions.netboot.nbd import XnbdServerDeploy
from executor.actions.netboot.parameters import archive_problems, kernel_problem
from executor.actions.netboot.share import publish, serve_files
from executor.actions.overlay import LavaOverlay
from executor.model.job import DeployParameters, Resource
from executor.model.launch import Needs
from executor.model.problem import Path, Problem
from executor.pipeline.action import Action
from executor.pipeline.method import Method, method

if TYPE_CHECKING:
    from executor.pipeline.planner import Request, Site
    from executor.pipeline.run import Run


class NbdParameters(DeployParameters, kw_only=True):
    """`to: nbd`"""

    kernel: Annotated[Resource, Meta(description="kernel; its `type` says how a bootloader starts it")]
    initrd: Annotated[Resource, Meta(description="ramdisk that connects to the network block device")]
    nbdroot: Annotated[Resource, Meta(description="image of the root file system")]
    dtb: Annotated[Resource | None, Meta(description="device tree")] = None

    @staticmethod
    def rules(data: dict[str, Any], path: Path) -> Iterator[Problem]:
        yield from kernel_problem(data, path)
        yield from archive_problems(data, path, ("kernel", "initrd", "nbdroot", "dtb"))


@method("deploy")
class Nbd(Method):
    """A root file system as a network block device."""

    name = "nbd"
    summary = "kernel by TFTP, root file system as a network block device"
    Parameters = NbdParameters

    @classmethod
    def action(cls, request: Request) -> Action:
        return NbdDeploy(cast("NbdParameters", request.typed))


class NbdDeploy(Action):
    """Download, make ready, serve."""

    name = "nbd-deploy"
    summary = "deploy with a network block device"
    description = "bring kernel and initrd to the TFTP server and serve the root file system"

    def __init__(self, parameters: NbdParameters) -> None:
        self.parameters = parameters

    def needs(self) -> Needs:
        return Needs(mounts=frozenset({"cache", "work", "tftp"}))

    def plan(self, site: Site) -> Iterable[Action]:
        given = self.parameters
        for label, resource in (
            ("initrd", given.initrd),
            ("kernel", given.kernel),
            ("dtb", given.dtb),
            ("nbdroot", given.nbdroot),
        ):
            if resource is not None:
                yield DownloadRetry(label, resource)
        yield LavaOverlay(given.os)
        yield from prepare_kernel(given.kernel, site.device)
        yield XnbdServerDeploy()

    def run(self, run: Run) -> None:
        serve_files(run, self.name)

    def after(self, run: Run) -> None:
        for label in ("initrd", "kernel", "dtb"):
            if label in run.namespace.artifacts:
                publish(run, run.namespace.artifacts[label], label)
