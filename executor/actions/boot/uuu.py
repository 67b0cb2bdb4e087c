# SPDX-License-Identifier: Apache-2.0
"""`method: uuu`: load an i.MX board over USB with uuu, set its jumpers with bcu (spec: job-format §6).

The board must be in its serial download mode. One that boots by itself gets there when U-Boot has wiped the
start of its boot medium, so that is done first unless the board is in that mode already.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, cast

from msgspec import Meta

from executor.actions.boot.bootloader import BootBootloader, PromptParameters
from executor.actions.bootloader.overlay import BootloaderOverlay
from executor.actions.bootloader.settings import bootloader
from executor.actions.commands import TOOLS_HINT
from executor.actions.connect import ConnectDevice, DisconnectDevice, ResetDevice
from executor.actions.finalize import PowerOff
from executor.actions.hosttool import call, expand_line, named_images, placeholders
from executor.actions.uuusettings import UuuSettings, uuu_settings
from executor.errors import InfrastructureError, JobError, LavaExecError
from executor.model.job import BootParameters
from executor.model.launch import Needs
from executor.model.problem import Path, Problem
from executor.pipeline.action import Action, RetryAction
from executor.pipeline.method import Method, method
from executor.tools import proc

if TYPE_CHECKING:
    from executor.model.device import Device
    from executor.pipeline.planner import Request, Site
    from executor.pipeline.run import Run
    from executor.pipeline.world import World

TOOLS = ("uuu", "bcu")
_LOOK_SECONDS = 15  # for a bootloader to show itself


class UuuParameters(BootParameters, kw_only=True):
    """`method: uuu`"""

    commands: Annotated[
        list[dict[str, str]],
        Meta(min_length=1, description="each a map with one key, uuu or bcu: the program's arguments"),
    ]
    skip_uuu_if_bootloader_valid: Annotated[
        bool, Meta(description="do nothing when the board reaches its bootloader by itself")
    ] = False

    @staticmethod
    def rules(data: dict[str, Any], path: Path) -> Iterator[Problem]:
        yield from BootParameters.rules(data, path)
        for number, command in enumerate(data["commands"]):
            if set(command) - set(TOOLS) or len(command) != 1:
                yield Problem(
                    f"a command of uuu cannot be {', '.join(command) or 'empty'}",
                    path=(*path, "commands", number),
                    expected="a map with one key, uuu or bcu",
                )


@method("boot")
class Uuu(Method):
    """Load a board over USB."""

    name = "uuu"
    summary = "load an i.MX board over USB with NXP's uuu"
    Parameters = UuuParameters

    @classmethod
    def action(cls, request: Request) -> Action:
        return UuuBootRetry(cast("UuuParameters", request.typed), request.device)


class UuuBootRetry(RetryAction):
    """Look whether anything has to be done at all, then do it."""

    name = "uuu-boot-retry"
    summary = "boot with uuu, with retry"
    description = "load the board over USB unless it has a good bootloader, with retry"

    def __init__(self, parameters: UuuParameters, device: Device) -> None:
        self.parameters, self.device = parameters, device

    def plan(self, site: Site) -> Iterable[Action]:
        if self.parameters.skip_uuu_if_bootloader_valid:
            yield CheckBootloaderValid(self.device)
        yield RunUuu(self.parameters, self.device)


class CheckBootloaderValid(Action):
    """A board that reaches its bootloader needs no other; one that does not is no failure."""

    name = "check-bootloader-valid"
    summary = "look for a good bootloader"
    description = "reset the board and see whether its bootloader shows itself"

    def __init__(self, device: Device) -> None:
        self.device = device

    def plan(self, site: Site) -> Iterable[Action]:
        yield from _at_the_prompt(site, [], look_seconds=_LOOK_SECONDS)
        yield DisconnectDevice(self.device)

    def run(self, run: Run) -> None:
        run.namespace.bootloader_valid = True

    def forgives(self, run: Run, error: LavaExecError) -> bool:
        if not isinstance(error, InfrastructureError | JobError):
            return False
        run.namespace.bootloader_valid = False
        return True


class RunUuu(Action):
    """Bring the board into download mode, run the commands."""

    name = "uuu"
    summary = "run uuu"
    description = "bring the board into download mode and run the commands of the job"
    restarts_device = True

    def __init__(self, parameters: UuuParameters, device: Device) -> None:
        self.parameters, self.device = parameters, device
        self.settings = uuu_settings(device)

    def plan(self, site: Site) -> Iterable[Action]:
        used = {tool for command in self.parameters.commands for tool in command}
        self.settings.check(uuu="uuu" in used, bcu="bcu" in used)
        yield DisconnectDevice(self.device)
        yield ResetDevice(self.parameters.soft_reboot)
        if "uuu" in used:
            yield CheckSerialAvailability(self.settings)
            if self.settings.corrupt:
                yield CorruptBootMedia(self.device, self.settings)
            yield ResetDevice(self.parameters.soft_reboot)
        yield ConnectDevice(self.device)
        yield UuuCommands(self.parameters.commands, self.settings)
        yield DisconnectDevice(self.device)

    def applies(self, run: Run) -> bool:
        return not run.namespace.bootloader_valid

    def validate(self, world: World) -> Iterable[Problem]:
        if self.settings.image:
            text = "uuu and bcu run in the job's own container, docker_image is not used"
            yield self.problem(text, severity="warning", hint=TOOLS_HINT)


class CheckSerialAvailability(Action):
    """Is the board in download mode already?"""

    name = "check-serial-availability"
    summary = "look for download mode"
    description = "see whether uuu finds the board in its serial download mode"
    timeout_error = InfrastructureError

    def __init__(self, settings: UuuSettings) -> None:
        self.settings = settings

    def needs(self) -> Needs:
        return Needs(devices=frozenset({"usb"}), tools=frozenset({"uuu"}))

    def run(self, run: Run) -> None:
        listed = "\n".join(call(run, ["uuu", "-lsusb"], check=False).lines_tail)
        paths = usb_paths(run, self.settings)
        found = [path for path in paths if re.search(rf"(?m)^\s*{re.escape(path)}\b", listed)]
        run.namespace.download_mode = bool(found)
        run.log.info(f"in download mode: {', '.join(found) or 'nothing'} of {', '.join(paths)}")
        run.results["available"] = bool(found)


class CorruptBootMedia(Action):
    """Wipe the start of the boot medium, so that the boot ROM finds nothing there."""

    name = "boot-corrupt-boot-media"
    summary = "wipe the boot medium"
    description = "reach the bootloader and have it wipe the medium it came from"

    def __init__(self, device: Device, settings: UuuSettings) -> None:
        self.device, self.settings = device, settings

    def plan(self, site: Site) -> Iterable[Action]:
        if self.settings.power_off_first:
            yield PowerOff()
        yield from _at_the_prompt(site, list(self.settings.corrupt))
        yield DisconnectDevice(self.device)

    def applies(self, run: Run) -> bool:
        return not run.namespace.download_mode


class UuuCommands(Action):
    """The commands of the job, in order."""

    name = "uuu-boot"
    summary = "run the commands"
    description = "run uuu and bcu with what the job says"
    timeout_error = InfrastructureError

    def __init__(self, commands: list[dict[str, str]], settings: UuuSettings) -> None:
        self.commands, self.settings = commands, settings

    @property
    def tools(self) -> frozenset[str]:
        return frozenset(tool for command in self.commands for tool in command)

    def needs(self) -> Needs:
        return Needs(
            mounts=frozenset({"cache", "work"}), devices=frozenset({"serial", "usb"}), tools=self.tools
        )

    def validate(self, world: World) -> Iterable[Problem]:
        for tool in sorted(self.tools):
            if reason := world.tool(tool):
                yield self.problem(reason, error_type="Infrastructure", hint=TOOLS_HINT)

    def run(self, run: Run) -> None:
        values = placeholders(named_images(run))
        ends = {"uuu": [], "bcu": self._board(run) if "bcu" in self.tools else []}
        ports = [word for path in usb_paths(run, self.settings) for word in ("-m", path)]
        for command in self.commands:
            for tool, line in command.items():
                begin = [tool, *ports] if tool == "uuu" else [tool]
                call(run, [*begin, *expand_line(line, values, tool), *ends[tool]])
        run.results["commands"] = len(self.commands)

    def cleanup(self, run: Run) -> None:
        """Give the board's jumpers back to people, whatever became of the job."""
        if "bcu" not in self.tools:
            return
        try:
            board = self._board(run)
            for line in (*self.settings.bcu_cleanup, "deinit"):
                call(run, ["bcu", *expand_line(line, {}, "bcu"), *board])
        except LavaExecError as error:
            run.log.warning(f"bcu: {error.message}")

    def _board(self, run: Run) -> list[str]:
        """Which board bcu shall work on."""
        found = self.settings.control_id
        if self.settings.control_command:
            found = "".join(_printed(run, self.settings.control_command)[:1])
        return [f"-board={self.settings.board}", f"-id={found}"]


