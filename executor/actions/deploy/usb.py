# SPDX-License-Identifier: Apache-2.0
"""`to: usb`: an image onto USB media of a board (see actions/storage.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from executor.actions.storage import StorageDeploy, StorageParameters
from executor.pipeline.method import Method, method

if TYPE_CHECKING:
    from executor.pipeline.action import Action
    from executor.pipeline.planner import Request


class UsbParameters(StorageParameters, kw_only=True):
    """`to: usb`"""


@method("deploy")
class Usb(Method):
    """An image onto a USB medium."""

    name = "usb"
    summary = "an image that the booted board writes to its USB medium"
    Parameters = UsbParameters

    @classmethod
    def action(cls, request: Request) -> Action:
        return StorageDeploy(cls.name, cast("UsbParameters", request.typed))
