# SPDX-License-Identifier: Apache-2.0
"""`to: downloads`: files for later blocks, which name them by `downloads://name` (spec: job-format §5)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import msgspec
from msgspec import Meta

from executor.actions import predownloaded
from executor.actions.containers import Container, ContainerAction
from executor.actions.download import DownloadRetry, expand
from executor.actions.overlay import LavaOverlay
from executor.model.job import DeployParameters, Resource
from executor.model.launch import Needs
from executor.model.parameters import Text
from executor.pipeline.action import Action
from executor.pipeline.context import Artifact
from executor.pipeline.method import Method, method

if TYPE_CHECKING:
    from executor.model.device import Device
    from executor.model.problem import Problem
    from executor.pipeline.planner import Request, Site
    from executor.pipeline.run import Run
    from executor.pipeline.world import World


class DockerSteps(Container, kw_only=True):
    """`postprocess.docker`: what is made of the files, in a container."""

    steps: Annotated[list[Text], Meta(min_length=1, description="shell commands, run where the files lie")]
    devices: Annotated[list[dict[str, Any] | str], Meta(description="devices that the steps need")] = []


class Postprocess(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`postprocess`"""

    docker: Annotated[DockerSteps, Meta(description="steps in a container")]


class DownloadsParameters(DeployParameters, kw_only=True):
    """`to: downloads`"""

    images: Annotated[dict[str, Resource], Meta(min_length=1, description="label → file")]
    uniquify: Annotated[
        bool, Meta(description="each file in a directory of its own, named after its label")
    ] = False
    postprocess: Annotated[Postprocess | None, Meta(description="make other files of them")] = None


@method("deploy")
class Downloads(Method):
    """Files for later blocks, whatever the device."""

    name = "downloads"
    summary = "files that later blocks name by downloads://"
    Parameters = DownloadsParameters

    @classmethod
    def supported(cls, request: Request) -> str:
        """Every device has it."""
        return ""

    @classmethod
    def action(cls, request: Request) -> Action:
        return DeployDownloads(cast("DownloadsParameters", request.typed), request.device)


class DeployDownloads(Action):
    """Download, then give each file its name.

    What other deployments of the namespace have brought stays: these files are for them, or made for them.
    """

    name = "downloads"
    summary = "download files for later blocks"
    description = "download files and make them reachable as downloads://name"

    def __init__(self, parameters: DownloadsParameters, device: Device) -> None:
        self.parameters, self.device = parameters, device

    def needs(self) -> Needs:
        return Needs(mounts=frozenset({"cache", "work"}))

    def plan(self, site: Site) -> Iterable[Action]:
        if site.needs_overlay:
            yield LavaOverlay(system(site, self.parameters.os))
        for label, resource in self.parameters.images.items():
            yield NamedDownload(label, resource, uniquify=self.parameters.uniquify)
        if self.parameters.postprocess is not None:
            yield PostprocessDocker(self.parameters.postprocess.docker)

    def validate(self, world: World) -> Iterable[Problem]:
        seen: dict[str, tuple[str, str]] = {}
        for label, resource in self.parameters.images.items():
            url = expand(resource.url, self.device)
            unpacked = "" if resource.compression == "zip" else resource.compression or ""
            artifact = Artifact(label, Path(), url, unpacked=unpacked)
            other, theirs = seen.setdefault(file_name(artifact, self.parameters.uniquify), (label, url))
            if theirs != url:
                yield self.problem(
                    f"{label} and {other} would have the same name, {artifact.file_name}",
                    "images",
                    label,
                    hint="`uniquify: true` puts each file into a directory named after its label",
                )


def system(site: Site, own: str | None) -> str | None:
    """`os` of the block, else of the deployment that the files go along with: where tests lie on the device
    is a matter of the whole namespace.
    """
    if own or site.block is None:
        return own
    deployed = [b for b in site.job.blocks if b.section == "deploy" and b.namespace == site.block.namespace]
    later = [b for b in deployed if b.index > site.block.index]
    return next((str(b.parameters["os"]) for b in (*later, *deployed) if b.parameters.get("os")), None)


def file_name(artifact: Artifact, uniquify: bool) -> str:
    """What later blocks call it."""
    return f"{artifact.safe_label}/{artifact.file_name}" if uniquify else artifact.file_name


class NamedDownload(DownloadRetry):
    """A download that later blocks can refer to."""

    def __init__(self, key: str, resource: Resource, *, uniquify: bool) -> None:
        super().__init__(key, resource, ("images", key))
        self.uniquify = uniquify

    def after(self, run: Run) -> None:
        artifact = run.namespace.artifacts[self.key]
        predownloaded.offer(run, artifact, file_name(artifact, self.uniquify))


class PostprocessDocker(ContainerAction):
    """Run the steps in a container that has the files at /lava-downloads."""

    name = "download-postprocess-docker"
    summary = "make other files of the downloads"
    description = "run the block's steps in a container, where the downloads lie"

    def __init__(self, docker: DockerSteps) -> None:
        self.docker = docker
