# SPDX-License-Identifier: Apache-2.0
"""Types and values in words for people: what was expected, what stands there, what was most likely meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from msgspec import inspect

MAX_SHOWN = 60


def nearest(word: object, known: Iterable[str]) -> str:
    """The known word that was most likely meant, or ""; `_` and `-` are easily mixed up."""
    text = str(word)
    choices = list(known)
    same = [k for k in choices if k.replace("_", "-").lower() == text.replace("_", "-").lower()]
    longer = [k for k in choices if len(k) > 1 and text.startswith(k)]
    return (same or longer or difflib.get_close_matches(text, choices, 1) or [""])[0]


def shown(value: object) -> str:
    """What stands in the file, in words and short."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a map"
    if isinstance(value, list):
        return "a list"
    text = repr(value)
    text = text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 3] + "..."
    return f"the text {text}" if isinstance(value, str) else f"the number {text}"


def bare(info: inspect.Type) -> inspect.Type:
    while isinstance(info, inspect.Metadata):
        info = info.type
    return info


_KINDS: tuple[tuple[type[inspect.Type] | tuple[type[inspect.Type], ...], type | tuple[type, ...]], ...] = (
    (inspect.NoneType, type(None)),
    (inspect.BoolType, bool),
    (inspect.IntType, int),
    (inspect.FloatType, (int, float)),
    (inspect.StrType, str),
    ((inspect.ListType, inspect.VarTupleType), list),
    ((inspect.DictType, inspect.StructType), dict),
)


def fits(info: inspect.Type, value: object) -> bool:
    """Whether `value` is of the kind of `info`, its inside aside."""
    info = bare(info)
    if isinstance(info, inspect.AnyType):
        return True
    if isinstance(info, inspect.LiteralType):
        return any(value == v and isinstance(value, bool) == isinstance(v, bool) for v in info.values)
    if isinstance(info, inspect.UnionType):
        return any(fits(t, value) for t in info.types)
    for kinds, types in _KINDS:
        if isinstance(info, kinds):
            return isinstance(value, types) and (types is bool or not isinstance(value, bool))
    return False


def expected(info: inspect.Type) -> str:
    """A type in words: "text", "a list of text", "gz, bz2 or xz"."""
    if isinstance(info, inspect.Metadata):
        return str((info.extra or {}).get("expected") or expected(info.type))
    if isinstance(info, inspect.UnionType):
        return _or(
            list(dict.fromkeys(expected(t) for t in info.types if not isinstance(t, inspect.NoneType)))
        )
    if isinstance(info, inspect.LiteralType):
        return _or([str(v) for v in info.values])
    if isinstance(info, (inspect.ListType, inspect.VarTupleType)):
        inner = expected(info.item_type)
        return "a list" if inner == "anything" else f"a list of {inner}"
    if isinstance(info, inspect.IntType):
        low = info.ge if info.ge is not None else info.gt
        high = info.le if info.le is not None else info.lt
        if low is not None and high is not None:
            return f"a whole number from {low} to {high}"
        return "a whole number" + (f" of at least {low}" if low else "")
    if isinstance(info, inspect.StructType):
        return (
            "a map with "
            + ", ".join(f.encode_name for f in info.fields[:6])
            + (", …" * (len(info.fields) > 6))
        )
    for kind, words in (
        (inspect.StrType, "text"),
        (inspect.BoolType, "true or false"),
        (inspect.FloatType, "a number"),
        (inspect.DictType, "a map"),
        (inspect.NoneType, "nothing"),
    ):
        if isinstance(info, kind):
            return words
    return "anything"


def _or(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " or " + words[-1] if words else ""
