# SPDX-License-Identifier: Apache-2.0
"""`to: overlay`: only the overlay, for a device that fetches it after boot (spec: job-format §5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from executor.actions.overlay import LavaOverlay
from executor.model.job import DeployParameters
from executor.pipeline.method import Method, method

if TYPE_CHECKING:
    from executor.pipeline.action import Action
    from executor.pipeline.planner import Request


class OverlayParameters(DeployParameters, kw_only=True):
    """`to: overlay`"""


@method("deploy")
class Overlay(Method):
    """The overlay alone."""

    name = "overlay"
    summary = "the overlay for the tests, delivered by `transfer_overlay` of the boot block"
    Parameters = OverlayParameters

    @classmethod
    def action(cls, request: Request) -> Action:
        os = request.parameters.get("os")
        return LavaOverlay(os if isinstance(os, str) else None)
