# SPDX-License-Identifier: Apache-2.0
"""`method: jlink`: flash by SEGGER's J-Link Commander (spec: job-format §6).

The program reads its commands from a script; `-ExitOnError 1` makes a failed one its exit code.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

from msgspec import Meta

from executor.actions.connect import ConnectDevice
from executor.actions.hosttool import (
    HostTool,
    expand,
    lines_of,
    method_options,
    named_images,
    option_words,
    placeholders,
)
from executor.actions.usb import WaitDeviceBoardID, fresh_start, identity, needs_board_id
from executor.errors import JobError
from executor.model.job import BootParameters
from executor.model.problem import Problem
from executor.pipeline.action import Action, RetryAction
from executor.pipeline.method import Method, method

if TYPE_CHECKING:
    from executor.model.device import Device
    from executor.pipeline.planner import Request, Site
    from executor.pipeline.run import Run
    from executor.pipeline.world import World


class JlinkParameters(BootParameters, kw_only=True):
    """`method: jlink`"""

    coretype: Annotated[
        str | None, Meta(description="core of a chip with several, such as M33; the device lists them")
    ] = None


@method("boot")
class Jlink(Method):
    """Flash with a J-Link probe."""

    name = "jlink"
    summary = "flash with a J-Link probe"
    Parameters = JlinkParameters

    @classmethod
    def action(cls, request: Request) -> Action:
        return BootJlink(cast("JlinkParameters", request.typed), request.device)


class BootJlink(RetryAction):
    """A fresh start where there is a power switch, then flash with the console open."""

    name = "boot-jlink-image"
    summary = "boot an image with J-Link"
    description = "flash the image with J-Link Commander and let it run"

    def __init__(self, parameters: JlinkParameters, device: Device) -> None:
        self.parameters, self.device = parameters, device

    def plan(self, site: Site) -> Iterable[Action]:
        yield from fresh_start(site, WaitDeviceBoardID(self.device))
        yield ConnectDevice(self.device)
        yield FlashJlink(self.parameters, self.device)


class FlashJlink(HostTool):
    """One script for all images: erase, the job's commands or one `loadfile` an image, reset, go."""

    name = "flash-jlink"
    summary = "flash with J-Link"
    description = "run J-Link Commander"
    restarts_device = True

    def __init__(self, parameters: JlinkParameters, device: Device) -> None:
        self.parameters, self.device = parameters, device
        self.options = method_options(device, "boot", "jlink", "parameters")

    def program(self) -> str:
        return str(self.options.get("command") or "JLinkExe")

    def validate(self, world: World) -> Iterable[Problem]:
        yield from super().validate(world)
        yield from needs_board_id(self, self.device)
        core, known = self.parameters.coretype, self.options.get("supported_core_types")
        if core and known and core not in known:
            yield self.problem(
                f"the device has no core {core!r}",
                "coretype",
                hint=f"it has {', '.join(str(name) for name in known)}",
            )
        if not self.options.get("processor"):
            yield self.problem("the device file has no processor for J-Link", error_type="Configuration")

    def run(self, run: Run) -> None:
        script = run.context.work / f"jlink-{self.level}.jlink"
        lines = self.script(named_images(run))
        script.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        for line in lines:
            run.log.debug(f"J-Link script: {line}")
        self.call(run, self.command_line(script))
        run.results["commands"] = len(lines)

    def command_line(self, script: Path) -> list[str]:
        """All options of the program; the board is chosen by its serial number."""
        chip = str(self.options.get("processor") or "")
        if self.parameters.coretype:
            chip = f"{chip}_{self.parameters.coretype}"
        return [
            self.program(),
            *("-NoGui", "1", "-ExitOnError", "1", "-AutoConnect", "1"),
            *("-SelectEmuBySN", identity(self.device).board_id, "-Device", chip),
            *option_words(self.options.get("options"), "jlink.options"),
            *("-CommanderScript", str(script)),
        ]

    def script(self, images: dict[str, Path]) -> list[str]:
        """The lines of the script. Raises JobError for a placeholder without an image."""
        quoted = {label: f'"{path}"' for label, path in placeholders(images).items()}
        given = lines_of(self.parameters.commands)
        loads = [expand(line, quoted) for line in given] or [self._load(path) for path in images.values()]
        if not loads:
            raise JobError("there is no image to flash", "a deploy block must come before this block")
        return [
            *lines_of(self.options.get("erase_command")),
            *loads,
            *lines_of(self.options.get("reset_command")),
            "g",
            "exit",
        ]

    def _load(self, path: Path) -> str:
        """Only formats without addresses of their own need the device's."""
        address: Any = self.options.get("address") or 0
        at = "" if path.suffix.lower() in (".elf", ".hex", ".srec", ".mot") else f" {_hex(address)}"
        return f'loadfile "{path}"{at}'


def _hex(address: Any) -> str:
    return f"0x{address:08x}" if isinstance(address, int) else str(address)
