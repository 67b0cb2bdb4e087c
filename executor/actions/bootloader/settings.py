# SPDX-License-Identifier: Apache-2.0
"""What the device file says about one of its bootloaders (spec: device-config §2, §5)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from executor.console.expect import check_patterns

if TYPE_CHECKING:
    from executor.model.device import Device
    from executor.model.job import Job

CTRL_U = "\x15"  # takes the typed line away wherever lines are edited as in Emacs
ESCAPE = "\x1b"
_MAC = re.compile(r"(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}\Z")


@dataclass(frozen=True)
class Bootloader:
    """A bootloader's dialogue. Prompts and messages are regular expressions; "" where there is none."""

    method: str
    options: Mapping[str, Any] = field(default_factory=dict)  # of the method: parameters and command sets
    prompt: str = ""
    interrupt_prompt: str = ""
    interrupt: str = ""  # characters that stop the countdown
    interrupt_controls: tuple[str, ...] = ()  # letters of control characters that are sent instead
    interrupt_newline: bool = True
    needs_interrupt: bool = True
    final_message: str = ""
    error_messages: tuple[str, ...] = ()
    erase: str = CTRL_U

    @property
    def parameters(self) -> Mapping[str, Any]:
        return _map(self.options.get("parameters"))

    def text(self, name: str) -> str:
        """A parameter of the method as text, "" when it is not there."""
        value = self.parameters.get(name)
        return "" if value is None else str(value)

    def lines(self, name: str) -> list[str]:
        """A parameter that is a list of lines, or a single one."""
        return [str(line) for line in _list(self.parameters.get(name))]

    def flag(self, name: str, *, default: bool = False) -> bool:
        """A parameter that is yes or no; templates write it as text now and then."""
        value = self.parameters.get(name)
        return default if value is None else value is True or str(value).lower() in ("true", "yes", "1")

    def faults(self) -> list[str]:
        """What is wrong with it, one sentence each."""
        if not self.prompt:
            return [f"actions.boot.methods.{self.method}.parameters has no bootloader_prompt"]
        patterns = [self.prompt, self.interrupt_prompt, self.final_message, *self.error_messages]
        found = [f"{self.method}: {text}" for text in check_patterns(p for p in patterns if p)]
        mac = self.text("lava_mac")
        if mac and not _MAC.match(mac):
            found.append(f"{self.method}: lava_mac {mac!r} is no MAC address")
        if any(len(letter) != 1 for letter in self.interrupt_controls):
            found.append(f"{self.method}: interrupt_ctrl_list is a list of single letters")
        return found


def bootloader(
    device: Device, method: str, job: Job, overrides: Mapping[str, Any] | None = None
) -> Bootloader:
    """`method` of the device: its parameters, then the constants. `overrides`: `parameters` of the block."""
    options = _map(device.boot_methods.get(method))
    given = _map(options.get("parameters"))

    def constant(name: str, default: Any = "") -> Any:
        return device.constant(name, prefix=method, default=default, context=job.context)

    def said(*names: str) -> Any:
        return next((given[name] for name in names if given.get(name) is not None), None)

    interrupt = said("interrupt_char", "interrupt_character")
    controls = said("interrupt_ctrl_list") or constant("interrupt_ctrl_list", [])
    newline = said("interrupt_newline")
    needed = said("needs_interrupt")
    final = (overrides or {}).get("bootloader-final-message")
    return Bootloader(
        method=method,
        options=options,
        prompt=str(said("bootloader_prompt") or ""),
        interrupt_prompt=str(said("interrupt_prompt") or constant("interrupt-prompt") or ""),
        interrupt=str(constant("interrupt-character") if interrupt is None else interrupt),
        interrupt_controls=tuple(str(letter) for letter in _list(controls)),
        interrupt_newline=bool(constant("interrupt-newline", True) if newline is None else newline),
        needs_interrupt=needed is None or str(needed).lower() not in ("false", "no", "0"),
        final_message=str((constant("final-message") if final is None else final) or ""),
        error_messages=tuple(str(text) for text in _list(constant("error-messages", []))),
    )


def command_set(options: Mapping[str, Any], name: str) -> list[Any] | None:
    """The set `name` of a method, None when it has no such set (spec: device-config §2)."""
    found = options.get(name)
    if isinstance(found, Mapping):
        found = found.get("commands")
    return list(found) if isinstance(found, list) and name != "parameters" else None


def set_names(options: Mapping[str, Any]) -> list[str]:
    """The names of a method's command sets."""
    return sorted(str(name) for name in options if command_set(options, str(name)) is not None)


def _map(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else [] if value in (None, "") else [value]
