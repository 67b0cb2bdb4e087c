# SPDX-License-Identifier: Apache-2.0
"""A rendered device file becomes a `Device`: old and new forms alike, faults as data (spec: device-config).

Whoever wrote the file is the lab admin, so every fault is of type Configuration.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from executor.model.device import Connection, Device, UserCommand
from executor.model.problem import Path, Problem
from executor.model.timeouts import DeviceTimeouts
from executor.schema.devicekeys import device_key_problems
from executor.schema.loader import Document, load_yaml
from executor.schema.words import shown

COMMANDS = (
    "power_on",
    "power_off",
    "hard_reset",
    "soft_reboot",
    "pre_power_command",
    "pre_os_command",
    "recovery_mode",
    "recovery_exit",
)
_ALIASES = {"soft_reset": "soft_reboot"}
_OWN = {"connect", "connections", "must_use_connection", "users"}


@dataclass
class ParsedDevice:
    """`device` is None when nothing sensible can be made of the file."""

    device: Device | None
    problems: list[Problem] = field(default_factory=list)
    document: Document | None = None

    @property
    def errors(self) -> list[Problem]:
        return [p for p in self.problems if p.severity == "error"]


def parse_device(source: str | Mapping[str, Any], filename: str = "device.yaml") -> ParsedDevice:
    """Read a device file, or a map that was read already. Never raises for bad input."""
    document: Document | None = None
    problems: list[Problem] = []
    data: Any = source
    if isinstance(source, str):
        document = load_yaml(source, filename)
        data = document.data
        for problem in document.problems:
            # Templates write keys twice often enough; the last one holds, as it always did.
            severity = problem.severity if document.failed else "warning"
            problems.append(msgspec.structs.replace(problem, error_type="Configuration", severity=severity))
        if document.failed:
            return ParsedDevice(None, problems, document)
    reader = _Reader()
    device: Device | None = None
    if data is None or data == {}:
        reader.add("the device file is empty", ())
    elif not isinstance(data, Mapping):
        reader.add(f"the device file is {shown(data)}", (), "a map")
    else:
        device = reader.device(data)
    found = reader.problems
    if document is not None:
        found = [document.locate(p) for p in found]
    else:
        found = [msgspec.structs.replace(p, file=filename) for p in found]
    return ParsedDevice(device, sorted(problems + found, key=lambda p: (p.line, p.column)), document)


class _Reader:
    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def add(self, message: str, path: Path, expected: str = "", severity: str = "error") -> None:
        self.problems.append(Problem(message, "Configuration", path, expected, severity=severity))

    def device(self, given: Mapping[Any, Any]) -> Device:
        found = list(device_key_problems(given))
        self.problems += found
        data = _without(given, [p.path for p in found])
        actions = self._map(data, "actions", ())
        if "actions" not in data:
            self.add("actions is missing", (), "actions: what the device supports")
        deploy = self._section(actions, "deploy", "actions" in data)
        boot = self._section(actions, "boot", "actions" in data)
        test = self._map(actions, "test", ("actions",))
        timeouts, faults = DeviceTimeouts.read(data.get("timeouts"))
        self.problems += faults
        device = Device(
            hostname=self._text(data, "hostname"),
            device_type=self._text(data, "device_type") or self._text(data, "devicetype"),
            deploy_methods=self._methods(deploy, "methods", ("actions", "deploy")),
            deploy_parameters=self._map(deploy, "parameters", ("actions", "deploy")),
            deploy_connections=self._methods(deploy, "connections", ("actions", "deploy")),
            boot_methods=self._methods(boot, "methods", ("actions", "boot")),
            boot_connections=self._methods(boot, "connections", ("actions", "boot")),
            test_methods=self._methods(test, "methods", ("actions", "test")),
            constants=self._map(data, "constants", ()),
            parameters=self._map(data, "parameters", ()),
            timeouts=timeouts,
            available_architectures=self._words(data, "available_architectures"),
            character_delays=self._delays(data),
            environment=self._map(data, "environment", ()),
            device_info=self._maps(data, "device_info"),
            static_info=self._maps(data, "static_info"),
            storage_info=self._maps(data, "storage_info"),
            raw={str(k): v for k, v in data.items()},
        )
        self._commands(device, data)
        self._old_boot_messages(device)
        for name in ("qemu", "qemu-nfs", "qemu-iso"):
            if isinstance(device.boot_methods.get(name), dict):
                options = _qemu(device.boot_methods[name])
                self._qemu_words(options["parameters"], ("actions", "boot", "methods", name, "parameters"))
                device.boot_methods[name] = options
        return device

    def _qemu_words(self, parameters: dict[str, Any], path: Path) -> None:
        for key in ("options", "extra"):
            value = parameters.get(key)
            if isinstance(value, str):
                parameters[key] = [value]
            elif value is not None and not (
                isinstance(value, list) and all(isinstance(v, (str, int, float)) for v in value)
            ):
                self.add(f"{key} is {shown(value)}", (*path, key), "a list of arguments")
                del parameters[key]

    def _section(self, actions: dict[str, Any], name: str, expected: bool) -> dict[str, Any]:
        section = self._map(actions, name, ("actions",))
        if name not in actions:
            if expected:
                self.add(f"{name} is missing", ("actions",), f"{name}: methods and connections")
        elif section.get("methods") is None:
            self.add("methods is missing", ("actions", name), "methods: a map of what is supported")
        return section

    def _map(self, data: Mapping[Any, Any], key: str, path: Path) -> dict[str, Any]:
        value = data.get(key)
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            self.add(f"{key} is {shown(value)}", (*path, key), "a map")
            return {}
        return {str(k): v for k, v in value.items()}

    def _methods(self, data: dict[str, Any], key: str, path: Path) -> dict[str, Any]:
        """A map of options, or the seeds' list of names and one-key maps; no options become {}."""
        value = data.get(key)
        entries: list[tuple[Any, Any]] = []
        if isinstance(value, Mapping):
            entries = list(value.items())
        elif isinstance(value, list):
            for number, item in enumerate(value):
                if isinstance(item, Mapping):
                    entries += item.items()
                elif isinstance(item, str):
                    entries.append((item, None))
                else:
                    self.add(f"{key} has {shown(item)}", (*path, key, number), "a name or a map")
        elif value is not None:
            self.add(f"{key} is {shown(value)}", (*path, key), "a map or a list")
        out = {}
        for name, options in entries:
            if options is not None and not isinstance(options, (Mapping, list)):
                wanted = "a map of options, or nothing"
                self.add(f"{name} is {shown(options)}", (*path, key, str(name)), wanted, severity="warning")
            out[str(name)] = options if isinstance(options, (Mapping, list)) else {}
        return out

    def _text(self, data: Mapping[Any, Any], key: str) -> str:
        value = data.get(key)
        if value is None or isinstance(value, (str, int, float)) and not isinstance(value, bool):
            return "" if value is None else str(value)
        self.add(f"{key} is {shown(value)}", (key,), "text")
        return ""

    def _words(self, data: Mapping[Any, Any], key: str) -> list[str]:
        value = data.get(key)
        if value is None:
            return []
        if isinstance(value, list) and all(isinstance(v, (str, int)) for v in value):
            return [str(v) for v in value]
        if isinstance(value, str):
            return [value]
        self.add(f"{key} is {shown(value)}", (key,), "a list of names")
        return []

    def _maps(self, data: Mapping[Any, Any], key: str) -> list[dict[str, Any]]:
        value = data.get(key)
        if value is None:
            return []
        if isinstance(value, Mapping):
            value = [value]
        if not isinstance(value, list):
            self.add(f"{key} is {shown(value)}", (key,), "a list of maps")
            return []
        out = []
        for number, item in enumerate(value):
            if isinstance(item, Mapping):
                out.append({str(k): v for k, v in item.items()})
            else:
                self.add(f"{key} has {shown(item)}", (key, number), "a map")
        return out

    def _delays(self, data: Mapping[Any, Any]) -> dict[str, int]:
        out = {}
        for section, value in self._map(data, "character_delays", ()).items():
            if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 60_000:
                out[section] = value
            elif value is not None:
                wanted = "milliseconds between characters, a whole number"
                self.add(f"{section} is {shown(value)}", ("character_delays", section), wanted)
        return out

    def _commands(self, device: Device, data: Mapping[Any, Any]) -> None:
        commands = self._map(data, "commands", ())
        device.has_commands = data.get("commands") is not None
        for key, value in commands.items():
            if key in _OWN:
                continue
            name = _ALIASES.get(key, key)
            lines = self._lines(value, ("commands", key), strict=name in COMMANDS)
            if lines and not (key in _ALIASES and name in commands):
                device.commands[name] = lines
        self._connections(device, commands)
        for name, value in self._map(commands, "users", ("commands",)).items():
            self._user(device, name, value)

    def _lines(self, value: object, path: Path, *, strict: bool = True) -> list[str]:
        """Command lines from text or a list of texts. Empty ones are none: templates write them."""
        if isinstance(value, str):
            return [value] if value.strip() else []
        if isinstance(value, list) and all(isinstance(v, str) for v in value):
            return [v for v in value if v.strip()]
        if value is not None and strict:
            self.add(f"{path[-1]} is {shown(value)}", path, "a command or a list of commands")
        return []

    def _connections(self, device: Device, commands: dict[str, Any]) -> None:
        path: Path = ("commands", "connections")
        plain = commands.get("connect")
        for name, value in self._map(commands, "connections", ("commands",)).items():
            if not isinstance(value, Mapping) or not isinstance(value.get("connect"), str):
                self.add(f"the connection {name} has no command", (*path, name), "connect: a command")
                continue
            tags = value.get("tags")
            if tags is not None and not (isinstance(tags, list) and all(isinstance(t, str) for t in tags)):
                self.add(f"tags is {shown(tags)}", (*path, name, "tags"), "a list of names")
                tags = None
            device.connections[name] = Connection(name, value["connect"], list(tags or []))
        primary = [c.name for c in device.connections.values() if c.primary]
        if len(primary) > 1:
            self.add(f"more than one connection is primary: {', '.join(primary)}", path, "one of them")
        if plain is None:
            return
        if not isinstance(plain, str):
            self.add(f"connect is {shown(plain)}", ("commands", "connect"), "a command")
        elif commands.get("must_use_connection"):
            self.add(
                "connect is not allowed with must_use_connection", ("commands", "connect"), "connections"
            )
        elif device.connections:
            self.add("connect and connections exclude each other", ("commands", "connect"), "one of them")
        elif plain.strip():
            device.connections["main"] = Connection("main", plain, ["primary"])

    def _user(self, device: Device, name: str, value: object) -> None:
        path: Path = ("commands", "users", name)
        if not isinstance(value, Mapping):
            self.add(f"the command {name} is {shown(value)}", path, "a map with do and undo")
            return
        lines: dict[str, list[str]] = {}
        for key in ("do", "undo"):
            if key in value:
                lines[key] = self._lines(value[key], (*path, key))
                if not lines[key]:
                    self.add(f"{key} is empty", (*path, key), "a command")
        if "do" not in value:
            self.add("do is missing", path, "do: a command")
        if lines.get("do"):
            device.users[name] = UserCommand(lines["do"], lines.get("undo", []))

    def _old_boot_messages(self, device: Device) -> None:
        for name, options in device.boot_methods.items():
            parameters = options.get("parameters") if isinstance(options, Mapping) else None
            if name == "uefi-menu" or not isinstance(parameters, Mapping) or "boot_message" not in parameters:
                continue
            if "kernel-start-message" in device.constants:
                continue
            device.constants["kernel-start-message"] = parameters["boot_message"]
            path = ("actions", "boot", "methods", name, "parameters", "boot_message")
            self.add("boot_message is old", path, "constants.kernel-start-message", severity="warning")


