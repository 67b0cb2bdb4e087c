# SPDX-License-Identifier: Apache-2.0
"""Commands of the device file that run on the dispatcher: power, reset, relays (spec: device-config §3)."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, ClassVar

from executor.actions import proc
from executor.errors import InfrastructureError
from executor.pipeline.action import Action

if TYPE_CHECKING:
    from executor.pipeline.run import Run


class DeviceCommand(Action):
    """Runs the lines of one key of `commands` in order, without a shell; the first failure ends it."""

    command: ClassVar[str] = ""  # the key, such as "hard_reset"

    def run(self, run: Run) -> None:
        for line in run.context.device.command(self.command):
            run.log.info(f"{self.command}: {line}")
            proc.run(
                shlex.split(line),
                deadline=run.deadline,
                log=run.log.output,
                error=InfrastructureError,
            )
