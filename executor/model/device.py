# SPDX-License-Identifier: Apache-2.0
"""One device as the runner receives it: the rendered map with typed accessors (spec: device-config)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

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
    """A device file after normalisation. Method options are plain data; a method without options has {}.

    `title` of a field is the place in the file that it comes from.
    """

    hostname: Annotated[str, Meta(title="hostname", description="the device's name")] = ""
    device_type: Annotated[
        str, Meta(title="device_type", description="what kind of device it is; jobs ask for it")
    ] = ""
    deploy_methods: Annotated[
        dict[str, Any],
        Meta(
            title="actions.deploy.methods",
            description="ways to deploy that the device has, with their options",
        ),
    ] = {}
    deploy_parameters: Annotated[
        dict[str, Any], Meta(title="actions.deploy.parameters", description="options of all deploy methods")
    ] = {}
    deploy_connections: Annotated[
        dict[str, Any],
        Meta(title="actions.deploy.connections", description="kinds of console while deploying"),
    ] = {}
    boot_methods: Annotated[
        dict[str, Any],
        Meta(
            title="actions.boot.methods", description="ways to boot that the device has, with their options"
        ),
    ] = {}
    boot_connections: Annotated[
        dict[str, Any], Meta(title="actions.boot.connections", description="kinds of console while booting")
    ] = {}
    test_methods: Annotated[
        dict[str, Any],
        Meta(title="actions.test.methods", description="ways to test that need something of the device"),
    ] = {}
    commands: Annotated[
        dict[str, list[str]], Meta(title="commands", description="how it is switched and reset: see below")
    ] = {}
    connections: Annotated[
        dict[str, Connection],
        Meta(
            title="commands.connections",
            description="its consoles; a plain `connect` is the one called main, tagged primary",
        ),
    ] = {}
    users: Annotated[
        dict[str, UserCommand],
        Meta(title="commands.users", description="commands of the lab that jobs may call by name"),
    ] = {}
    has_commands: bool = False  # whether the file has a `commands` section at all
    constants: Annotated[
        dict[str, Any],
        Meta(title="constants", description="prompts, messages and other fixed values: see below"),
    ] = {}
    parameters: Annotated[
        dict[str, Any],
        Meta(
            title="parameters",
            description="addresses, media and interfaces that commands of boot loaders use",
        ),
    ] = {}
    timeouts: Annotated[
        DeviceTimeouts,
        Meta(title="timeouts", description="limits of actions and connections, by action name"),
    ] = msgspec.field(default_factory=DeviceTimeouts)
    available_architectures: Annotated[
        list[str], Meta(title="available_architectures", description="of guests, for QEMU")
    ] = []
    character_delays: Annotated[
        dict[str, int],
        Meta(
            title="character_delays",
            description="milliseconds between characters sent, for deploy, boot, test",
        ),
    ] = {}
    environment: Annotated[
        dict[str, Any], Meta(title="environment", description="exported in the test shell")
    ] = {}
    device_info: Annotated[
        list[dict[str, Any]],
        Meta(title="device_info", description="USB devices that the job's container gets"),
    ] = []
    static_info: Annotated[
        list[dict[str, Any]], Meta(title="static_info", description="facts for tests, and for {KEY} in URLs")
    ] = []
    storage_info: Annotated[
        list[dict[str, Any]], Meta(title="storage_info", description="storage devices, for tests")
    ] = []
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
