# SPDX-License-Identifier: Apache-2.0
"""`method: depthcharge`: network boot of Chromebooks (spec: job-format §6, action-pipeline §2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, cast

from msgspec import Meta

from executor.actions.bootloader.commands import BootloaderCommands
from executor.actions.bootloader.overlay import BootloaderOverlay
from executor.actions.bootloader.placeholders import fill
from executor.actions.bootloader.script import serve
from executor.actions.bootloader.settings import Bootloader, bootloader
from executor.actions.connect import ResetConnection, ResetDevice
from executor.actions.shell import shell_tail
from executor.console.watcher import Mode
from executor.errors import InfrastructureError
from executor.model.job import BootParameters
from executor.pipeline.action import Action, RetryAction
from executor.pipeline.method import Method, method

if TYPE_CHECKING:
    from executor.pipeline.planner import Request, Site
    from executor.pipeline.run import Run

FIT = ".itb"  # suffix of a kernel that a deploy has packed together with device tree and ramdisk


class DepthchargeParameters(BootParameters, kw_only=True):
    """`method: depthcharge`"""

    extra_kernel_args: Annotated[str, Meta(description="added to the kernel's command line")] = ""


@method("boot")
class Depthcharge(Method):
    """Type a command set at depthcharge's network command line."""

    name = "depthcharge"
    summary = "commands typed at depthcharge's prompt"
    Parameters = DepthchargeParameters

    @classmethod
    def action(cls, request: Request) -> Action:
        return DepthchargeAction(cast("DepthchargeParameters", request.typed))


class DepthchargeAction(Action):
    """The whole boot."""

    name = "depthcharge-action"
    summary = "boot with depthcharge"
    description = "boot with commands at the prompt of depthcharge"

    def __init__(self, parameters: DepthchargeParameters) -> None:
        self.parameters = parameters

    def plan(self, site: Site) -> Iterable[Action]:
        loader = bootloader(site.device, "depthcharge", site.job, self.parameters.parameters)
        yield DepthchargeOverlay(loader, self.parameters)
        yield DepthchargeRetry(loader, self.parameters)


class DepthchargeOverlay(BootloaderOverlay):
    """Put the kernel's command line into a file, fill in the commands."""

    name = "depthcharge-overlay"
    summary = "fill in the commands and the command line"
    description = "write the kernel's command line for the TFTP server, fill in the commands"

    def values(self, run: Run) -> dict[str, str]:
        known = super().values(run)
        kernel = run.namespace.artifacts.get("kernel")
        if kernel is None or not kernel.served:
            return known
        line = serve(run, "cmdline", self.command_line(known))
        # Without a ramdisk of its own that word of the command is empty: the line stays.
        ramdisk = "" if kernel.path.suffix == FIT else known.get("RAMDISK", "")
        return {**known, "DEPTHCHARGE_KERNEL": kernel.served, "DEPTHCHARGE_RAMDISK": ramdisk, "CMDLINE": line}

    def command_line(self, known: Mapping[str, str]) -> str:
        """What the kernel is told: `cmdline` of the command set, and what the job adds."""
        chosen = self.bootloader.options.get(str(self.parameters.commands))
        given = str(chosen.get("cmdline") or "") if isinstance(chosen, Mapping) else ""
        filled = fill([given], known).lines
        extra = cast("DepthchargeParameters", self.parameters).extra_kernel_args
        return " ".join([*filled, *([extra] if extra else [])])


class DepthchargeRetry(RetryAction):
    """From reset to shell, tried again as a whole."""

    name = "depthcharge-retry"
    summary = "reset and run the commands"
    description = "reset the device, type the commands, reach the shell"
    timeout_error = InfrastructureError

    def __init__(self, loader: Bootloader, parameters: DepthchargeParameters) -> None:
        self.loader, self.parameters = loader, parameters

    def plan(self, site: Site) -> Iterable[Action]:
        yield ResetConnection(site.device)
        if self.parameters.reset is not False:
            yield ResetDevice(self.parameters.soft_reboot)
        yield DepthchargeStart(self.loader)
        yield BootloaderCommands(self.loader)
        yield from shell_tail(site, self.parameters)


class DepthchargeStart(Action):
    """It asks for commands by itself; ends at the prompt."""

    name = "depthcharge-start"
    summary = "wait for depthcharge"
    description = "wait until depthcharge starts its network boot and shows its prompt"
    timeout_error = InfrastructureError

    def __init__(self, loader: Bootloader) -> None:
        self.loader = loader

    def run(self, run: Run) -> None:
        console = run.console
        console.watch(Mode.OFF)
        for wanted in (self.loader.text("start_message"), self.loader.prompt):
            if wanted:
                run.tell_wait([wanted], run.operation)
                console.expect(wanted, run.operation)
