# SPDX-License-Identifier: Apache-2.0
"""Which USB things belong to the board, and waiting for them to turn up.

The job's container sees only nodes of its own device, in a directory that is laid out as udev does it below
/dev: `disk/by-id`, `disk/by-label`, `serial/by-id`, `bus/usb/BBB/DDD` (design §3). Names there carry the
board's serial number; for bare USB nodes sysfs knows it. Nothing here talks to udev: a directory is looked at
until the deadline.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from executor.actions.connect import ResetDevice
from executor.errors import InfrastructureError, InfrastructureTimeout, LavaExecError
from executor.model.launch import Needs
from executor.pipeline.action import Action

if TYPE_CHECKING:
    from executor.model.device import Device
    from executor.model.problem import Problem
    from executor.pipeline.planner import Site
    from executor.pipeline.run import Run
    from executor.pipeline.world import World

SYSFS = Path("/sys/bus/usb/devices")
UNSET = ("", "0000000000", "Undefined", "/notset")  # what templates write where the admin has said nothing
UNSET_VENDOR = "0000"
_PAUSE = 0.2  # seconds between two looks


@dataclass(frozen=True)
class UsbIdentity:
    """What a board is known by (spec: device-config §1); an empty field is not looked at."""

    board_id: str = ""
    vendor: str = ""
    product: str = ""

    def __str__(self) -> str:
        ids = ":".join(part for part in (self.vendor, self.product) if part)
        return " ".join(part for part in (f"board {self.board_id}" if self.board_id else "", ids) if part)


def identity(device: Device) -> UsbIdentity:
    """The device's own, from the top of its file or the first entry of `device_info`."""
    first = device.device_info[0] if device.device_info else {}

    def value(key: str, *unset: str) -> str:
        found = str(device.raw.get(key) or first.get(key) or "")
        return "" if found in (*UNSET, *unset) else found

    return UsbIdentity(
        value("board_id"),
        value("usb_vendor_id", UNSET_VENDOR).lower(),
        value("usb_product_id", UNSET_VENDOR).lower(),
    )


def local(dev: Path, path: str) -> Path:
    """Where a path of the device file (`/dev/disk/by-id/…`) is in the job's own directory of nodes."""
    inside = path.removeprefix("/dev/").lstrip("/")
    return dev / inside


def find(dev: Path, wanted: UsbIdentity, *folders: str) -> Path | None:
    """A node of the board below one of `folders` of `dev`, by the serial number in its name."""
    for folder in folders:
        with suppress(OSError):
            for node in sorted((dev / folder).iterdir()):
                if wanted.board_id and wanted.board_id in node.name:
                    return node
    return None


def find_bus(dev: Path, wanted: UsbIdentity, *, product_text: str = "") -> Path | None:
    """The bare USB node of the board, which libusb works with; `product_text` is in its product's name."""
    for entry in sorted(SYSFS.glob("*")):
        with suppress(OSError, ValueError):
            checks = (("serial", wanted.board_id), ("idVendor", wanted.vendor), ("idProduct", wanted.product))
            if any(value and _attribute(entry, name) != value for name, value in checks):
                continue
            if product_text and product_text not in _attribute(entry, "product"):
                continue
            bus, number = int(_attribute(entry, "busnum")), int(_attribute(entry, "devnum"))
            node = dev / "bus" / "usb" / f"{bus:03d}" / f"{number:03d}"
            if node.exists():
                return node
    return None


def _attribute(entry: Path, name: str) -> str:
    return (entry / name).read_text(encoding="utf-8", errors="replace").strip()


class WaitForNode(Action):
    """Look into the job's device directory until what is wanted is there, or the limit has passed."""

    timeout_error: ClassVar[type[LavaExecError]] = InfrastructureError
    devices: ClassVar[frozenset[str]] = frozenset({"usb"})

    def __init__(self, device: Device) -> None:
        self.device = device

    def needs(self) -> Needs:
        return Needs(devices=self.devices)

    def look(self, dev: Path) -> Path | None:
        """The node, once it is there."""
        raise NotImplementedError

    def wanted(self) -> str:
        """What is waited for, in words."""
        raise NotImplementedError

    def run(self, run: Run) -> None:
        run.log.info(f"waiting for {self.wanted()} below {run.context.dev}")
        node = wait(run, lambda: self.look(run.context.dev), self.wanted())
        run.log.info(f"found {node}")
        rest = _seconds(self.device.raw.get("usb_sleep"))
        if rest:
            run.log.debug(f"usb_sleep of the device: {rest:g} seconds")
            time.sleep(min(rest, run.deadline.remaining))


