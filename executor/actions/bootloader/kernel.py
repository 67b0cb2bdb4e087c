# SPDX-License-Identifier: Apache-2.0
"""Which command of the bootloader starts a kernel, and where in memory things go (spec: job-format §6,
U-Boot boot type).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from executor.schema.normalise import KERNEL_COMMANDS, KERNEL_TYPES

if TYPE_CHECKING:
    from executor.model.device import Device
    from executor.model.job import Block, Job

FALLBACK = "bootm"  # for which the kernel is converted where the device has no table of its own


@dataclass(frozen=True)
class Start:
    """`command` is bootz, booti or bootm, "" when nothing tells; `table` holds its addresses, None when the
    device has none for it.
    """

    command: str = ""
    table: Mapping[str, Any] | None = None


def start_of(kernel_type: str, boot_type: str, device: Device) -> Start:
    """How a kernel of `kernel_type` starts; `boot_type`: the command that an old boot block names."""
    command = boot_type or KERNEL_COMMANDS.get(kernel_type, "")
    if not command:
        return Start()
    table = _table(device, command)
    if table is None and not boot_type and command != FALLBACK:
        command, table = FALLBACK, _table(device, FALLBACK)
    return Start(command, table)


def planned_kernel_type(job: Job, block: Block) -> str:
    """What the namespace's last deploy before `block` says of its kernel."""
    for earlier in reversed(job.blocks[: block.index]):
        if earlier.section == "deploy" and earlier.namespace == block.namespace:
            kernel = earlier.parameters.get("kernel")
            kind = kernel.get("type") if isinstance(kernel, dict) else None
            return str(kind or "")
    return ""


def _table(device: Device, command: str) -> Mapping[str, Any] | None:
    for name in (command, KERNEL_TYPES.get(command, "")):
        found = device.parameters.get(name)
        if isinstance(found, Mapping):
            return found
    return None
