# SPDX-License-Identifier: Apache-2.0
"""The inverse of merging: what a file must say to turn one map into another."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.master.configs import ConfigFile
from executor.master.lab.difference import common, difference, same
from executor.master.render import _merge
from executor.schema.loader import load_yaml

KEYS = st.sampled_from(["a", "b", "c", "d"])
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(0, 2), st.sampled_from(["x", "y"]))
TREES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=3)
)
MAPS = st.dictionaries(KEYS, TREES, max_size=4)


def merged(base: dict[Any, Any], more: dict[Any, Any]) -> dict[Any, Any]:
    out: dict[Any, Any] = {}
    for body in (base, more):
        file = ConfigFile("f", "f.yaml", load_yaml("", "f.yaml"), "", {}, {}, body)
        _merge(out, body, file, ())
    return out


@given(MAPS, MAPS)
def test_laid_over_the_one_it_gives_the_other(base: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert same(merged(base, difference(base, wanted)), wanted)


@given(MAPS)
def test_there_is_nothing_to_say_where_all_is_the_same(data: dict[str, Any]) -> None:
    assert difference(data, data) == {}


def test_only_what_differs() -> None:
    base = {"a": {"b": 1, "c": [1, 2]}, "d": 1}
    assert difference(base, {"a": {"b": 1, "c": [1]}, "e": None}) == {"-d": None, "a": {"c": [1]}, "e": None}


@pytest.mark.parametrize(
    ("one", "other"), [(1, True), (1, 1.0), ("1", 1), ([1], [True]), ({"a": 0}, {"a": False})]
)
def test_types_are_told_apart(one: object, other: object) -> None:
    assert not same(one, other)


def test_what_maps_have_in_common() -> None:
    maps = [
        {"a": 1, "b": {"c": 1, "d": 2}, "e": 3},
        {"a": 1, "b": {"c": 1, "d": 3}},
        {"b": {"d": 3, "c": 1}, "a": 1},
    ]
    assert common(list(maps)) == {"a": 1, "b": {"c": 1}}
