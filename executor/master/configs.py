# SPDX-License-Identifier: Apache-2.0
"""device-configs/: device types and devices as YAML, read whole, every fault with file and line (docs:
device-configs).

    types/<name>.yaml     a device type; `extends: <type>` builds on another one
    devices/<name>.yaml   a device; `extends: <type>` says what it is

Beside the keys of a device (spec: device-config) a file may hold `extends`, `variables`, `by_context`,
`description`, and a device also `device_type`, `worker` and `tags`. `render.py` turns the chain of files into
the device that a job gets.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import msgspec

from executor.errors import ConfigurationError
from executor.model.problem import Path as Place
from executor.model.problem import Problem
from executor.schema.check import check
from executor.schema.loader import Document, load_yaml
from executor.schema.words import nearest

MAX_FILE = 1 << 20  # bytes
MAX_CHAIN = 16
_NAME = re.compile(r"[A-Za-z0-9][-_.A-Za-z0-9]{0,199}\Z")
PLACEHOLDER = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_WORD = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class TypeKeys(msgspec.Struct):
    """What a type's file may hold beside the keys of a device."""

    extends: _WORD | None = None
    description: str | None = None
    variables: dict[str, Any] | None = None
    by_context: dict[str, dict[Any, Any]] | None = None


class DeviceKeys(msgspec.Struct):
    """What a device's file may hold beside the keys of a device."""

    extends: _WORD
    description: str | None = None
    variables: dict[str, Any] | None = None
    by_context: dict[str, dict[Any, Any]] | None = None
    device_type: _WORD | None = None  # when it is not the name of the type that it extends
    worker: _WORD | None = None  # the worker that it is attached to; none: any (a virtual device)
    tags: list[_WORD] | None = None


@dataclass(frozen=True)
class ConfigFile:
    """One file, parsed. `body` is what goes into the device."""

    name: str
    path: str
    document: Document = field(repr=False)
    extends: str
    variables: dict[str, Any]
    by_context: dict[str, dict[Any, Any]]
    body: dict[str, Any]
    description: str = ""

    def problem(self, message: str, place: Place = (), **more: Any) -> Problem:
        """A fault at a place in this file."""
        return self.document.locate(Problem(message, "Configuration", place, file=self.path, **more))


@dataclass(frozen=True)
class Device:
    """A device as the scheduler sees it. With a `problem` no job is given to it."""

    name: str
    device_type: str
    tags: frozenset[str] = frozenset()
    worker: str = ""
    description: str = ""
    problem: str = ""
    chain: tuple[ConfigFile, ...] = field(default=(), repr=False)  # from the most general type to the device


@dataclass(frozen=True)
class DeviceConfigs:
    """All that the directory holds. Immutable: a changed directory makes a new one."""

    types: dict[str, ConfigFile]
    devices: dict[str, Device]
    problems: list[Problem]
    signature: str = ""

    def device_types(self) -> set[str]:
        """The types of which there is a device."""
        return {device.device_type for device in self.devices.values()}


def is_name(text: str) -> bool:
    """Whether a device or a type can be called so: names are names of files."""
    return _NAME.match(text) is not None


def signature(directory: Path) -> str:
    """Changes whenever a file of the directory does; cheap enough for every few seconds."""
    seen = hashlib.sha256()
    for path in _files(directory, "types", "devices"):
        stat = path.stat()
        seen.update(f"{path}\0{stat.st_mtime_ns}\0{stat.st_size}\0{stat.st_ino}\n".encode())
    return seen.hexdigest()


def load_configs(directory: Path) -> DeviceConfigs:
    """Read the directory. Never raises for what its files hold: faults stand in `problems` and at the device.

    Raises ConfigurationError when the directory itself cannot be read.
    """
    if not directory.is_dir():
        raise ConfigurationError(
            f"there is no directory {directory}", "It holds types/*.yaml and devices/*.yaml."
        )
    stamp = signature(directory)
    problems: list[Problem] = []
    types: dict[str, ConfigFile] = {}
    for path in _files(directory, "types"):
        parsed = _parse(path, TypeKeys, problems)
        if parsed is not None:
            types[parsed.name] = parsed
    devices: dict[str, Device] = {}
    for path in _files(directory, "devices"):
        found: list[Problem] = []
        device = _device(path, types, found)
        devices[device.name] = device
        problems.extend(found)
    for kind in types.values():
        _chain(kind, types, problems)
    return DeviceConfigs(types, devices, _unique(problems), stamp)


