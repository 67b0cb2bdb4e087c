# SPDX-License-Identifier: Apache-2.0
"""Types of the keys of a device file that methods read as they stand (spec: device-config §1, §4, §5).

Further keys are allowed: templates of labs write many.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from executor.model.constants import DEFAULTS
from executor.model.problem import Path, Problem
from executor.schema.check import check
from executor.schema.words import shown

Word = str | int | float | None
Switch = bool | int | str | None
Map = dict[str | int, Any] | None
Count = Annotated[int, Meta(ge=1)]


class Parameters(msgspec.Struct, kw_only=True):
    """`parameters`: load addresses, media, interfaces."""

    bootm: Map = None
    bootz: Map = None
    booti: Map = None
    zimage: Map = None
    uimage: Map = None
    image: Map = None
    text_offset: Word = None
    load_address: Word = None
    dtb_base_resize: Word = None
    interfaces: dict[str, Map] | None = None
    media: dict[str, dict[str, bool | dict[str | int, Any] | None] | None] | None = None
    allow_test_services: Switch = None


class DeviceKeys(msgspec.Struct, kw_only=True):
    """The top level."""

    parameters: Parameters | None = None
    adb_serial_number: Word = None
    fastboot_serial_number: Word = None
    fastboot_options: list[str] | None = None
    fastboot_auto_detection: Switch = None
    fastboot_via_uboot: Switch = None
    fastboot_sequence: list[str] | None = None
    flash_cmds_order: list[str] | None = None
    board_id: Word = None
    board_qdl_id: Word = None
    usb_vendor_id: Word = None
    usb_product_id: Word = None
    usb_sleep: Word = None
    usb_filesystem_label: Word = None
    usb_serial_driver: Word = None
    power_state: bool | str | None = None
    root_part: int | None = None


def device_key_problems(data: Mapping[Any, Any]) -> Iterator[Problem]:
    """What has another type than it should have."""
    plain = {key: value for key, value in data.items() if isinstance(key, str)}
    known = {key: plain[key] for key in DeviceKeys.__struct_fields__ if plain.get(key) is not None}
    for problem in check(DeviceKeys, known):
        yield msgspec.structs.replace(problem, error_type="Configuration")
    constants = plain.get("constants")
    if isinstance(constants, Mapping):
        yield from _constants(constants)


def _constants(data: Mapping[Any, Any]) -> Iterator[Problem]:
    """A constant has the type of its default; one without a value counts as absent."""
    for group, defaults in DEFAULTS.items():
        path: Path = ("constants", group) if group else ("constants",)
        own = data.get(group) if group else data
        if own is not None and not isinstance(own, Mapping):
            yield _problem(group, own, path, "a map")
            continue
        for name, default in defaults.items():
            value = own.get(name) if own is not None else None
            if value is not None and (wanted := _unlike(value, default)):
                yield _problem(name, value, (*path, name), wanted)
    retry = data.get("boot_retry")
    if retry is not None and (wanted := _unlike(retry, 1)):
        yield _problem("boot_retry", retry, ("constants", "boot_retry"), wanted)


def _unlike(value: Any, default: Any) -> str:
    """What is expected in place of `value`, "" when it is right."""
    if isinstance(default, bool):
        return "" if isinstance(value, bool) else "true or false"
    if isinstance(default, int):
        good = isinstance(value, int) and not isinstance(value, bool) and value >= 1
        return "" if good else "a whole number of at least 1"
    if isinstance(default, list):
        good = isinstance(value, list) and all(isinstance(item, str) for item in value)
        return "" if good else "a list of text"
    if isinstance(default, str) and default.isdecimal():
        return "" if str(value).isdecimal() else "a whole number"
    return "" if isinstance(value, (str, int, float)) and not isinstance(value, bool) else "text"


def _problem(name: str, value: Any, path: Path, wanted: str) -> Problem:
    return Problem(f"{name} is {shown(value)}", "Configuration", path, wanted)
