# SPDX-License-Identifier: Apache-2.0
"""`to: recovery`: the files that a board in recovery mode will be given (spec: job-format §5).

Boot `recovery` switches the mode; what writes the files is a test in a container, or a command of the device.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, cast

from msgspec import Meta

from executor.actions.deviceenv import DeployDeviceEnv
from executor.actions.download import DownloadRetry
from executor.actions.overlay import LavaOverlay
from executor.model.job import DeployParameters, Resource
from executor.pipeline.action import Action
from executor.pipeline.method import Method, method

if TYPE_CHECKING:
    from executor.pipeline.planner import Request, Site
    from executor.pipeline.run import Run


class RecoveryParameters(DeployParameters, kw_only=True):
    """`to: recovery`"""

    images: Annotated[dict[str, Resource], Meta(min_length=1, description="label → file")]


@method("deploy")
class Recovery(Method):
    """Files for a board in recovery mode."""

    name = "recovery"
    summary = "files for a board in recovery mode"
    Parameters = RecoveryParameters

    @classmethod
    def action(cls, request: Request) -> Action:
        return DeployRecoveryMode(cast("RecoveryParameters", request.typed))


class DeployRecoveryMode(Action):
    """Download the files."""

    name = "deploy-recovery-mode"
    summary = "deploy for recovery mode"
    description = "download the files that the board in recovery mode will be given"

    def __init__(self, parameters: RecoveryParameters) -> None:
        self.parameters = parameters

    def plan(self, site: Site) -> Iterable[Action]:
        tested = site.needs_overlay
        if tested:
            yield LavaOverlay(self.parameters.os)
        for label, resource in self.parameters.images.items():
            yield DownloadRetry(label, resource, ("images", label))
        if tested:
            yield DeployDeviceEnv()

    def run(self, run: Run) -> None:
        run.namespace.deploy_anew()
