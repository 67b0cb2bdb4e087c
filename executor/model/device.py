# SPDX-License-Identifier: Apache-2.0
"""One device as the runner receives it: the rendered map with typed accessors (spec: device-config)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from executor.errors import ConfigurationError
from executor.model.constants import DEFAULTS
from executor.model.timeouts import DeviceTimeouts


class Missing:
    """The type of MISSING."""


MISSING = Missing()  # no default: a constant that is nowhere is a ConfigurationError


class Connection(msgspec.Struct, frozen=True, omit_defaults=True):
    """A console: the program that connects, and tags such as primary, telnet, ssh, shell."""

    name: str
    connect: str
    tags: list[str] = []

    @property
    def primary(self) -> bool:
        return "primary" in self.tags


class UserCommand(msgspec.Struct, frozen=True, omit_defaults=True):
    """A command of the admin that jobs may call by name; `undo` runs at cleanup when `do` has run."""

    do: list[str]
    undo: list[str] = []


class Device(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A device file after normalisation. Method options are plain data; a method without options has {}."""

    hostname: str = ""
    device_type: str = ""
    deploy_methods: dict[str, Any] = {}
    deploy_parameters: dict[str, Any] = {}
    deploy_connections: dict[str, Any] = {}
    boot_methods: dict[str, Any] = {}
    boot_connections: dict[str, Any] = {}
    test_methods: dict[str, Any] = {}
    commands: dict[str, list[str]] = {}  # power_on, hard_reset, … as lists of command lines
    connections: dict[str, Connection] = {}  # a plain `connect` is the one called "main", tagged primary
    users: dict[str, UserCommand] = {}
    has_commands: bool = False  # whether the file has a `commands` section at all
    constants: dict[str, Any] = {}
    parameters: dict[str, Any] = {}
    timeouts: DeviceTimeouts = msgspec.field(default_factory=DeviceTimeouts)
    available_architectures: list[str] = []
    character_delays: dict[str, int] = {}
    environment: dict[str, Any] = {}
    device_info: list[dict[str, Any]] = []
    static_info: list[dict[str, Any]] = []
    storage_info: list[dict[str, Any]] = []
    raw: dict[str, Any] = {}  # the whole file

    @property
    def media(self) -> dict[str, Any]:
        """`parameters.media`: kind (usb, sata, sd) → label → description."""
        media = self.parameters.get("media")
        return media if isinstance(media, dict) else {}

    @property
    def root_part(self) -> int | None:
        """[S] Partition (number in its table) that gets the overlay where the job names none."""
        image = self.deploy_methods.get("image")
        options = image.get("parameters") if isinstance(image, dict) else None
        for group in (options, self.raw):
            value = group.get("root_part") if isinstance(group, dict) else None
            if isinstance(value, int) and not isinstance(value, bool) and value > 0:
                return value
        return None

    @property
    def primary(self) -> Connection | None:
        """The console that boots use: the one tagged primary, or the only one."""
        tagged = [c for c in self.connections.values() if c.primary]
        if tagged:
            return tagged[0]
        return next(iter(self.connections.values())) if len(self.connections) == 1 else None

    def command(self, name: str) -> list[str]:
        """Command lines of `commands.<name>`, [] when the device has none."""
        return list(self.commands.get(name, ()))

    def character_delay(self, section: str) -> int:
        """Milliseconds between characters that are sent in a section (deploy, boot, test)."""
        return self.character_delays.get(section, 0)

    def constant(
        self,
        name: str,
        *,
        prefix: str | None = None,
        default: Any = MISSING,
        context: Mapping[str, Any] | None = None,
    ) -> Any:
        """A constant: job context, device file, built-in default, `default` (spec: device-config §5).

        A value of null counts as absent. Raises ConfigurationError when it is nowhere and has no `default`.
        """
        if context and context.get(name) is not None:
            return context[name]
        group = self.constants.get(prefix) if prefix else self.constants
        if isinstance(group, Mapping) and group.get(name) is not None:
            return group[name]
        built_in = DEFAULTS.get(prefix or "", {})
        if built_in.get(name) is not None:
            return built_in[name]
        if isinstance(default, Missing):
            where = f"constants.{prefix}.{name}" if prefix else f"constants.{name}"
            raise ConfigurationError(f"the device file has no {where}", "add it to the device type")
        return default
