# SPDX-License-Identifier: Apache-2.0
"""`to: sd`: an image onto SD media of a board (see actions/storage.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from executor.actions.storage import StorageDeploy, StorageParameters
from executor.pipeline.method import Method, method

if TYPE_CHECKING:
    from executor.pipeline.action import Action
    from executor.pipeline.planner import Request


class SdParameters(StorageParameters, kw_only=True):
    """`to: sd`"""


@method("deploy")
class Sd(Method):
    """An image onto a SD medium."""

    name = "sd"
    summary = "an image that the booted board writes to its SD medium"
    Parameters = SdParameters

    @classmethod
    def action(cls, request: Request) -> Action:
        return StorageDeploy(cls.name, cast("SdParameters", request.typed))
