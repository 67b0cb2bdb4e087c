# SPDX-License-Identifier: Apache-2.0
"""`to: fvp`: images for one of Arm's models, which boot `fvp` starts (spec: job-format §5).

A model writes to the disks that it is given, so each image is a copy of the job's own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, cast

from msgspec import Meta

from executor.actions.download import DownloadRetry
from executor.actions.overlay import LavaOverlay
from executor.model.job import DeployParameters, Resource
from executor.model.launch import Needs
from executor.pipeline.action import Action
from executor.pipeline.method import Method, method

if TYPE_CHECKING:
    from executor.pipeline.context import Artifact
    from executor.pipeline.planner import Request, Site
    from executor.pipeline.run import Run


class FvpParameters(DeployParameters, kw_only=True):
    """`to: fvp`"""

    images: Annotated[
        dict[str, Resource], Meta(min_length=1, description="label → image; `{LABEL}` in boot's arguments")
    ]
    uniquify: Annotated[bool, Meta(description="old, ignored: each image has a place of its own")] = True


@method("deploy")
class Fvp(Method):
    """Images for a model."""

    name = "fvp"
    summary = "images for one of Arm's models"
    Parameters = FvpParameters

    @classmethod
    def action(cls, request: Request) -> Action:
        return FvpDeploy(cast("FvpParameters", request.typed))


class FvpDeploy(Action):
    """Download; the overlay goes into the images that ask for it."""

    name = "fvp-deploy"
    summary = "deploy for a model"
    description = "download the images for a model"

    def __init__(self, parameters: FvpParameters) -> None:
        self.parameters = parameters

    def needs(self) -> Needs:
        return Needs(mounts=frozenset({"cache", "work"}))

    def plan(self, site: Site) -> Iterable[Action]:
        if site.needs_overlay:
            yield LavaOverlay(self.parameters.os)
        for label, resource in self.parameters.images.items():
            yield DownloadRetry(label, resource, ("images", label))

    def run(self, run: Run) -> None:
        run.namespace.deploy_anew()

    def after(self, run: Run) -> None:
        for label in self.parameters.images:
            artifact = run.namespace.artifacts[label]
            if artifact.shared and artifact.path.is_file():
                own(run, artifact)


def own(run: Run, artifact: Artifact) -> None:
    """A copy that the model may write to; shared blocks where the file system can do that."""
    from executor.tools.image.copy import private_copy

    target = run.context.work / f"{artifact.safe_label}-{run.action.level}" / artifact.file_name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    way = private_copy(artifact.path, target, deadline=run.deadline)
    run.log.debug(f"{artifact.label}: a copy of its own ({way})")
    artifact.path, artifact.shared = target, False
