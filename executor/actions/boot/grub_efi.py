# SPDX-License-Identifier: Apache-2.0
"""`method: grub-efi`: GRUB that is chosen from the menu of UEFI firmware (spec: action-pipeline §2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from executor.actions.boot.grub import GrubMain, GrubParameters, GrubSequence, sequence_of
from executor.pipeline.method import Method, method

if TYPE_CHECKING:
    from executor.pipeline.action import Action
    from executor.pipeline.planner import Request


@method("boot")
class GrubEfi(Method):
    """Choose GRUB from the firmware's menu, then as with `grub`."""

    name = "grub-efi"
    summary = "commands typed at GRUB's prompt, behind a UEFI menu"
    Parameters = GrubParameters

    @classmethod
    def accepts(cls, request: Request) -> str:
        if request.parameters.get("method") == "grub-efi" and sequence_of(request):
            return ""
        return super().accepts(request)

    @classmethod
    def action(cls, request: Request) -> Action:
        parameters = cast("GrubParameters", request.typed)
        sequence = sequence_of(request)
        return GrubSequence(parameters, sequence) if sequence else GrubMain(parameters, "grub-efi")
