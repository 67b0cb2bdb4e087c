# SPDX-License-Identifier: Apache-2.0
"""Typed structs as tables: a row a key, its type in words, its default, and what its author says of it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from inspect import cleandoc
from typing import Any

import msgspec
from msgspec import inspect as types

Kind = type[msgspec.Struct]
_SPEC = re.compile(r"\s*\(spec: [^)]*\)")


def cell(text: str) -> str:
    """Text inside a table."""
    return " ".join(text.split()).replace("|", "\\|")


def code(text: object) -> str:
    """A value as it would be written, inside a table."""
    shown = str(text).replace("\n", "\\n").replace("|", "\\|")
    return f"`` {shown} ``" if "`" in shown else f"`{shown}`"


def prose(text: str | None) -> str:
    """A docstring for readers of the page: without pointers into the specification."""
    return _SPEC.sub("", cleandoc(text or "")).strip()


def anchor(kind: Kind) -> str:
    """The heading of a struct, as GitHub makes an anchor of it."""
    return kind.__name__.lower()


def struct_table(kind: Kind, known: dict[Kind, str], leave_out: Collection[str] = ()) -> Iterator[str]:
    """The keys of one struct. `known`: struct → where its own table is."""
    yield from table([field for field in fields(kind) if field.encode_name not in leave_out], known)


def table(keys: Sequence[types.Field], known: dict[Kind, str]) -> Iterator[str]:
    """A row a key, nothing without any."""
    if keys:
        yield "| key | value | default | meaning |\n|---|---|---|---|"
        yield from (row(field, known) for field in keys)
        yield ""


def fields(kind: Kind) -> list[types.Field]:
    """The keys: those that must be there first."""
    info = types.type_info(kind)
    assert isinstance(info, types.StructType)  # noqa: S101  # of a Struct it is
    return sorted(info.fields, key=lambda field: not field.required)


def row(field: types.Field, known: dict[Kind, str]) -> str:
    """One key."""
    notes: list[str] = []
    value = words(field.type, known, notes)
    default = "required" if field.required else _default(field)
    meaning = "; ".join(dict.fromkeys(notes))
    return f"| `{field.encode_name}` | {value} | {default} | {cell(meaning)} |"


def notes_of(field: types.Field) -> list[str]:
    """What the author of a key says of it."""
    notes: list[str] = []
    words(field.type, {}, notes)
    return notes


def title_of(field: types.Field) -> str:
    """The `title` that a key was given, or empty."""
    schema = field.type.extra_json_schema if isinstance(field.type, types.Metadata) else None
    return str((schema or {}).get("title") or "")


def words(kind: types.Type, known: dict[Kind, str], notes: list[str]) -> str:
    """A type in words; descriptions met on the way go to `notes`."""
    if isinstance(kind, types.Metadata):
        found = str((kind.extra or {}).get("expected") or words(kind.type, known, notes))
        description = str((kind.extra_json_schema or {}).get("description") or "")
        if description and len(description) < 12 and isinstance(kind.type, types.IntType):
            return f"{found} ({description})"  # a unit
        if description:
            notes.insert(0, description)
        return cell(found) if "expected" in (kind.extra or {}) else found
    if isinstance(kind, types.UnionType):
        parts = [words(t, known, notes) for t in kind.types if not isinstance(t, types.NoneType)]
        return " or ".join(dict.fromkeys(parts))
    return _plain(kind, known, notes)


def _plain(kind: types.Type, known: dict[Kind, str], notes: list[str]) -> str:
    if isinstance(kind, types.StructType):
        return f"[{kind.cls.__name__}]({known[kind.cls]})" if kind.cls in known else kind.cls.__name__
    if isinstance(kind, types.LiteralType):
        return " or ".join(code(value) for value in kind.values)
    if isinstance(kind, types.ListType | types.CollectionType | types.SetType):
        inner = words(kind.item_type, known, notes)
        return f"list of {inner}" if inner != "anything" else "list"
    if isinstance(kind, types.DictType):
        inner = words(kind.value_type, known, notes)
        return f"map of names to {inner}" if inner != "anything" else "map"
    if isinstance(kind, types.IntType):
        low, high = kind.ge, kind.le
        if low is not None and high is not None:
            return f"whole number {low} to {high}"
        return f"whole number from {low}" if low is not None else "whole number"
    for cls, text in _WORDS:
        if isinstance(kind, cls):
            return text
    return "anything"


_WORDS: tuple[tuple[type[types.Type], str], ...] = (
    (types.StrType, "text"),
    (types.BoolType, "true or false"),
    (types.FloatType, "number"),
)


def _default(field: types.Field) -> str:
    value = field.default
    if value is msgspec.NODEFAULT or value is None or value == "":
        return ""
    return code(str(value).lower() if isinstance(value, bool) else value)


def nested(keys: Sequence[types.Field]) -> list[Kind]:
    """The structs that occur in these keys, each once, in order of appearance."""
    found: dict[Kind, None] = {}
    for field in keys:
        _collect(field.type, found)
    return list(found)


def _collect(kind: Any, found: dict[Kind, None]) -> None:
    if isinstance(kind, types.StructType):
        if kind.cls not in found:
            found[kind.cls] = None
            for field in fields(kind.cls):
                _collect(field.type, found)
        return
    for name in ("type", "item_type", "value_type"):
        inner = getattr(kind, name, None)
        if inner is not None:
            _collect(inner, found)
    for inner in getattr(kind, "types", ()):
        _collect(inner, found)


def section(kind: Kind, known: dict[Kind, str]) -> Iterator[str]:
    """Heading, docstring and table of a struct that others point to."""
    yield f"### {kind.__name__}\n"
    yield prose(kind.__doc__) + "\n"
    yield from struct_table(kind, known)
