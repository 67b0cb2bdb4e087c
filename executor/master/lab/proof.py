# SPDX-License-Identifier: Apache-2.0
"""Nothing is believed: files that were made are read and rendered, and must be the devices that went in."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from executor.errors import LavaExecError
from executor.master.configs import DeviceKeys, TypeKeys, load_configs
from executor.master.lab.difference import same
from executor.master.lab.probing import Form
from executor.master.render import render

CONTROL = {*DeviceKeys.__struct_fields__, *TypeKeys.__struct_fields__}
NAMES = ("hostname", "device_type", "devicetype")


def unfaithful(
    files: dict[str, str], devices: Iterable[tuple[str, Form]], *, together: bool = False
) -> dict[str, str]:
    """Devices that are not rendered as they came, with what is wrong. `together`: keys at once."""
    wrong: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        for path, text in files.items():
            (Path(folder) / path).parent.mkdir(exist_ok=True)
            (Path(folder) / path).write_text(text, encoding="utf-8")
        configs = load_configs(Path(folder))
        for name, form in devices:
            loaded = configs.devices.get(name)
            if loaded is None:
                continue
            for context, wanted in form.together if together else form.seen:
                try:
                    made = render(loaded, context)
                except LavaExecError as error:
                    wrong[name] = error.message.replace(folder, "")
                    break
                if not same(_bare(made), _bare(wanted)):
                    place = _first_difference(_bare(wanted), _bare(made))
                    wrong[name] = f"with the context {context}, {place}" if context else place
                    break
    return wrong


def _bare(data: dict[Any, Any]) -> dict[Any, Any]:
    leave = {*CONTROL, *NAMES, "container"}
    return {key: value for key, value in data.items() if key not in leave}


def _first_difference(wanted: Any, made: Any, path: str = "") -> str:
    if isinstance(wanted, dict) and isinstance(made, dict):
        for key in [*wanted, *made]:
            here = f"{path}.{key}" if path else str(key)
            if key not in wanted or key not in made:
                return f"{here} {'is missing' if key in wanted else 'is too many'}"
            if not same(wanted[key], made[key]):
                return _first_difference(wanted[key], made[key], here)
    return f"{path} is {str(made)[:60]!r}, not {str(wanted)[:60]!r}"
