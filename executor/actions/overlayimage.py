# SPDX-License-Identifier: Apache-2.0
"""The overlay goes into an image before the image is written to a board (spec: action-pipeline §2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from executor.actions.guest import apply_overlay
from executor.errors import InfrastructureError
from executor.model.launch import Needs
from executor.pipeline.action import Action

if TYPE_CHECKING:
    from executor.model.job import Resource
    from executor.pipeline.run import Run


class ApplyOverlayImage(Action):
    """Put the namespace's overlay into the artefact `key`, of which the job gets a version of its own."""

    name = "apply-overlay-image"
    summary = "apply the overlay to the image"
    description = "put the overlay with the tests into the image"
    timeout_error = InfrastructureError

    def __init__(self, key: str, resource: Resource) -> None:
        self.key, self.resource = key, resource

    @property
    def label(self) -> str:
        return self.key

    def needs(self) -> Needs:
        return Needs(mounts=frozenset({"cache", "work"}), tools=frozenset({"debugfs", "qemu-img"}))

    def run(self, run: Run) -> None:
        apply_overlay(run, run.namespace.artifacts[self.key], self.resource, ())
