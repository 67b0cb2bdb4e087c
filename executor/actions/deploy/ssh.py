# SPDX-License-Identifier: Apache-2.0
"""`to: ssh`: the overlay, and what else is to be unpacked, for a device that is reached by ssh.

Spec: job-format §5, action-pipeline §2 (scp-overlay). The boot block `method: ssh` copies it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, cast

from msgspec import Meta

from executor.actions.deviceenv import DeployDeviceEnv
from executor.actions.download import DownloadRetry
from executor.actions.netboot.nfsroot import tar_compression
from executor.actions.overlay import LavaOverlay
from executor.model.job import DeployParameters, Resource
from executor.model.launch import Needs
from executor.model.problem import Problem
from executor.pipeline.action import Action
from executor.pipeline.method import Method, method

if TYPE_CHECKING:
    from executor.pipeline.planner import Request, Site
    from executor.pipeline.run import Run
    from executor.pipeline.world import World

FILES = ("firmware", "kernel", "dtb", "rootfs", "modules")
UNPACKED = ("rootfs", "modules")  # on the device, at its root
WAITING = "prepare-scp-overlay"  # the action whose protocol call brings the address of a secondary connection


class SshParameters(DeployParameters, kw_only=True):
    """`to: ssh`"""

    firmware: Annotated[Resource | None, Meta(description="copied to the device")] = None
    kernel: Annotated[Resource | None, Meta(description="copied to the device")] = None
    dtb: Annotated[Resource | None, Meta(description="copied to the device")] = None
    rootfs: Annotated[Resource | None, Meta(description="tarball, unpacked at the root of the device")] = None
    modules: Annotated[Resource | None, Meta(description="tarball, unpacked at the root of the device")] = (
        None
    )


@method("deploy")
class Ssh(Method):
    """Files for a device that runs already."""

    name = "ssh"
    summary = "the overlay for a device that is reached by ssh"
    Parameters = SshParameters

    @classmethod
    def action(cls, request: Request) -> Action:
        return ScpOverlay(cast("SshParameters", request.typed))


class ScpOverlay(Action):
    """Make everything that will be copied."""

    name = "scp-overlay"
    summary = "prepare what is copied to the device"
    description = "make the overlay and download what is copied to the device with it"

    def __init__(self, parameters: SshParameters) -> None:
        self.parameters = parameters

    def needs(self) -> Needs:
        return Needs(mounts=frozenset({"cache", "work"}))

    def plan(self, site: Site) -> Iterable[Action]:
        yield LavaOverlay(self.parameters.os)
        for key in FILES:
            resource = getattr(self.parameters, key)
            if resource is not None:
                yield DownloadRetry(key, resource)
        yield PrepareScpOverlay()
        yield DeployDeviceEnv()

    def run(self, run: Run) -> None:
        run.namespace.deploy_anew()


class PrepareScpOverlay(Action):
    """Jobs of a group wait here for the address of the device (spec: job-format §9)."""

    name = WAITING
    summary = "prepare the copy"
    description = "check what is copied, after the device's address is known"

    def plan(self, site: Site) -> Iterable[Action]:
        yield ExtractRootfs()
        yield ExtractScpModules()

    def validate(self, world: World) -> Iterable[Problem]:
        calls = list(waiting_calls(self.block.parameters if self.block is not None else {}))
        if len(calls) > 1:
            yield self.problem(f"{len(calls)} calls for {WAITING}, one brings the address", "protocols")
        for call in calls:
            if not call.get("messageID") or not isinstance(call.get("message"), dict):
                text = f"the call for {WAITING} has no messageID or no message with a key for the address"
                yield self.problem(text, "protocols", hint="such as message: {ipaddr: $ipaddr}")


def waiting_calls(parameters: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Protocol calls of a block that are made when its `prepare-scp-overlay` begins."""
    for call in (parameters.get("protocols") or {}).get("lava-multinode") or ():
        if isinstance(call, dict) and call.get("action") == WAITING:
            yield call


class ExtractRootfs(Action):
    """It is unpacked on the device: here it is only looked at."""

    name = "extract-rootfs"
    summary = "check the root file system"
    description = "check the tarball with the root file system before it is copied"
    key = "rootfs"

    def run(self, run: Run) -> None:
        artifact = run.namespace.artifacts.get(self.key)
        if artifact is not None:
            tar_compression(artifact, ("gz",))


class ExtractScpModules(ExtractRootfs):
    """The same for the modules."""

    name = "extract-modules"
    summary = "check the kernel modules"
    description = "check the tarball with the kernel modules before it is copied"
    key = "modules"
