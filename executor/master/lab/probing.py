# SPDX-License-Identifier: Apache-2.0
"""How a lab's templates make use of a job's context, found out by rendering them and looking at what changes.

A template is a program; what it does with a variable cannot be read off it. But the variables that a job may
set are known (spec: job-format §10). So each is given a mark in place of a value: where marks come out in
texts and nothing else changes, the variable becomes `${name}`; where a few known values choose between parts,
it becomes `by_context`; anything else is told and stays at its default.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from executor.master.configs import PLACEHOLDER
from executor.master.lab.difference import difference, same
from executor.master.render import spell
from executor.schema.document import CONTEXT_KEYS

KEYS = sorted(CONTEXT_KEYS)
_CHOICES: dict[str, list[Any]] = {
    "arch": ["amd64", "x86_64", "i386", "arm", "armhf", "arm64", "aarch64", "mips", "ppc64le", "riscv64"],
    "netdevice": ["user", "tap", "none"],
}
_SWITCH: list[Any] = [False, True]
MAX_PAIRS = 60
_MARK = re.compile(r"Zq(\d+)qZ")

Render = Callable[[list[dict[str, Any]]], list[Any]]  # contexts → device maps, None for what is no map


@dataclass
class Form:
    """A device or type as one of our files says it."""

    body: dict[Any, Any]
    variables: dict[str, Any] = field(default_factory=dict)
    by_context: dict[str, dict[Any, Any]] = field(default_factory=dict)
    fixed: list[str] = field(default_factory=list)  # context keys that matter, but cannot be carried over
    seen: list[tuple[dict[str, Any], dict[Any, Any]]] = field(default_factory=list)  # context → device
    together: list[tuple[dict[str, Any], dict[Any, Any]]] = field(default_factory=list)  # two keys at once


def probe(base: dict[Any, Any], used: frozenset[str], render: Render) -> Form:
    """The form of a device that is `base` without a context. `used`: variables that its templates read."""
    keys = [key for key in KEYS if key in used]
    tries = [{key: value} for key in keys for value in (_mark(key), [_mark(key)], True)]
    made = render(tries)
    plain: list[str] = []  # a mark comes out in texts
    lists: list[str] = []  # it does so as items of a list
    silent: list[str] = []  # nothing happens, as long as others have their defaults
    rest: list[str] = []
    for number, key in enumerate(keys):
        marked, listed, switched = made[3 * number : 3 * number + 3]
        found = None if key in _CHOICES else _defaults(base, marked)
        if found:
            plain.append(key)
        elif found is None and key not in _CHOICES and _defaults(base, listed, [key]):
            lists.append(key)
        elif found is not None and same(base, listed) and same(base, switched):
            silent.append(key)
        else:
            rest.append(key)
    form = Form(base, seen=[({}, base)])
    given: dict[str, Any] = {key: _mark(key) for key in plain} | {key: [_mark(key)] for key in lists}
    if given:
        (joint,) = render([given])
        together = _defaults(base, joint, lists)
        if together is None or together.keys() != given.keys():
            rest, given = sorted([*rest, *given]), {}
        else:
            form.variables, form.body = together, joint
    if given:
        given |= {key: _mark(key) for key in silent}
    _choose(form, base, rest, given, render)
    _pair(form, render)
    _spell_out(form)
    return form


def _choose(form: Form, base: dict[Any, Any], keys: list[str], given: dict[str, Any], render: Render) -> None:
    """`by_context` for variables of which a few values are known."""
    known = base.get("available_architectures")
    choices = {key: _CHOICES.get(key, _SWITCH) for key in keys}
    if "arch" in choices and isinstance(known, list) and known:
        choices["arch"] = [value for value in known if isinstance(value, str)]
    tries = [(key, value) for key in keys for value in choices[key]]
    made = render([{key: value} for key, value in tries])
    marked = render([{**given, key: value} for key, value in tries]) if given else made
    lists = [key for key, value in given.items() if isinstance(value, list)]
    for key in keys:
        outcomes = [
            (value, one, joint)
            for (name, value), one, joint in zip(tries, made, marked, strict=True)
            if name == key and isinstance(one, dict)
        ]
        default = next((value for value, one, _ in outcomes if same(one, base)), None)
        parts = _parts(form, base, outcomes, lists)
        if parts is None or _printed(parts) or (default is None and choices[key] is _SWITCH):
            form.fixed.append(key)
            continue
        if parts:
            form.by_context[key] = parts
            form.variables[key] = default
        elif key not in _CHOICES:
            form.fixed.append(key)
            continue
        form.seen += [({key: value}, one) for value, one, _ in outcomes]


def _parts(
    form: Form, base: dict[Any, Any], outcomes: list[tuple[Any, Any, Any]], lists: list[str]
) -> dict[Any, Any] | None:
    """What each value changes; None when marks do not come out of it plainly."""
    parts: dict[Any, Any] = {}
    for value, one, joint in outcomes:
        if same(one, base):
            continue
        own = _defaults(one, joint, lists)
        if own is None:
            return None
        changed = {k: v for k, v in own.items() if not same(v, form.variables.get(k))}
        part = difference(form.body, joint)
        parts[value] = {**({"variables": changed} if changed else {}), **part}
    return parts


def _pair(form: Form, render: Render) -> None:
    """Two choices at once, to see whether they get into each other's way."""
    pairs = [
        {one: a, other: b}
        for one, other in combinations(form.by_context, 2)
        for a in form.by_context[one]
        for b in form.by_context[other]
    ][:MAX_PAIRS]
    if pairs:
        made = render(pairs)
        form.together = [(c, m) for c, m in zip(pairs, made, strict=True) if isinstance(m, dict)]