def _without(data: Mapping[Any, Any], paths: list[Path]) -> dict[Any, Any]:
    """A copy in which what stands at `paths` is gone: it has been told, and nobody should trip over it."""
    out = {k: _without(v, []) if isinstance(v, Mapping) else v for k, v in data.items()}
    for path in paths:
        inner: Any = out
        for step in path[:-1]:
            inner = inner.get(step) if isinstance(inner, dict) else None
        if isinstance(inner, dict):
            inner.pop(path[-1], None)
    return out


def _qemu(options: dict[str, Any]) -> dict[str, Any]:
    """Old forms of the qemu method as today's `parameters: {command, options}` (spec: device-config §2)."""
    given = options.get("parameters")
    parameters: dict[str, Any] = dict(given) if isinstance(given, Mapping) else {}
    for key in ("command", "qemu_options", "machine", "net", "overrides"):
        if key in options and key not in parameters:
            parameters[key] = options[key]
    command = parameters.get("command")
    if isinstance(command, Mapping):
        programs = {
            str(arch): str(value.get("qemu_binary")) if isinstance(value, Mapping) else str(value)
            for arch, value in command.items()
        }
        parameters["command"] = next(iter(programs.values())) if len(programs) == 1 else programs
    words = _strings(parameters.pop("qemu_options", None))
    machine = parameters.pop("machine", None)
    words += [f"-machine {machine}"] if isinstance(machine, str) else []
    words += _strings(parameters.pop("net", None))
    parameters.pop("overrides", None)  # named what the old template filled in; nothing to run
    if words:
        parameters["options"] = [*_strings(parameters.get("options")), *words]
    return {
        **{k: v for k, v in options.items() if k not in ("command", "qemu_options", "machine", "net")},
        "parameters": parameters,
    }


def _strings(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [str(v) for v in value if isinstance(v, (str, int))] if isinstance(value, list) else []
