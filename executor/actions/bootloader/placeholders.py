# SPDX-License-Identifier: Apache-2.0
"""Placeholders of command lines become values; a pure function (spec: job-format §6, Substitution).

A line with a known placeholder that has no value is left out as a whole: that is how one command set of a
device serves jobs with and without a ramdisk. What is not known, such as `${filesize}` or `{X}`, stays.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

KNOWN = frozenset(
    {
        "SERVER_IP",
        "LAVA_DISPATCHER_IP",
        "LAVA_JOB_ID",
        "JOB_ID",
        "KERNEL",
        "DTB",
        "TEE",
        "PRESEED_CONFIG",
        "PRESEED_LOCAL",
        "RAMDISK",
        "INITRD",
        "KERNEL_ADDR",
        "RAMDISK_ADDR",
        "DTB_ADDR",
        "TEE_ADDR",
        "BOOTX",
        "DTB_BASE_ADDR",
        "DTB_BASE_RESIZE",
        "DTBO_ADDR",
        "NFSROOTFS",
        "NFS_SERVER_IP",
        "NBDSERVERIP",
        "NBDSERVERPORT",
        "ROOT",
        "ROOT_PART",
        "LAVA_MAC",
        "EXTRA_FILES_DIR",
        "DEPTHCHARGE_KERNEL",
        "DEPTHCHARGE_RAMDISK",
        "CMDLINE",
        "TEST_MENU_NAME",
    }
)
APPLY_DTBO = "{APPLY_DTBO_COMMANDS}"
_PLACEHOLDER = re.compile(r"(?<!\$)\{([A-Z][A-Z0-9_]*)\}")
_NUMBERED = re.compile(r"DTBO\d+\Z")


@dataclass(frozen=True)
class Filled:
    """`lines` are complete; `left_out` holds the others with the placeholders that have no value."""

    lines: list[str]
    left_out: list[tuple[str, list[str]]] = field(default_factory=list)


def fill(
    lines: Iterable[str],
    values: Mapping[str, str],
    *,
    overlays: Sequence[str] = (),
    apply_overlay: Sequence[str] = (),
) -> Filled:
    """`values`: name without braces → text. `overlays`: device-tree overlays at the TFTP server; the line
    that stands for their commands becomes `apply_overlay` once for each of them.
    """
    filled = Filled([])
    for line in lines:
        if APPLY_DTBO not in line:
            _fill_line(line, values, filled)
            continue
        for overlay in overlays:
            for command in apply_overlay:
                _fill_line(command, {**values, "DTBO": overlay}, filled)
    return filled


def _fill_line(line: str, values: Mapping[str, str], filled: Filled) -> None:
    names = {name for name in _PLACEHOLDER.findall(line) if name in values or _is_known(name)}
    missing = sorted(name for name in names if name not in values)
    if missing:
        filled.left_out.append((line, missing))
    else:
        filled.lines.append(_PLACEHOLDER.sub(lambda found: _value(found, values), line))


def _is_known(name: str) -> bool:
    return name in KNOWN or _NUMBERED.match(name) is not None


def _value(found: re.Match[str], values: Mapping[str, str]) -> str:
    name = found[1]
    value = values.get(name, found[0])
    if name == "ROOT_PART" and found.string[: found.start()].endswith(":"):
        return value.rsplit(":", 1)[-1]  # the device's number stands in the line already
    return value
