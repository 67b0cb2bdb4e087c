# SPDX-License-Identifier: Apache-2.0
"""From the files of a device and the context of a job to the one map that the runner receives: a pure
function.

1. The `variables` of types and device are laid over each other, the device's on top; then the job's `context`
   replaces those that a job may set (spec: job-format §10).
2. The bodies are merged from the most general type to the device. Maps merge, anything else replaces. `+key`
appends
   to the list that is there, `-key` takes a key away. After each file's body come its `by_context` parts for
   the values that the variables now have; variables in them count less than the context.
3. `${name}` is replaced by the variable. A text that is nothing but `${name}` takes the variable's own type;
as an item
   of a list, a list is spliced in and null is left out. Names that are no variable stay as they are, since
   boot loaders use the same spelling. `$${` stands for `${`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from executor.errors import ConfigurationError
from executor.master.configs import PLACEHOLDER, ConfigFile, Device
from executor.model.problem import Path as Place
from executor.schema.document import CONTEXT_KEYS

MAX_TEXT = 64 << 10  # characters of one text after replacement
MAX_DEPTH = 100

_WHOLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}\Z")


def render(device: Device, context: Mapping[str, Any]) -> dict[str, Any]:
    """The device for one job (spec: device-config). Raises ConfigurationError when its files are at fault."""
    if device.problem:
        raise ConfigurationError(f"the configuration of device {device.name} is wrong: {device.problem}")
    given = {name: value for name, value in context.items() if name in CONTEXT_KEYS}
    first = _variables(device, given)
    extra: dict[str, Any] = {}
    merged: dict[str, Any] = {}
    for file in device.chain:
        _merge(merged, file.body, file, ())
        extra.update(file.variables)
        for selector, choices in file.by_context.items():
            chosen = _choose(choices, first.get(selector))
            if chosen is None:
                continue
            part = dict(choices[chosen] or {})
            extra.update(part.pop("variables", None) or {})
            _merge(merged, part, file, ("by_context", selector, chosen))
    chosen_by_job = {name: value for name, value in given.items() if name in extra}
    merged = _Replacer(device, extra, chosen_by_job).value(merged, 0)
    return {**merged, "hostname": device.name, "device_type": device.device_type}


def _variables(device: Device, given: Mapping[str, Any]) -> dict[str, Any]:
    """What `by_context` looks at: the variables of all files, and the context."""
    variables: dict[str, Any] = {}
    for file in device.chain:
        variables.update(file.variables)
    return {**variables, **given}


def _choose(choices: Mapping[Any, Any], value: Any) -> Any:
    """The key of `choices` that the value of the variable selects."""
    wanted = _spelled(value)
    return next((key for key in choices if _spelled(key) == wanted), None)


def _spelled(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _merge(target: dict[Any, Any], source: Mapping[Any, Any], file: ConfigFile, place: Place) -> None:
    for key, value in source.items():
        here = (*place, key)
        if isinstance(key, str) and key.startswith("+") and len(key) > 1:
            _append(target, key[1:], value, file, here)
        elif isinstance(key, str) and key.startswith("-") and len(key) > 1:
            target.pop(key[1:], None)
        elif isinstance(value, Mapping):
            old = target.get(key)
            target[key] = new = dict(old) if isinstance(old, dict) else {}
            _merge(new, value, file, here)
        else:
            target[key] = list(value) if isinstance(value, list) else value


def _append(target: dict[str, Any], key: str, value: Any, file: ConfigFile, place: Place) -> None:
    old = target.get(key)
    if old is not None and not isinstance(old, list):
        problem = file.problem(f"+{key} appends to a list, and {key} is none", place)
        raise ConfigurationError(f"{problem.where}: {problem.message}")
    target[key] = [*(old or []), *(value if isinstance(value, list) else [value])]


class _Replacer:
    """Puts variables into texts. What the job gave is taken literally: a `${…}` in it stays as it is."""

    def __init__(self, device: Device, variables: Mapping[str, Any], given: Mapping[str, Any]) -> None:
        self.device = device
        self.variables = variables
        self.resolved: dict[str, Any] = dict(given)
        self.open: list[str] = []

    def value(self, value: Any, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise ConfigurationError(f"the configuration of device {self.device.name} is nested too deeply")
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {key: self.value(item, depth + 1) for key, item in value.items()}
        if isinstance(value, list):
            out: list[Any] = []
            for item in value:
                new = self.value(item, depth + 1)
                whole = isinstance(item, str) and self._whole(item) is not None
                if whole and isinstance(new, list):
                    out.extend(new)
                elif not (whole and new is None):
                    out.append(new)
            return out
        return value

    def text(self, text: str) -> Any:
        if "${" not in text:
            return text
        name = self._whole(text)
        if name is not None:
            return self.variable(name)
        out = PLACEHOLDER.sub(self._one, text)
        if len(out) > MAX_TEXT:
            raise ConfigurationError(f"a text of device {self.device.name} becomes longer than {MAX_TEXT}")
        return out

    def variable(self, name: str) -> Any:
        if name in self.open:
            circle = " → ".join([*self.open, name])
            raise ConfigurationError(f"variables of device {self.device.name} refer to each other: {circle}")
        if name not in self.resolved:
            self.open.append(name)
            self.resolved[name] = self.value(self.variables[name], 0)
            self.open.pop()
        return self.resolved[name]

    def _whole(self, text: str) -> str | None:
        match = _WHOLE.match(text)
        return match[1] if match and match[1] in self.variables else None

    def _one(self, match: re.Match[str]) -> str:
        name = match[1]
        if name is None:
            return "${"
        if name not in self.variables:
            return match[0]
        return spell(self.variable(name))


def spell(value: Any) -> str:
    """A variable's value inside a longer text."""
    if value is None:
        return ""
    if isinstance(value, list):
        return " ".join(spell(item) for item in value)
    return _spelled(value)
