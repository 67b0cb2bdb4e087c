# SPDX-License-Identifier: Apache-2.0
"""`method: avh`: start a board that Arm Virtual Hardware simulates (spec: job-format §6)."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any, cast

import msgspec
from msgspec import Meta

from executor.actions.avh.api import log_in
from executor.actions.avh.websocket import VARIABLE
from executor.actions.hosttool import close_program, open_program
from executor.actions.shell import shell_tail
from executor.errors import InfrastructureError, JobError, LavaExecError
from executor.model.job import BootParameters
from executor.model.launch import Needs
from executor.pipeline.action import Action, RetryAction
from executor.pipeline.method import Method, method

if TYPE_CHECKING:
    from executor.model.problem import Problem
    from executor.pipeline.planner import Request, Site
    from executor.pipeline.run import Run
    from executor.pipeline.world import World


class BootArguments(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """`bootargs`"""

    normal: Annotated[str | None, Meta(description="the kernel's command line")] = None
    restore: Annotated[str | None, Meta(description="the kernel's command line of the first start")] = None


class AvhParameters(BootParameters, kw_only=True):
    """`method: avh`"""

    bootargs: BootArguments = msgspec.field(default_factory=BootArguments)
    docker: Annotated[
        dict[str, Any] | None, Meta(description="old: an image that brings websocat; nothing else is needed")
    ] = None


@method("boot")
class Avh(Method):
    """Start a simulated board."""

    name = "avh"
    summary = "a board of Arm Virtual Hardware"
    Parameters = AvhParameters

    @classmethod
    def action(cls, request: Request) -> Action:
        return BootAvh(cast("AvhParameters", request.typed))


class BootAvh(RetryAction):
    """The board, then its shell."""

    name = "boot-avh"
    summary = "boot a board of Arm Virtual Hardware"
    description = "start a simulated board and reach its shell, with retry"

    def __init__(self, parameters: AvhParameters) -> None:
        self.parameters = parameters

    def plan(self, site: Site) -> Iterable[Action]:
        yield CallAvh(self.parameters)
        yield from shell_tail(site, self.parameters)

    def validate(self, world: World) -> Iterable[Problem]:
        if self.parameters.docker is not None:
            text = "the console needs no program, `docker` is not used"
            yield self.problem(text, "docker", severity="warning")


class CallAvh(Action):
    """Have the board made from what the deploy block has uploaded, connect to its console."""

    name = "call-avh"
    summary = "start the board"
    description = "have the service start the board, and connect to its console"
    restarts_device = True

    def __init__(self, parameters: AvhParameters) -> None:
        self.parameters = parameters

    def needs(self) -> Needs:
        return Needs(network="bridge")

    def run(self, run: Run) -> None:
        namespace = run.namespace
        given = namespace.virtual_settings
        if not namespace.virtual_firmware:
            raise JobError(
                "nothing has been uploaded", "a deploy block `to: avh` must come before this block"
            )
        service = log_in(run.context, given["api_endpoint"], run.deadline)
        name = f"lava-{run.context.worker.job_id}-{self.level}"
        arguments = {
            "bootArgs": self.parameters.bootargs.normal,
            "restoreBootArgs": self.parameters.bootargs.restore,
        }
        namespace.virtual_board = service.start(
            service.project(given["project_name"]),
            name,
            service.flavor(given["model"]),
            namespace.virtual_firmware,
            {key: value for key, value in arguments.items() if value is not None},
        )
        service.wait_for(namespace.virtual_board, lambda state: run.log.info(f"the board is {state!r}"))
        secret = {VARIABLE: service.console(namespace.virtual_board)}
        argv = [sys.executable, "-m", "executor.actions.avh.websocket"]
        run.connection.console = open_program(run, argv, self._console_name, secret)
        run.results["instance"] = namespace.virtual_board

    @property
    def _console_name(self) -> str:
        return f"avh-{self.level}"

    def cleanup(self, run: Run) -> None:
        close_program(run, self._console_name)
        if run.connected is not None and run.connected.name == self._console_name:
            run.connection.console = None
        namespace = run.namespace
        board, namespace.virtual_board = namespace.virtual_board, ""
        if not board:
            return
        try:
            endpoint = namespace.virtual_settings["api_endpoint"]
            log_in(run.context, endpoint, run.deadline).remove("instances", board)
        except LavaExecError as error:
            raise InfrastructureError(f"the board {board} was not removed: {error.message}") from error
