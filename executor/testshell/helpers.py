# SPDX-License-Identifier: Apache-2.0
"""The helper scripts as they go onto one device: interpreter, distribution, values of the device file."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from functools import cache
from importlib.resources import files as package_files

from executor.errors import JobError
from executor.testshell.placed import OverlayInput

_FIRST_LINE = "#!/bin/sh\n"
# Which directory of helpers replaces generic ones, for an `os` (spec: job-format §5).
FAMILIES = {
    "apertis": "debian",
    "archlinux": "arch",
    "centos": "fedora",
    "centos_installer": "fedora",
    "debian": "debian",
    "debian_installer": "debian",
    "fedora": "fedora",
    "oe": "oe",
    "ubuntu": "debian",
}
_TARGET = {
    "LAVA_TARGET_IP": "target-ip",
    "LAVA_TARGET_MAC": "target-mac",
    "LAVA_PROBE_IP": "probe-ip",
    "LAVA_PROBE_CHANNEL": "probe-channel",
}


def helpers(given: OverlayInput) -> Iterator[tuple[str, bytes, int]]:
    """(name, content, mode) of everything in bin/, sorted. Raises JobError for an impossible interpreter."""
    if not given.sh.startswith("/") or "\n" in given.sh:
        raise JobError(f"lava_test_sh_cmd {given.sh!r} is not the path of a shell")
    texts = dict(_scripts("generic"))
    texts |= _scripts(FAMILIES.get(given.distro, ""))
    texts |= given.extra_helpers
    texts["lava-target-data"] = _target_data(given)
    for name, text in sorted(texts.items()):
        script = text.startswith(_FIRST_LINE)
        if script:
            text = f"#!{given.sh}\n{text.removeprefix(_FIRST_LINE)}"  # noqa: PLW2901
        yield name, text.encode(), 0o755 if script else 0o644


@cache
def _scripts(family: str) -> dict[str, str]:
    if not family:
        return {}
    directory = package_files("executor.testshell") / "device" / family
    return {
        entry.name: entry.read_text(encoding="utf-8")
        for entry in directory.iterdir()
        if entry.name.startswith("lava-")
    }


def _target_data(given: OverlayInput) -> str:
    values = {variable: given.target.get(key, "") for variable, key in _TARGET.items()}
    values["LAVA_TARGET_STORAGE"] = "\n".join(f"{method}\t{value}" for method, value in given.storage)
    lines = "".join(f"{variable}={shlex.quote(value)}\n" for variable, value in values.items())
    return f"{_FIRST_LINE}# What the device file says about the device.\n{lines}"
