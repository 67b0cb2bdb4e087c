# SPDX-License-Identifier: Apache-2.0
"""Into fastboot from U-Boot's prompt (spec: device-config §1 `fastboot_via_uboot`, §2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from executor.actions.bootloader.complaints import await_one
from executor.actions.bootloader.interrupt import BootloaderInterrupt
from executor.actions.bootloader.settings import Bootloader, bootloader
from executor.actions.bootloader.typist import Typist
from executor.actions.connect import ResetDevice
from executor.errors import InfrastructureError
from executor.pipeline.action import Action

if TYPE_CHECKING:
    from executor.model.device import Device
    from executor.model.job import Job
    from executor.model.problem import Problem
    from executor.pipeline.planner import Site
    from executor.pipeline.run import Run
    from executor.pipeline.world import World

_METHOD = "u-boot"


class UBootEnterFastboot(Action):
    """Reset, stop the countdown, type the device's commands; the last of them does not come back."""

    name = "uboot-enter-fastboot"
    summary = "enter fastboot from U-Boot"
    description = "reset the board, interrupt U-Boot and start its fastboot"
    timeout_error = InfrastructureError

    def __init__(self, device: Device, job: Job) -> None:
        self.bootloader, self.commands = settings(device, job)

    def plan(self, site: Site) -> Iterable[Action]:
        yield ResetDevice()
        yield BootloaderInterrupt(self.bootloader)

    def validate(self, world: World) -> Iterable[Problem]:
        for text in self.bootloader.faults():
            yield self.problem(text, severity="warning")
        if not self.commands:
            yield self.problem(
                "the device file does not say how U-Boot enters fastboot",
                error_type="Configuration",
                hint="actions.deploy.methods.u-boot.parameters.fastboot.commands: ['fastboot 0']",
            )

    def after(self, run: Run) -> None:
        console, known = run.console, self.bootloader
        *first, last = self.commands
        with Typist(console, known, run.log) as typist:
            for line in first:
                typist.type(line, run.deadline)
                await_one(console, [known.prompt], known.error_messages, run.operation, during=line)
            typist.type(last, run.deadline)
        run.results["commands"] = len(self.commands)


def settings(device: Device, job: Job) -> tuple[Bootloader, list[str]]:
    """U-Boot's dialogue, and its commands for fastboot. What the deploy method says of U-Boot wins over what
    the boot method says; templates leave it empty where that is the same.
    """
    given = _map(_map(device.deploy_methods.get(_METHOD)).get("parameters"))
    found = bootloader(device, _METHOD, job)
    commands = _map(given.get("fastboot")).get("commands")
    return (
        replace(
            found,
            prompt=str(given.get("bootloader_prompt") or found.prompt),
            interrupt_prompt=str(given.get("interrupt_prompt") or found.interrupt_prompt),
            interrupt=str(given.get("interrupt_char") or found.interrupt),
        ),
        [str(line) for line in commands] if isinstance(commands, list) else [],
    )


def _map(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
