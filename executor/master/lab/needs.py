# SPDX-License-Identifier: Apache-2.0
"""What a device of a lab needs on its worker and of its jobs' containers, read off its configuration."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import msgspec

from executor.model.device import Device
from executor.schema.words import nearest

_LOCAL = re.compile(r"(localhost|127(?:\.\d{1,3}){3}|\[?::1\]?)(:\d+)?\Z")
_NODE = re.compile(r"/dev/[-\w./:@+]+")
_SERIAL = re.compile(r"/dev/(tty|serial)")
_SHELL = frozenset(";|&<>`$") | {"&&", "||"}
# Programs of the job image, and those that only wait or print.
_IN_IMAGE = frozenset(["telnet", "ssh", "sleep", "true", "false", "echo"])
# Names of methods in device files only: what `tmpfs` needs, and how U-Boot enters fastboot.
_DEVICE_METHODS = {"deploy": {"image", "u-boot"}}
_USB = ("board_id", "adb_serial_number", "fastboot_serial_number", "usb_vendor_id", "usb_filesystem_label")
_UNSET = (None, "", "0000000000", "0000")


class Need(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing to see to. `kind`: tool, network, serial, usb, storage, method or shell."""

    kind: str
    what: str
    where: str  # the key of the device file
    hint: str = ""


def needs(device: Device) -> list[Need]:
    """All of them, each once."""
    found = [*_commands(device), *_usb(device), *_storage(device), *_methods(device)]
    return list(dict.fromkeys(found))


def _lines(device: Device) -> Iterator[tuple[str, str]]:
    """(key, command line) of what runs on the worker; soft_reboot is typed at the device."""
    for name, connection in device.connections.items():
        key = "commands.connect" if name == "main" else f"commands.connections.{name}.connect"
        yield key, connection.connect
    for name, lines in device.commands.items():
        if name != "soft_reboot":
            yield from ((f"commands.{name}", line) for line in lines)
    for name, user in device.users.items():
        yield from ((f"commands.users.{name}.do", line) for line in user.do)
        yield from ((f"commands.users.{name}.undo", line) for line in user.undo)


def _commands(device: Device) -> Iterator[Need]:
    for key, line in _lines(device):
        try:
            words = shlex.split(line)
        except ValueError as error:
            yield Need("shell", line, key, f"the command cannot be taken apart: {error}")
            continue
        if not words:
            continue
        if _SHELL & set(words) or any(word.endswith(";") for word in words):
            hint = "commands run without a shell: make it a list of commands, or a script of your own"
            yield Need("shell", line, key, hint)
        program = words[0]
        if program.rpartition("/")[2] not in _IN_IMAGE or "/" in program:
            hint = "put it into a directory of tools on the worker and name that: `container: {tools: DIR}`"
            yield Need("tool", program, key, hint)
        if any(_LOCAL.search(word.rpartition("@")[2]) for word in words[1:]):
            hint = "a port of the worker itself is reached with `container: {network: host}` only"
            yield Need("network", line, key, hint)
        for node in _NODE.findall(line):
            kind = "serial" if _SERIAL.match(node) else "usb"
            yield Need(kind, node, key, f"give it to the job: `container: {{devices: [{kind}]}}`")


def _usb(device: Device) -> Iterator[Need]:
    hint = "flashing needs `container: {devices: [usb]}`; plug the board into the device's worker"
    for key in _USB:
        if device.raw.get(key) not in _UNSET:
            yield Need("usb", str(device.raw[key]), key, hint)
    for number, info in enumerate(device.device_info):
        for key in ("board_id", "usb_vendor_id", "fs_label"):
            if info.get(key) not in _UNSET:
                yield Need("usb", str(info[key]), f"device_info[{number}].{key}", hint)


def _storage(device: Device) -> Iterator[Need]:
    for number, info in enumerate(device.storage_info):
        for key, value in info.items():
            hint = "a disk of the worker: `container: {devices: [block]}`"
            yield Need("storage", str(value), f"storage_info[{number}].{key}", hint)


def _methods(device: Device) -> Iterator[Need]:
    sections: tuple[tuple[str, Mapping[str, Any]], ...] = (
        ("deploy", device.deploy_methods),
        ("boot", device.boot_methods),
        ("test", device.test_methods),
    )
    for section, methods in sections:
        known = known_methods(section)
        for name in methods:
            if name not in known:
                near = nearest(name, known)
                hint = f"did you mean {near!r}?" if near else "jobs that ask for it are refused"
                yield Need("method", name, f"actions.{section}.methods.{name}", hint)


@cache
def known_methods(section: str) -> frozenset[str]:
    """Names of methods that a device file can list: values of `to` and `method`, and the field's own."""
    from executor.pipeline.method import builtin_registry

    found = builtin_registry().of(section)
    names = {method.name for method in found}
    names |= {method.__module__.rpartition(".")[2].replace("_", "-") for method in found}
    return frozenset(names | _DEVICE_METHODS.get(section, set()))