class DeviceLines(BootloaderOverlay):
    """Lines that come from the device file, though they are no set of it; there is nothing to warn about."""

    name = "bootloader-overlay"

    def _validate_commands(self) -> Iterable[Problem]:
        return ()


def usb_paths(run: Run, settings: UuuSettings) -> list[str]:
    """The paths of the board's download port, from the device file or from its command."""
    if settings.usb_paths or not settings.paths_command:
        return list(settings.usb_paths)
    return _printed(run, settings.paths_command)


def _printed(run: Run, argv: tuple[str, ...]) -> list[str]:
    """Lines that a command of the device file prints. Raises InfrastructureError when there are none."""
    lines: list[str] = []
    proc.run(argv, deadline=run.deadline, log=lines.append, error=InfrastructureError)
    found = [line.strip() for line in lines if line.strip()]
    if not found:
        raise InfrastructureError(f"{' '.join(argv)} printed nothing")
    return found


def _at_the_prompt(site: Site, lines: list[str], look_seconds: int | None = None) -> Iterable[Action]:
    """Reset the board, stop it in U-Boot, type `lines`."""
    loader = bootloader(site.device, "u-boot", site.job)
    parameters = PromptParameters(method="bootloader", bootloader="u-boot", commands=list(lines))
    yield ConnectDevice(site.device)
    yield DeviceLines(loader, parameters)
    yield BootBootloader(loader, parameters, look_seconds=look_seconds)
