# SPDX-License-Identifier: Apache-2.0
"""What a QEMU command line asks for, and how it is fitted to the accelerator that this worker has."""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from executor.actions.drives import option_values

# What the program emulates, by the end of its name; kvm works only where that is the host's own.
_HOST_PROGRAMS = {"x86_64": ("x86_64", "i386"), "aarch64": ("aarch64",)}
_MEMORY = re.compile(r"(?:size=)?(\d+(?:\.\d+)?)([bkmgt]?)", re.IGNORECASE)
_UNITS_MIB = {"b": 1 / (1 << 20), "k": 1 / 1024, "": 1, "m": 1, "g": 1024, "t": 1 << 20}
_DEFAULT_MIB = 128  # QEMU's own


@dataclass(frozen=True)
class Accelerator:
    """kvm or tcg, and why."""

    kvm: bool
    reason: str = ""
    host: str = ""  # the machine, when kvm runs the guest

    def __str__(self) -> str:
        name = "kvm" if self.kvm else "tcg"
        return f"{name} ({self.reason})" if self.reason else name


def accelerator(
    program: str, context: Mapping[str, object], worker: str, reason: str, host: str = ""
) -> Accelerator:
    """What runs a guest of `program` where a probe has found `worker` (kvm or tcg), with `reason`."""
    host = host or platform.machine()
    emulated = PurePath(program).name.rsplit("-", 1)[-1]
    if context.get("no_kvm"):
        return Accelerator(False, "the job's context says no_kvm")
    if emulated not in _HOST_PROGRAMS.get(host, ()):
        return Accelerator(False, f"the guest is {emulated}, this host is {host}")
    return Accelerator(True, reason, host) if worker == "kvm" else Accelerator(False, reason)


def accelerate(words: Sequence[str], choice: Accelerator) -> list[str]:
    """The command line for the accelerator: QEMU would end where it is told `kvm` and cannot have it."""
    words = _with_kvm(words, choice) if choice.kvm else _without_kvm(words)
    options = {word.lstrip("-") for word in words if word.startswith("-")}
    machines = option_values(words, "machine", "M")
    if "accel" in options or "enable-kvm" in options or any("accel=" in value for value in machines):
        return words
    return [*words, "-accel", "kvm" if choice.kvm else "tcg"]


def _without_kvm(words: Sequence[str]) -> list[str]:
    """No kvm, and nothing that only kvm can give."""
    out: list[str] = []
    for word in words:
        option = out[-1].lstrip("-") if out and out[-1].startswith("-") else ""
        if word.lstrip("-") == "enable-kvm" and word.startswith("-"):
            continue
        if option == "accel" and re.match(r"(accel=)?kvm\b", word):
            out.append("tcg")
        elif option == "cpu" and word.split(",")[0] == "host":
            out.append("max")
        elif option in ("machine", "M"):
            plain = re.sub(r"(^|,)accel=[^,]*", r"\1accel=tcg", word)
            out.append(re.sub(r",kernel[-_]irqchip=[^,]*", "", plain))
        else:
            out.append(word)
    return out


def _with_kvm(words: Sequence[str], choice: Accelerator) -> list[str]:
    """On ARM a guest cannot have another CPU or interrupt controller than the host."""
    if choice.host != "aarch64":
        return list(words)
    out: list[str] = []
    for word in words:
        option = out[-1].lstrip("-") if out and out[-1].startswith("-") else ""
        if option == "cpu" and word.split(",")[0] not in ("host", "max"):
            out.append("host")
        elif option in ("machine", "M") and word.split(",")[0] == "virt" and "gic-version" not in word:
            out.append(f"{word},gic-version=max")
        else:
            out.append(word)
    return out


def memory_mib(words: Sequence[str]) -> int:
    """What the last `-m` asks for, in MiB, rounded up."""
    asked = float(_DEFAULT_MIB)
    for value in option_values(list(words), "m"):
        if match := _MEMORY.match(value):
            asked = float(match.group(1)) * _UNITS_MIB[match.group(2).lower()]
    return max(1, int(-(-asked // 1)))


def uses_network(words: Sequence[str]) -> bool:
    """Does a guest's card lead out of the container? Without a word on it QEMU gives a guest such a card."""
    values = option_values(list(words), "net", "netdev", "nic")
    if not values:
        return not any(word.lstrip("-") == "nodefaults" for word in words)
    return any(value.split(",")[0].removeprefix("type=") in ("user", "passt") for value in values)
