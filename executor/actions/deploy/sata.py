# SPDX-License-Identifier: Apache-2.0
"""`to: sata`: an image onto SATA media of a board (see actions/storage.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from executor.actions.storage import StorageDeploy, StorageParameters
from executor.pipeline.method import Method, method

if TYPE_CHECKING:
    from executor.pipeline.action import Action
    from executor.pipeline.planner import Request


class SataParameters(StorageParameters, kw_only=True):
    """`to: sata`"""


@method("deploy")
class Sata(Method):
    """An image onto a SATA medium."""

    name = "sata"
    summary = "an image that the booted board writes to its SATA medium"
    Parameters = SataParameters

    @classmethod
    def action(cls, request: Request) -> Action:
        return StorageDeploy(cls.name, cast("SataParameters", request.typed))
