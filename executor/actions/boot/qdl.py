# SPDX-License-Identifier: Apache-2.0
"""`method: qdl`: flash a Qualcomm board in its emergency download mode (spec: job-format §6).

qdl sends the firehose program to the board's boot ROM, then writes what the rawprogram files describe and
applies the patches. Its exit code tells whether all of it was done.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

from msgspec import Meta

from executor.actions.connect import ConnectDevice, ResetDevice
from executor.actions.hosttool import HostTool, method_options, option_words
from executor.actions.recoverymode import ENTER, LEAVE, SwitchRecovery, recovery_lines
from executor.actions.shell import shell_tail
from executor.actions.usb import UNSET, UsbIdentity, WaitForNode, find_bus
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

FLASH = "qcomflash"
_VENDOR, _PRODUCT = "05c6", "9008"  # of the boot ROM
Names = Annotated[list[str], Meta(min_length=1)]


class QdlParameters(BootParameters, kw_only=True):
    """`method: qdl`"""

    firehose_program: Annotated[str, Meta(description="file of the archive that runs on the board first")]
    rawprogram: Annotated[str | Names, Meta(description="XML files that say what is written; patterns work")]
    patch: Annotated[str | Names | None, Meta(description="XML files with patches; patterns work")] = None
    storage: Annotated[str | None, Meta(description="such as emmc, nand, ufs; ufs where not said")] = None


@method("boot")
class Qdl(Method):
    """Flash in emergency download mode."""

    name = "qdl"
    summary = "flash in Qualcomm's emergency download mode"
    Parameters = QdlParameters

    @classmethod
    def action(cls, request: Request) -> Action:
        return BootQdlRetry(cast("QdlParameters", request.typed), request.device)


class BootQdlRetry(RetryAction):
    """Into the download mode, flash, out of it, start."""

    name = "boot-qdl-retry"
    summary = "flash with qdl and boot, with retry"
    description = "put the board into emergency download mode, flash it, start it, with retry"

    def __init__(self, parameters: QdlParameters, device: Device) -> None:
        self.parameters, self.device = parameters, device

    def plan(self, site: Site) -> Iterable[Action]:
        if recovery_lines(self.device, ENTER):
            yield SwitchRecovery(self.device, ENTER)
        yield ResetDevice(self.parameters.soft_reboot)
        yield WaitQdlDevice(self.device)
        yield FlashQdl(self.parameters, self.device)
        if recovery_lines(self.device, LEAVE):
            yield SwitchRecovery(self.device, LEAVE)
        if self.device.primary is not None:
            yield ConnectDevice(self.device)
            yield ResetDevice(self.parameters.soft_reboot)
            yield from shell_tail(site, self.parameters)


class WaitQdlDevice(WaitForNode):
    """The boot ROM, which has a serial number of its own."""

    name = "wait-qdl-device"
    summary = "wait for emergency download mode"
    description = "wait until the board is on the USB bus in emergency download mode"

    def validate(self, world: World) -> Iterable[Problem]:
        if not qdl_id(self.device):
            yield self.problem(
                "the device file has no board_qdl_id",
                hint="it is the serial number that the board shows in emergency download mode",
            )

    def look(self, dev: Path) -> Path | None:
        # The boot ROM hides its number in the name of the product ("..._SN:1A2B"), not in the USB serial.
        return find_bus(dev, UsbIdentity("", _VENDOR, _PRODUCT), product_text=qdl_id(self.device))

    def wanted(self) -> str:
        return f"emergency download mode of board {qdl_id(self.device)}"


class FlashQdl(HostTool):
    """One run of qdl over the files of the archive."""

    name = "flash-qdl"
    summary = "flash with qdl"
    description = "run qdl with the files of the archive"
    restarts_device = True

    def __init__(self, parameters: QdlParameters, device: Device) -> None:
        self.parameters, self.device = parameters, device
        self.options = method_options(device, "boot", "qdl", "parameters")

    def program(self) -> str:
        return str(self.options.get("command") or "qdl")

    def run(self, run: Run) -> None:
        artifact = run.namespace.artifacts.get(FLASH)
        if artifact is None:
            raise JobError(f"there is no {FLASH}", "a deploy block `to: qdl` must come before this block")
        argv = self.command_line(artifact.path)
        self.call(run, argv, cwd=Path(argv[-1]).parent)

    def command_line(self, files: Path) -> list[str]:
        """Storage, board, program, what is written, patches; by absolute paths."""
        given = self.parameters
        return [
            self.program(),
            *("--storage", given.storage or "ufs", "--serial", qdl_id(self.device)),
            *option_words(self.options.get("options"), "qdl.options"),
            *_files(files, [given.firehose_program]),
            *_files(files, _list(given.rawprogram)),
            *_files(files, _list(given.patch)),
        ]


def qdl_id(device: Device) -> str:
    """The board's number in emergency download mode, or ""."""
    found = str(device.raw.get("board_qdl_id") or "")
    return "" if found in UNSET else found


def _files(directory: Path, names: list[str]) -> list[str]:
    """The files that the names or patterns mean, inside of `directory`. Raises JobError."""
    found: list[str] = []
    for name in names:
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise JobError(f"{name!r} leads out of {FLASH}")
        here = sorted(str(path) for path in directory.rglob(name) if path.is_file())
        if not here:
            raise JobError(f"{FLASH} holds no {name!r}")
        found += here
    return found


def _list(value: str | list[str] | None) -> list[str]:
    return [value] if isinstance(value, str) else list(value or ())
