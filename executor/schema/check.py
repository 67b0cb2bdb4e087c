# SPDX-License-Identifier: Apache-2.0
"""Holds plain data against a typed struct and says everything that is wrong, each fault with its path.

msgspec stops at the first fault; a person who mends a file wants all of them. The rules stand in the struct
alone: types, constraints in `Meta`, and a `rules` function where keys depend on each other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from executor.errors import JobError
from executor.model.problem import Path, Problem, dotted
from executor.schema.words import bare, expected, fits, nearest, shown

T = TypeVar("T")


def check(cls: type, value: object, path: Path = (), *, strict: bool = True) -> list[Problem]:
    """Every problem of `value` as a `cls`, in document order. Unknown keys are warnings where not `strict`.

    A struct may have a static method `rules(data, path) -> Iterable[Problem]` for what depends on several
    keys; all of the class and its bases are asked when the keys by themselves are right. An optional key must
    not be written without a value.
    `Meta(extra={"expected": …})` says in words what fits.
    """
    checker = _Checker(strict)
    checker.any(_info(cls), value, path)
    return checker.problems


def convert(cls: type[T], value: object) -> T:
    """The struct of checked data, without unknown keys. Raises JobError where `check` would object."""
    try:
        return msgspec.convert(value, cls)
    except msgspec.ValidationError:
        pass
    problems = [p for p in check(cls, value, strict=False) if p.severity == "error"]
    if problems:
        raise JobError(f"{dotted(problems[0].path)}: {problems[0].message}")
    return msgspec.convert(_known(_info(cls), value), cls)


_infos: dict[type, inspect.Type] = {}


def _info(cls: type) -> inspect.Type:
    if cls not in _infos:
        _infos[cls] = inspect.type_info(cls)
    return _infos[cls]


class _Checker:
    def __init__(self, strict: bool) -> None:
        self.strict = strict
        self.problems: list[Problem] = []

    def add(self, message: str, path: Path, wanted: str = "", near: str = "", hint: str = "") -> None:
        self.problems.append(Problem(message, path=path, expected=wanted, near=near, hint=hint))

    def any(self, info: inspect.Type, value: object, path: Path) -> None:
        words = info
        info = bare(info)
        if isinstance(info, inspect.AnyType):
            return
        if isinstance(info, inspect.UnionType):
            self._union(info, words, value, path)
        elif not fits(info, value):
            self._wrong(words, value, path)
        elif isinstance(info, inspect.StructType):
            self._struct(info, value, path)
        elif isinstance(info, inspect.DictType):
            self._dict(info, value, path)
        elif isinstance(info, (inspect.ListType, inspect.VarTupleType)):
            self._list(info, value, path)
        elif isinstance(info, inspect.StrType):
            self._text(info, words, str(value), path)
        elif isinstance(info, (inspect.IntType, inspect.FloatType)):
            self._number(info, words, value, path)

    def _wrong(self, info: inspect.Type, value: object, path: Path) -> None:
        wanted = expected(info)
        name = _name(path)
        kind = bare(info)
        members = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
        literals = [
            str(v) for m in map(bare, members) if isinstance(m, inspect.LiteralType) for v in m.values
        ]
        if value is None:
            self.add(f"{name} has no value", path, wanted)
        elif literals and isinstance(value, (str, int)):
            self.add(f"{name} cannot be {shown(value)}", path, wanted, nearest(value, literals))
        else:
            quote = fits(info, "") and isinstance(value, (bool, int, float))
            hint = "put it in quotes if text is meant" if quote else ""
            self.add(f"{name} is {shown(value)}", path, wanted, hint=hint)

    def _union(self, info: inspect.UnionType, words: inspect.Type, value: object, path: Path) -> None:
        candidates = [t for t in info.types if fits(t, value)]
        if not candidates:
            self._wrong(words, value, path)
            return
        best: list[Problem] | None = None
        for candidate in candidates:
            attempt = _Checker(self.strict)
            attempt.any(candidate, value, path)
            if best is None or len(attempt.problems) < len(best):
                best = attempt.problems
        self.problems.extend(best or ())

    def _struct(self, info: inspect.StructType, value: Any, path: Path) -> None:
        before = len(self.problems)
        fields = {f.encode_name: f for f in info.fields}
        for key, item in value.items():
            field = fields.get(key) if isinstance(key, str) else None
            here = (*path, key)
            if field is None:
                if info.forbid_unknown_fields:
                    self._unknown(key, here, fields)
            elif item is None and not field.required and not _null_default(field):
                self.add(
                    f"{key} has no value",
                    here,
                    expected(field.type),
                    hint="leave the key out if it is not meant",
                )
            else:
                self.any(field.type, item, here)
        for name, field in fields.items():
            if field.required and name not in value:
                self.add(f"{name} is missing", path, f"{name}: {expected(field.type)}")
        if len(self.problems) == before:
            for cls in reversed(info.cls.__mro__):
                rules = vars(cls).get("rules")
                if rules is not None:
                    self.problems.extend(rules.__func__(value, path))

    def _unknown(self, key: object, path: Path, known: Iterable[str]) -> None:
        self.problems.append(
            Problem(
                f"unknown key {key!r}",
                path=path,
                near=nearest(key, known),
                expected="one of " + ", ".join(sorted(known)),
                severity="error" if self.strict else "warning",
            )
        )

    def _dict(self, info: inspect.DictType, value: Any, path: Path) -> None:
        for key, item in value.items():
            here = (*path, key)
            if not fits(info.key_type, key):
                self.add(
                    f"the key {key!r} is {shown(key)}", here, expected(info.key_type), hint="put it in quotes"
                )
            elif isinstance(key, str) and isinstance(bare(info.key_type), inspect.StrType):
                self.any(info.key_type, key, here)
            self.any(info.value_type, item, here)
        _bounds(self, info, value, path, "entries")

    def _list(self, info: Any, value: Any, path: Path) -> None:
        for number, item in enumerate(value):
            self.any(info.item_type, item, (*path, number))
        _bounds(self, info, value, path, "items")

    def _text(self, info: inspect.StrType, words: inspect.Type, value: str, path: Path) -> None:
        name = _name(path)
        if info.min_length and len(value) < info.min_length:
            self.add(f"{name} is empty" if not value else f"{name} is too short", path, expected(words))
        elif info.max_length is not None and len(value) > info.max_length:
            self.add(f"{name} is longer than {info.max_length} characters", path, expected(words))
        elif info.pattern is not None and re.search(info.pattern, value) is None:
            wanted = expected(words)
            self.add(
                f"{name} cannot be {shown(value)}",
                path,
                wanted if wanted != "text" else f"text like {info.pattern}",
            )

    def _number(self, info: Any, words: inspect.Type, value: Any, path: Path) -> None:
        outside = (
            (info.ge is not None and value < info.ge)
            or (info.gt is not None and value <= info.gt)
            or (info.le is not None and value > info.le)
            or (info.lt is not None and value >= info.lt)
        )
        if outside:
            self.add(f"{_name(path)} cannot be {shown(value)}", path, expected(words))


def _bounds(checker: _Checker, info: Any, value: Any, path: Path, what: str) -> None:
    if info.min_length and len(value) < info.min_length:
        empty = f"{_name(path)} is empty" if not value else f"{_name(path)} has too few {what}"
        checker.add(empty, path, f"at least {info.min_length} {what}")
    if info.max_length is not None and len(value) > info.max_length:
        checker.add(f"{_name(path)} has too many {what}", path, f"at most {info.max_length} {what}")


def _null_default(field: inspect.Field) -> bool:
    """A nullable key with another default than None: there, an empty value is a value."""
    kind = bare(field.type)
    types = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    nullable = any(isinstance(t, (inspect.NoneType, inspect.AnyType)) for t in types)
    return nullable and field.default is not None


def _name(path: Path) -> str:
    if not path:
        return "the document"
    last = path[-1]
    return (
        f"item {last + 1} of {path[-2] if len(path) > 1 else 'the list'}"
        if isinstance(last, int)
        else str(last)
    )


def _known(info: inspect.Type, value: Any) -> Any:
    """`value` without the keys that `info` does not know."""
    info = bare(info)
    if isinstance(info, inspect.UnionType):
        for candidate in info.types:
            if fits(candidate, value):
                return _known(candidate, value)
    if isinstance(info, inspect.StructType) and isinstance(value, dict):
        fields = {f.encode_name: f.type for f in info.fields}
        return {k: _known(fields[k], v) for k, v in value.items() if k in fields}
    if isinstance(info, inspect.DictType) and isinstance(value, dict):
        return {k: _known(info.value_type, v) for k, v in value.items()}
    if isinstance(info, (inspect.ListType, inspect.VarTupleType)) and isinstance(value, list):
        return [_known(info.item_type, v) for v in value]
    return value
