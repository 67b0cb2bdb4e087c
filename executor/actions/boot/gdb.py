# SPDX-License-Identifier: Apache-2.0
"""`method: gdb`: load a program through a debugger and let it run (spec: job-format §6).

The device file has command sets; the job names one. gdb runs on a terminal of its own beside the board's
console, stays until the job ends, and is what keeps the board running.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any, cast

from msgspec import Meta

from executor.actions.connect import ConnectDevice, ResetDevice
from executor.actions.hosttool import (
    HostTool,
    close_program,
    expand,
    expand_line,
    lines_of,
    method_options,
    named_images,
    open_program,
    placeholders,
)
from executor.actions.usb import WaitUsbSerial
from executor.errors import ConnectionClosed, InfrastructureError
from executor.model.job import BootParameters
from executor.model.problem import Problem
from executor.pipeline.action import Action
from executor.pipeline.method import Method, method

if TYPE_CHECKING:
    from executor.console.reader import Console
    from executor.model.device import Device
    from executor.pipeline.planner import Request, Site
    from executor.pipeline.run import Run
    from executor.pipeline.world import World

PROMPT = r"\(gdb\) $"
FAILURES = (
    r"(?m)^(?:.*(?:No such file or directory|Connection refused)|Remote communication error|Error: ).*$"
)
_CONTINUE = ("continue", "c")


class GdbParameters(BootParameters, kw_only=True):
    """`method: gdb`"""

    container: Annotated[
        str | None, Meta(description="old: an image that brings gdb; the job's own container is used instead")
    ] = None


@method("boot")
class Gdb(Method):
    """Load and run through a debugger."""

    name = "gdb"
    summary = "load and run through gdb"
    Parameters = GdbParameters

    @classmethod
    def action(cls, request: Request) -> Action:
        return BootGdb(cast("GdbParameters", request.typed), request.device)


class BootGdb(Action):
    """Holds the part that is tried again."""

    name = "boot-gdb"
    summary = "boot with gdb"
    description = "load the program through gdb and let it run"

    def __init__(self, parameters: GdbParameters, device: Device) -> None:
        self.parameters, self.device = parameters, device

    def plan(self, site: Site) -> Iterable[Action]:
        yield BootGdbRetry(self.parameters, self.device)


class BootGdbRetry(HostTool):
    """A fresh start where there is a power switch, the console, then the debugger's commands."""

    name = "boot-gdb-retry"
    summary = "boot with gdb, with retry"
    description = "connect to the board, then run gdb with the device's commands"
    retry = True
    restarts_device = True

    def __init__(self, parameters: GdbParameters, device: Device) -> None:
        self.parameters, self.device = parameters, device
        self.options = method_options(device, "boot", "gdb", "parameters")
        chosen = parameters.commands
        self.set_name = chosen if isinstance(chosen, str) else ""
        self.chosen: dict[str, Any] = (
            method_options(device, "boot", "gdb", self.set_name)
            if self.set_name
            else {"commands": lines_of(chosen)}
        )

    def program(self) -> str:
        return str(self.options.get("command") or "gdb")

    def plan(self, site: Site) -> Iterable[Action]:
        if site.device.command("hard_reset"):
            yield ResetDevice()
        yield WaitUsbSerial(self.device)
        yield ConnectDevice(self.device)

    def validate(self, world: World) -> Iterable[Problem]:
        yield from super().validate(world)
        if not lines_of(self.chosen.get("commands")):
            sets = sorted(set(method_options(self.device, "boot", "gdb")) - {"parameters"})
            yield self.problem(
                f"the device has no gdb commands {self.set_name!r}" if self.set_name else "no gdb commands",
                "commands",
                hint=f"its sets are {', '.join(sets) or 'none'}",
            )
        docker = self.chosen.get("docker")
        if self.parameters.container or (isinstance(docker, dict) and docker.get("use")):
            text = f"{self.program()} runs in the job's own container, `container` and `docker` are not used"
            yield self.problem(text, severity="warning")

    def after(self, run: Run) -> None:
        """The debugger comes last: nothing that the board says from its start may be lost."""
        values = placeholders(named_images(run))
        argv = [self.program(), "--quiet", "-iex", "set confirm off", "-iex", "set pagination off"]
        for word in lines_of(self.chosen.get("arguments")):
            argv += expand_line(word, values, "gdb.arguments")
        lines = [expand(line, values, strict=False) for line in lines_of(self.chosen.get("commands"))]
        debugger = open_program(run, argv, self._console_name)
        debugger.expect(PROMPT, run.operation)
        for line in lines:
            debugger.send_line(line)
            if line.strip() in _CONTINUE:
                return
            self._answer(run, debugger, line)
        self._pause(run)
        debugger.send_line("continue")
        run.results["commands"] = len(lines) + 1

    def cleanup(self, run: Run) -> None:
        close_program(run, self._console_name)

    @property
    def _console_name(self) -> str:
        return f"gdb-{self.level}"

    def _answer(self, run: Run, debugger: Console, line: str) -> None:
        """Wait for the prompt; what was said before it may be a failure. Raises InfrastructureError."""
        try:
            found = debugger.expect(PROMPT, run.deadline)
        except ConnectionClosed as error:
            raise InfrastructureError(f"gdb ended at {line!r}", "its last words are in the log") from error
        failed = re.search(FAILURES, found.before)
        if failed:
            raise InfrastructureError(f"gdb, {line!r}: {failed.group(0).strip()}")

    def _pause(self, run: Run) -> None:
        wait = self.options.get("wait_before_continue")
        if isinstance(wait, int | float) and wait > 0:
            run.log.debug(f"wait_before_continue of the device: {wait:g} seconds")
            time.sleep(min(float(wait), run.deadline.remaining))
