# SPDX-License-Identifier: Apache-2.0
"""What a file must say so that, laid over another, it gives a wanted map: the inverse of render's merge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def difference(base: Mapping[Any, Any], wanted: Mapping[Any, Any]) -> dict[Any, Any]:
    """The smallest map that turns `base` into `wanted`; `-key` takes a key away (docs: device-configs)."""
    out: dict[Any, Any] = {f"-{key}": None for key in base if key not in wanted}
    for key, value in wanted.items():
        if key in base and same(base[key], value):
            continue
        old = base.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            out[key] = difference(old, value)
        else:
            out[key] = value
    return out


def common(maps: list[Mapping[Any, Any]]) -> dict[Any, Any]:
    """What all of the maps say alike, in the order of the first."""
    out: dict[Any, Any] = {}
    for key, value in maps[0].items():
        others = [m[key] for m in maps[1:] if key in m]
        if len(others) < len(maps) - 1:
            continue
        if all(same(value, other) for other in others):
            out[key] = value
        elif isinstance(value, Mapping) and all(isinstance(other, Mapping) for other in others):
            out[key] = common([value, *others])
    return out


def same(one: Any, other: Any) -> bool:
    """Equal, with 1, 1.0 and true kept apart."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and bool(one == other)