def wait(run: Run, look: Callable[[], Path | None], wanted: str) -> Path:
    """Ask `look` until it finds something. Raises InfrastructureTimeout that says what was wanted."""
    while (found := look()) is None:
        if run.deadline.expired:
            raise InfrastructureTimeout(
                f"{wanted} did not turn up within {run.deadline.limit:.0f} seconds",
                f"is the board powered and plugged in, and are its nodes below {run.context.dev}?",
            )
        time.sleep(min(_PAUSE, run.deadline.remaining))
    return found


class WaitDeviceBoardID(WaitForNode):
    """Anything with the board's serial number."""

    name = "wait-device-boardid"
    summary = "wait for the board"
    description = "wait until USB shows the board's serial number"
    devices = frozenset({"usb", "serial", "block"})

    def validate(self, world: World) -> Iterable[Problem]:
        yield from needs_board_id(self, self.device)

    def look(self, dev: Path) -> Path | None:
        wanted = UsbIdentity(identity(self.device).board_id)
        return find(dev, wanted, "serial/by-id", "disk/by-id", "input/by-id") or find_bus(dev, wanted)

    def wanted(self) -> str:
        return f"USB device with serial number {identity(self.device).board_id!r}"


class WaitUsbSerial(WaitForNode):
    """The board's serial port."""

    name = "wait-usb-serial"
    summary = "wait for the serial port"
    description = "wait until the board's USB serial port is there"
    devices = frozenset({"serial"})

    def validate(self, world: World) -> Iterable[Problem]:
        yield from needs_board_id(self, self.device)

    def look(self, dev: Path) -> Path | None:
        return find(dev, identity(self.device), "serial/by-id")

    def wanted(self) -> str:
        return f"USB serial port of {identity(self.device)}"


class WaitDevicePath(WaitForNode):
    """A node that the device file names."""

    name = "wait-device-path"
    summary = "wait for a device node"
    description = "wait until a node that the device file names is there"
    devices = frozenset({"block"})

    def __init__(self, device: Device, path: str) -> None:
        super().__init__(device)
        self.path = path

    def look(self, dev: Path) -> Path | None:
        node = local(dev, self.path)
        return node if node.exists() else None

    def wanted(self) -> str:
        return self.path


class WaitUsbMassStorage(WaitDevicePath):
    """The volume with the label of the device file."""

    name = "wait-usb-mass-storage-device"
    summary = "wait for the USB volume"
    description = "wait until the board's USB mass storage is there"

    def __init__(self, device: Device) -> None:
        self.volume = str(device.raw.get("usb_filesystem_label") or "")
        super().__init__(device, f"/dev/disk/by-label/{self.volume}")

    def validate(self, world: World) -> Iterable[Problem]:
        if not self.volume:
            yield self.problem(
                "the device file has no usb_filesystem_label",
                hint="it is the label of the board's USB volume",
            )


class WaitUsbDevice(WaitForNode):
    """The board as libusb sees it."""

    name = "wait-usb-device"
    summary = "wait for the USB device"
    description = "wait until the board is on the USB bus"

    def look(self, dev: Path) -> Path | None:
        return find_bus(dev, identity(self.device))

    def wanted(self) -> str:
        return f"USB device {identity(self.device)}"


def fresh_start(site: Site, waiting: Action) -> Iterable[Action]:
    """What stands before a probe is used: a board with a power switch is reset, and comes back."""
    if site.device.command("hard_reset"):
        yield ResetDevice()
        yield waiting


def needs_board_id(action: Action, device: Device) -> Iterable[Problem]:
    """A board that can only be told from its like by its serial number must have one."""
    if not identity(device).board_id:
        yield action.problem(
            f"{action.name}: the device file has no board_id",
            hint="it is the USB serial number of the board or of its debug probe",
        )


def _seconds(value: Any) -> float:
    good = isinstance(value, int | float) and not isinstance(value, bool)
    return max(0.0, float(value)) if good else 0.0
