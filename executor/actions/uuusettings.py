# SPDX-License-Identifier: Apache-2.0
"""What a device file says about NXP's uuu and bcu (spec: device-config §2)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from executor.actions.commands import words as split
from executor.actions.hosttool import lines_of, method_options
from executor.errors import ConfigurationError, JobError

if TYPE_CHECKING:
    from executor.model.device import Device

_BOARD_ID = re.compile(r"\d+-\d+(\.\d+)*\Z")  # of a USB device, as the kernel names it


@dataclass(frozen=True)
class UuuSettings:
    """`usb_paths` are those of the board's download port, `paths_command` prints them instead; the same for
    the board's control port.
    """

    usb_paths: tuple[str, ...]
    paths_command: tuple[str, ...]
    corrupt: tuple[str, ...]  # U-Boot's commands that keep the board from booting by itself
    power_off_first: bool
    board: str  # as bcu calls it
    control_id: str
    control_command: tuple[str, ...]
    bcu_cleanup: tuple[str, ...]
    image: str  # of a container; not used

    def check(self, *, uuu: bool, bcu: bool) -> None:
        """Is there all that these kinds of commands need? Raises ConfigurationError, JobError."""
        if uuu and not (self.usb_paths or self.paths_command):
            raise ConfigurationError(
                "the device file has neither usb_otg_path nor usb_otg_path_command for uuu",
                "`uuu -lsusb` shows the path of a board in download mode, such as 1:14",
            )
        if not bcu:
            return
        if not self.board:
            raise JobError(
                "the device file has no bcu_board_name, but the job has bcu commands",
                "`bcu lsboard` shows the names",
            )
        if not self.control_command and not _BOARD_ID.match(self.control_id):
            raise JobError(
                f"bcu_board_id {self.control_id!r} of the device file is no path such as 2-1.3",
                "`bcu lsftdi` shows them; bcu_board_id_command may print it instead",
            )


def uuu_settings(device: Device) -> UuuSettings:
    """The options of boot method `uuu`, those that are not there empty."""
    options = method_options(device, "boot", "uuu", "options")

    def words(key: str) -> tuple[str, ...]:
        return tuple(lines_of(options.get(key)))

    def text(key: str) -> str:
        value: Any = options.get(key)
        return "" if value is None else str(value)

    def argv(key: str) -> tuple[str, ...]:
        value: Any = options.get(key)
        return tuple(split(value, key)) if isinstance(value, str) and value.strip() else words(key)

    return UuuSettings(
        usb_paths=words("usb_otg_path"),
        paths_command=argv("usb_otg_path_command"),
        corrupt=words("corrupt_boot_media_command"),
        power_off_first=options.get("power_off_before_corrupt_boot_media") is True,
        board=text("bcu_board_name"),
        control_id=text("bcu_board_id"),
        control_command=argv("bcu_board_id_command"),
        bcu_cleanup=words("additional_bcu_cleanup_commands"),
        image=text("docker_image"),
    )
