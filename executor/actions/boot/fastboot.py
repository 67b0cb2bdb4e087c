# SPDX-License-Identifier: Apache-2.0
"""`method: fastboot`: start what was flashed, or a boot image without flashing it (spec: job-format §6)."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Annotated, Any, cast

from msgspec import Meta

from executor.actions.boot.minimal import PreOsCommand
from executor.actions.deploy.fastboot import UNUSED_DOCKER
from executor.actions.deviceenv import ExportDeviceEnv
from executor.actions.fastboot.adb import AdbOverlayUnpack, ConnectAdb
from executor.actions.fastboot.enter import enter_fastboot
from executor.actions.fastboot.flash import BOOT, NO_FLASH, Reboot
from executor.actions.fastboot.tools import Board, FastbootAction, board_problems
from executor.actions.fastboot.wait import WaitBoard
from executor.actions.shell import AutoLogin, ExpectShell, shell_tail
from executor.errors import InfrastructureError, JobError
from executor.model.job import BootParameters
from executor.pipeline.action import Action, RetryAction
from executor.pipeline.method import Method, method

if TYPE_CHECKING:
    from executor.model.device import Device
    from executor.model.problem import Problem
    from executor.pipeline.planner import Request, Site
    from executor.pipeline.run import Run
    from executor.pipeline.world import World


class FastbootParameters(BootParameters, kw_only=True):
    """`method: fastboot`"""

    docker: Annotated[
        dict[str, Any] | None,
        Meta(description="old: an image that brings fastboot; the job's own image has it"),
    ] = None


@method("boot")
class Fastboot(Method):
    """Start a board from fastboot."""

    name = "fastboot"
    summary = "start a board from fastboot"
    Parameters = FastbootParameters

    @classmethod
    def action(cls, request: Request) -> Action:
        return FastbootBoot(cast("FastbootParameters", request.typed), request.device)


class FastbootBoot(RetryAction):
    """Enter fastboot, go through the device's sequence, reach the shell."""

    name = "fastboot-boot"
    summary = "boot from fastboot"
    description = "bring the board into fastboot, start it from there and reach its shell, with retry"
    timeout_error = InfrastructureError

    def __init__(self, parameters: FastbootParameters, device: Device) -> None:
        self.parameters, self.device, self.board = parameters, device, Board.of(device)

    @property
    def sequence(self) -> list[str]:
        """The device's steps from fastboot to the system."""
        given = self.device.boot_methods.get("fastboot")
        return [str(step) for step in given] if isinstance(given, list) else []

    def plan(self, site: Site) -> Iterable[Action]:
        parameters, board = self.parameters, self.board
        has_console = bool(site.device.command("hard_reset")) or board.via_uboot
        if parameters.commands:
            yield BootCommands(board, parameters.commands)
        if not has_console:
            yield WaitBoard(self.device)
        yield from enter_fastboot(site, board, powered=True)
        for step in self.sequence:
            yield from self._step(step)
        if has_console:
            yield PreOsCommand()
            if parameters.prompts:
                yield from shell_tail(site, parameters)
        elif parameters.docker is None and site.needs_shell:
            yield ConnectAdb(board, parameters)
            yield AdbOverlayUnpack(board)

    def _step(self, step: str) -> Iterable[Action]:
        board, parameters = self.board, self.parameters
        steps: dict[str, Callable[[], Iterable[Action]]] = {
            "boot": lambda: (WaitBoard(self.device), BootImage(board)),
            NO_FLASH: lambda: (WaitBoard(self.device), BootImage(board)),
            "reboot": lambda: (WaitBoard(self.device), Reboot(board)),
            "auto-login": lambda: (AutoLogin(parameters),),
            "overlay-unpack": lambda: (AdbOverlayUnpack(board),),
            "shell-session": lambda: (ExpectShell(),),
            "export-env": lambda: (ExportDeviceEnv(),),
        }
        return steps[step]() if step in steps else ()

    def validate(self, world: World) -> Iterable[Problem]:
        yield from board_problems(self, self.board)
        if not self.sequence:
            yield self.problem(
                "the device file has no sequence of steps for boot method fastboot",
                error_type="Configuration",
                hint="such as actions.boot.methods.fastboot: [reboot]",
            )
        if self.parameters.docker is not None:
            yield self.problem(UNUSED_DOCKER, "docker", severity="warning")


class BootImage(FastbootAction):
    """Start the boot image from memory."""

    name = "boot-fastboot"
    summary = "start the boot image"
    description = "start the image called boot by fastboot, without writing it"
    restarts_device = True

    def run(self, run: Run) -> None:
        image = run.namespace.artifacts.get(BOOT)
        if image is None:
            raise JobError(
                f"no image called {BOOT!r} was deployed", "the device starts that one by `fastboot boot`"
            )
        if run.connected is not None:
            run.connected.expect_reset()
        self.fastboot(run, "boot", image.path)
        run.results["status"] = "finished"


class BootCommands(FastbootAction):
    """What the job wants fastboot to do first."""

    name = "fastboot-boot-commands"
    summary = "run fastboot commands"
    description = "run the fastboot commands of the block"

    def __init__(self, board: Board, commands: str | list[Any]) -> None:
        super().__init__(board)
        self.lines = [commands] if isinstance(commands, str) else [str(line) for line in commands]

    def validate(self, world: World) -> Iterable[Problem]:
        yield from super().validate(world)
        for number, line in enumerate(self.lines):
            try:
                shlex.split(line)
            except ValueError as error:
                yield self.problem(f"{line!r} cannot be split into words: {error}", "commands", number)

    def run(self, run: Run) -> None:
        for line in self.lines:
            self.fastboot(run, *shlex.split(line))
        run.results["commands"] = len(self.lines)
