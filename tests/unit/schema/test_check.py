# SPDX-License-Identifier: Apache-2.0
"""The checker: every fault of plain data against a typed struct, in words for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta

from executor.errors import JobError
from executor.model.problem import Path, Problem
from executor.schema.check import check, convert
from executor.schema.words import nearest


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    url: Annotated[str, Meta(min_length=1)]
    kind: Literal["gz", "bz2", "xz"] | None = None

    @staticmethod
    def rules(data: dict[str, Any], path: Path) -> Iterator[Problem]:
        if data["url"].endswith("/"):
            yield Problem("url names a directory", path=(*path, "url"))


class Base(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    limit: Annotated[int, Meta(ge=1, le=9)] = 1

    @staticmethod
    def rules(data: dict[str, Any], path: Path) -> Iterator[Problem]:
        if data.get("limit") == 7:
            yield Problem("seven is taken", path=(*path, "limit"))


class Outer(Base):
    to: str
    dashed: str = msgspec.field(default="", name="with-dash")
    text_or_map: str | Inner | None = None
    words: Annotated[list[str], Meta(min_length=1)] | None = None
    named: dict[str, Inner] = {}
    values: dict[str, str | int | None] = {}
    flag: bool = False
    share: float = 0.0
    coded: Annotated[str, Meta(pattern="^[a-z]+$", max_length=4, extra={"expected": "small letters"})] = "x"
    nothing_is_fine: str | None = ""

    @staticmethod
    def rules(data: dict[str, Any], path: Path) -> Iterator[Problem]:
        if data["to"] == "nowhere":
            yield Problem("nowhere is no place", path=(*path, "to"))


class Open(msgspec.Struct):
    a: int = 0


GOOD = {
    "to": "there",
    "with-dash": "x",
    "text_or_map": {"url": "u", "kind": "gz"},
    "words": ["a"],
    "named": {"k": {"url": "u"}},
    "values": {"a": "b", "c": 1, "d": None},
    "flag": True,
    "share": 1,
    "limit": 9,
    "nothing_is_fine": None,
}


def faults(**change: object) -> list[tuple[str, str]]:
    """(path, message) of a good document with some keys changed."""
    return [(".".join(map(str, p.path)), p.message) for p in check(Outer, {**GOOD, **change}, ("doc",))]


def test_good_data_has_no_faults_and_converts() -> None:
    assert faults() == []
    built = convert(Outer, GOOD)
    assert built.dashed == "x"
    assert isinstance(built.text_or_map, Inner)


@pytest.mark.parametrize(
    ("change", "path", "message"),
    [
        ({"to": 5}, "doc.to", "to is the number 5"),
        ({"to": ["a"]}, "doc.to", "to is a list"),
        ({"to": None}, "doc.to", "to has no value"),
        ({"with-dash": True}, "doc.with-dash", "with-dash is true"),
        ({"text_or_map": 5}, "doc.text_or_map", "text_or_map is the number 5"),
        ({"text_or_map": {"url": 5}}, "doc.text_or_map.url", "url is the number 5"),
        ({"text_or_map": {"url": ""}}, "doc.text_or_map.url", "url is empty"),
        ({"text_or_map": {}}, "doc.text_or_map", "url is missing"),
        ({"text_or_map": None}, "doc.text_or_map", "text_or_map has no value"),
        ({"words": "a"}, "doc.words", "words is the text 'a'"),
        ({"words": []}, "doc.words", "words is empty"),
        ({"words": ["a", 5]}, "doc.words.1", "item 2 of words is the number 5"),
        ({"named": {"k": "u"}}, "doc.named.k", "k is the text 'u'"),
        ({"named": {5: {"url": "u"}}}, "doc.named.5", "the key 5 is the number 5"),
        ({"values": {"k": [1]}}, "doc.values.k", "k is a list"),
        ({"values": {"k": True}}, "doc.values.k", "k is true"),
        ({"flag": "yes"}, "doc.flag", "flag is the text 'yes'"),
        ({"flag": 1}, "doc.flag", "flag is the number 1"),
        ({"share": "1"}, "doc.share", "share is the text '1'"),
        ({"limit": 0}, "doc.limit", "limit cannot be the number 0"),
        ({"limit": 10}, "doc.limit", "limit cannot be the number 10"),
        ({"limit": True}, "doc.limit", "limit is true"),
        ({"limit": 7}, "doc.limit", "seven is taken"),
        ({"to": "nowhere"}, "doc.to", "nowhere is no place"),
        ({"coded": "ABC"}, "doc.coded", "coded cannot be the text 'ABC'"),
        ({"coded": "abcde"}, "doc.coded", "coded is longer than 4 characters"),
        ({"named": {"k": {"url": "u/"}}}, "doc.named.k.url", "url names a directory"),
        ({"other": 1}, "doc.other", "unknown key 'other'"),
        ({8: 1}, "doc.8", "unknown key 8"),
    ],
)
def test_one_fault(change: dict[Any, Any], path: str, message: str) -> None:
    found = [(".".join(map(str, p.path)), p.message) for p in check(Outer, {**GOOD, **change}, ("doc",))]
    assert found == [(path, message)]


def test_all_faults_at_once_in_order() -> None:
    found = check(Outer, {"flag": 3, "wrods": ["a"], "named": {"a": {}, "b": {"url": 1}}, "limit": "x"})
    assert [p.path for p in found] == [
        ("flag",),
        ("wrods",),
        ("named", "a"),
        ("named", "b", "url"),
        ("limit",),
        (),
    ]
    assert found[1].near == "words"
    assert found[-1].message == "to is missing"


@pytest.mark.parametrize("value", [None, 5, "text", ["list"]])
def test_not_a_map_at_all(value: object) -> None:
    [problem] = check(Outer, value)
    assert problem.expected.startswith("a map with")


def test_what_was_expected_is_said_in_words() -> None:
    found = check(
        Outer, {**GOOD, "limit": "x", "words": 1, "coded": "A", "text_or_map": {"url": "u", "kind": "gzip"}}
    )
    expected = {p.path[-1]: (p.expected, p.near, p.hint) for p in found}
    assert expected["limit"][0] == "a whole number from 1 to 9"
    assert expected["words"][0] == "a list of text"
    assert expected["coded"][0] == "small letters"
    assert expected["kind"] == ("bz2, gz or xz", "gz", "")


def test_numbers_for_text_are_refused_with_advice() -> None:
    [problem] = check(Outer, {**GOOD, "to": 1.10})
    assert problem.hint == "put it in quotes if text is meant"


def test_unknown_keys_are_warnings_where_not_strict_and_are_left_out() -> None:
    data = {**GOOD, "other": 1, "named": {"k": {"url": "u", "extra": 2}}}
    assert {p.severity for p in check(Outer, data)} == {"error"}
    found = check(Outer, data, strict=False)
    assert [(p.severity, p.path) for p in found] == [
        ("warning", ("named", "k", "extra")),
        ("warning", ("other",)),
    ]
    assert convert(Outer, data).named["k"].url == "u"


def test_open_structs_allow_other_keys() -> None:
    assert check(Open, {"a": 1, "b": 2}) == []
    assert convert(Open, {"a": 1, "b": 2}).a == 1


def test_converting_what_was_not_checked_is_a_job_error() -> None:
    with pytest.raises(JobError, match=r"named\.k: url is missing"):
        convert(Outer, {**GOOD, "named": {"k": {}}})


@pytest.mark.parametrize(
    ("word", "known", "found"),
    [
        ("failure-retry", ["failure_retry", "failure_retry_interval"], "failure_retry"),
        ("Kernel", ["kernel", "dtb"], "kernel"),
        ("gzip", ["gz", "zip"], "gz"),
        ("metod", ["method", "media"], "method"),
        ("xyz", ["method"], ""),
        (5, ["5x"], "5x"),
    ],
)
def test_nearest(word: object, known: list[str], found: str) -> None:
    assert nearest(word, known) == found