def _files(directory: Path, *folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted(p for p in (directory / folder).glob("*.yaml") if p.is_file())


def _parse(path: Path, keys: type[TypeKeys | DeviceKeys], problems: list[Problem]) -> ConfigFile | None:
    """One file; None when nothing can be made of it. Whatever is wrong is added to `problems`."""
    if not is_name(path.stem):
        text = f"{path.stem!r} is no name: letters, digits, '.', '-' and '_'"
        problems.append(Problem(text, "Configuration", file=str(path)))
        return None
    try:
        if path.stat().st_size > MAX_FILE:
            raise ValueError(f"larger than {MAX_FILE >> 20} MiB")
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        problems.append(Problem(f"cannot be read: {error}", "Configuration", file=str(path)))
        return None
    document = load_yaml(text, str(path))
    found = [msgspec.structs.replace(p, error_type="Configuration") for p in document.problems]
    data = document.data
    if not document.failed and not isinstance(data, dict):
        found.append(Problem("a device file is a map", "Configuration", file=str(path), line=1, column=1))
    elif not document.failed:
        own = {key: value for key, value in data.items() if key in keys.__struct_fields__}
        found += [
            document.locate(msgspec.structs.replace(problem, error_type="Configuration"))
            for problem in check(keys, own)
        ]
        found += _bad_choices(document, path, data)
    problems += found
    if document.failed or any(p.severity == "error" for p in found):
        return None
    control = DeviceKeys.__struct_fields__ if keys is DeviceKeys else TypeKeys.__struct_fields__
    return ConfigFile(
        name=path.stem,
        path=str(path),
        document=document,
        extends=data.get("extends") or "",
        variables=data.get("variables") or {},
        by_context=data.get("by_context") or {},
        body={key: value for key, value in data.items() if key not in control},
        description=data.get("description") or "",
    )


def _bad_choices(document: Document, path: Path, data: dict[Any, Any]) -> list[Problem]:
    """`by_context: {arch: {amd64: {…}}}`: each choice is a map, and its `variables` are one."""
    out = []
    selectors = data.get("by_context")
    for selector, choices in selectors.items() if isinstance(selectors, dict) else ():
        for value, part in choices.items() if isinstance(choices, dict) else ():
            place = ("by_context", selector, value)
            if part is not None and not isinstance(part, dict):
                out.append(Problem("what a value of the context changes is a map", "Configuration", place))
            elif part and not isinstance(part.get("variables") or {}, dict):
                out.append(Problem("variables is a map", "Configuration", (*place, "variables")))
    return [document.locate(msgspec.structs.replace(problem, file=str(path))) for problem in out]


def _device(path: Path, types: dict[str, ConfigFile], problems: list[Problem]) -> Device:
    parsed = _parse(path, DeviceKeys, problems)
    if parsed is None:
        return Device(path.stem, "", problem=_first(problems))
    data: dict[str, Any] = parsed.document.data
    chain = _chain(parsed, types, problems)
    problems += _misspelled(chain)
    return Device(
        name=parsed.name,
        device_type=data.get("device_type") or parsed.extends,
        tags=frozenset(data.get("tags") or []),
        worker=data.get("worker") or "",
        description=parsed.description or next((c.description for c in reversed(chain) if c.description), ""),
        problem=_first(problems),
        chain=tuple(chain),
    )


def _chain(file: ConfigFile, types: dict[str, ConfigFile], problems: list[Problem]) -> list[ConfigFile]:
    """The files from the most general type to `file`; a missing type or a circle is added to `problems`."""
    chain = [file]
    seen: set[str] = set()
    while chain[-1].extends:
        last = chain[-1]
        name = last.extends
        if name not in types:
            problems.append(
                last.problem(f"there is no device type {name!r}", ("extends",), near=nearest(name, types))
            )
            break
        if name in seen or types[name] is file or len(chain) >= MAX_CHAIN:
            circle = " → ".join([*(c.name for c in chain), name])
            problems.append(last.problem(f"the types extend each other in a circle: {circle}", ("extends",)))
            break
        seen.add(name)
        chain.append(types[name])
    return chain[::-1]


def _misspelled(chain: list[ConfigFile]) -> list[Problem]:
    """Warnings for `${memroy}` where there is a variable `memory`; other names belong to boot loaders."""
    known: set[str] = set()
    for file in chain:
        known.update(file.variables)
        for choices in file.by_context.values():
            for part in choices.values():
                known.update((part.get("variables") or {}) if isinstance(part, dict) else {})
    out = []
    for file in chain:
        for place, text in _texts(file.document.data, ()):
            for match in PLACEHOLDER.finditer(text):
                near = "" if match[1] is None or match[1] in known else nearest(match[1], known)
                if near:
                    message = f"${{{match[1]}}} is no variable and stays as it is"
                    out.append(file.problem(message, place, near=near, severity="warning"))
    return out


def _texts(value: Any, place: Place) -> Iterator[tuple[Place, str]]:
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(item, (*place, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts(item, (*place, index))


def _first(problems: Iterable[Problem]) -> str:
    for problem in problems:
        if problem.severity == "error":
            return f"{problem.where}: {problem.message}"
    return ""


def _unique(problems: list[Problem]) -> list[Problem]:
    out: list[Problem] = []
    for problem in problems:
        if problem not in out:
            out.append(problem)
    return out
