# SPDX-License-Identifier: Apache-2.0
"""The page of the device files: keys, commands, and the constants that hold where a file says nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from executor.cli.reference.tables import Kind, cell, code, fields, notes_of, section, title_of, words
from executor.model.constants import DEFAULTS
from executor.model.device import Connection, Device, UserCommand
from executor.model.timeouts import DeviceTimeouts
from executor.schema.device import COMMANDS

_HEAD = """\
# Device files

What a device is, as the runner gets it: a rendered file of the lab, or a device of `device-configs/` with
its type ([../howto/device-configs.md](../howto/device-configs.md)). Old forms are read as well.

"""


def page() -> str:
    """The whole page."""
    return "\n".join(_page())


def _page() -> Iterator[str]:
    own: dict[Kind, str] = {Connection: "#connection", UserCommand: "#usercommand"}
    known = own | {DeviceTimeouts: "timeouts.md"}
    yield _HEAD
    yield "| key of the file | value | meaning |\n|---|---|---|"
    for field in fields(Device):
        place = title_of(field)
        if place:
            value = words(field.type, known, [])
            yield f"| `{place}` | {value} | {cell('; '.join(notes_of(field)))} |"
    yield ""
    for kind in own:
        yield from section(kind, known)
    yield "## Commands\n"
    yield (
        "Each is a command line or a list of them, run on the worker in the job's container: "
        + ", ".join(map(code, COMMANDS))
        + ". Commands of the lab below `users` are called by `command` blocks.\n"
    )
    yield "## Constants\n"
    yield "A constant is looked for in the job's `context`, in `constants` of the device file, then here.\n"
    yield "| constant | built in |\n|---|---|"
    for group, constants in DEFAULTS.items():
        for name, value in constants.items():
            yield f"| `{f'{group}.' if group else ''}{name}` | {_shown(value)} |"


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(code, value))
    return cell(code(str(value).lower() if isinstance(value, bool) else repr(value)))