def _printed(part: Any) -> bool:
    """Whether the value itself comes out, so that it is text and no switch."""
    if isinstance(part, dict):
        return any(map(_printed, part.values()))
    return any(map(_printed, part)) if isinstance(part, list) else isinstance(part, str) and "True" in part


def _mark(key: str) -> str:
    return f"Zq{KEYS.index(key)}qZ"


def _defaults(base: Any, marked: Any, lists: list[str] | None = None) -> dict[str, Any] | None:
    """The value that each mark stands for in `base`; None when more than texts with marks differs."""
    found: dict[str, Any] = {}
    for value, default in _pairs(base, marked, frozenset(lists or ())):
        if value is None:
            return None
        for key, text in default.items():
            before = found.get(key, text)
            if same(before, text) or spell(before) == spell(text):
                found[key] = before if not isinstance(before, str) else text
            else:
                return None
    return found


def _pairs(base: Any, marked: Any, lists: frozenset[str]) -> Iterator[tuple[Any, dict[str, Any]]]:
    """(True, defaults) for each difference that marks explain, (None, {}) for any other."""
    if isinstance(base, dict) and isinstance(marked, dict) and list(base) == list(marked):
        for key in base:
            yield from _pairs(base[key], marked[key], lists)
    elif isinstance(marked, list) and (spliced := _without_lists(marked, lists)):
        rest, keys = spliced
        yield True, {key: [] for key in keys}
        if base or rest:
            yield from _pairs(base, rest, lists)
    elif isinstance(base, list) and isinstance(marked, list) and len(base) == len(marked):
        for one, other in zip(base, marked, strict=True):
            yield from _pairs(one, other, lists)
    elif not same(base, marked):
        defaults = _explained(base, marked)
        yield (None, {}) if defaults is None else (True, defaults)


def _without_lists(marked: list[Any], lists: frozenset[str]) -> tuple[list[Any], list[str]] | None:
    marks = {_mark(key): key for key in lists}
    keys = [marks[item] for item in marked if isinstance(item, str) and item in marks]
    if not keys:
        return None
    return [item for item in marked if not (isinstance(item, str) and item in marks)], keys


def _explained(base: Any, marked: Any) -> dict[str, Any] | None:
    """Defaults of the marks in one text, None when it has none or `base` does not fit it."""
    if not isinstance(marked, str) or isinstance(base, (dict, list)):
        return None
    keys = [KEYS[int(number)] for number in _MARK.findall(marked) if int(number) < len(KEYS)]
    if not keys:
        return None
    if _MARK.fullmatch(marked):
        return {keys[0]: base}
    pattern, seen = "", set[str]()
    for index, piece in enumerate(_MARK.split(marked)):
        key = KEYS[int(piece)] if index % 2 else ""
        pattern += (f"(?P={key})" if key in seen else f"(?P<{key}>.*?)") if key else re.escape(piece)
        seen.add(key)
    match = re.fullmatch(pattern, spell(base), re.DOTALL)
    return match.groupdict() if match else None


def _spell_out(form: Form) -> None:
    """Marks become `${name}`; what reads like one of our variables in the lab's own texts is quoted."""
    names = set(form.variables)
    form.body = _map(form.body, names)
    for choices in form.by_context.values():
        for value, part in choices.items():
            own = part.pop("variables", None)
            choices[value] = {**({"variables": own} if own else {}), **_map(part, names)}


def _map(data: Mapping[Any, Any], names: set[str]) -> dict[Any, Any]:
    return {key: _value(value, names) for key, value in data.items()}


def _value(value: Any, names: set[str]) -> Any:
    if isinstance(value, Mapping):
        return _map(value, names)
    if isinstance(value, list):
        return [_value(item, names) for item in value]
    if not isinstance(value, str):
        return value
    pieces = _MARK.split(value)
    return "".join(
        f"${{{KEYS[int(piece)]}}}" if index % 2 else PLACEHOLDER.sub(lambda m: _quoted(m, names), piece)
        for index, piece in enumerate(pieces)
    )


def _quoted(match: re.Match[str], names: set[str]) -> str:
    return f"${match[0]}" if match[1] is None or match[1] in names else match[0]
