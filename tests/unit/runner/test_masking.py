# SPDX-License-Identifier: Apache-2.0
"""Secrets never reach the journal, however they are cut, quoted or begin alike."""

from __future__ import annotations

import json
import shlex

import pytest

from executor.runner.masking import MASK, Masker

CHANNEL = ("target", "")


def test_every_occurrence_goes() -> None:
    assert Masker(["hunter2"]).text("hunter2, then hunter2.") == f"{MASK}, then {MASK}."


@pytest.mark.parametrize("order", [["tok", "token-1234"], ["token-1234", "tok"]])
def test_the_longer_of_two_that_begin_alike_goes_as_a_whole(order: list[str]) -> None:
    assert Masker(order).text("token-1234 tok") == f"{MASK} {MASK}"


def test_empty_secrets_are_no_secrets() -> None:
    masker = Masker(["", MASK])
    assert not masker.active
    assert masker.text("abc") == "abc"


@pytest.mark.parametrize("secret", ['it\'s "so"', "back\\slash", "tab\there", "$(x) `y`", "ümläut €"])
def test_a_secret_is_known_in_the_spellings_that_logs_have(secret: str) -> None:
    masker = Masker([secret])
    for spelled in (secret, repr(secret), shlex.quote(secret), json.dumps(secret, ensure_ascii=False)):
        assert masker.text(f"<{spelled}>").strip("<>'\"") == MASK


def test_lines_of_a_long_secret_go_one_by_one_and_short_ones_stay() -> None:
    masker = Masker(["-----BEGIN KEY-----\nMIIEowIBAAKCAQEA\nx\n"])
    assert masker.text("MIIEowIBAAKCAQEA") == MASK
    assert masker.text("x marks the spot") == "x marks the spot"
    assert masker.text("a\n-----BEGIN KEY-----\nMIIEowIBAAKCAQEA\nx\nb") == f"a\n{MASK}b"


def test_maps_lists_and_keys_are_looked_through() -> None:
    given = {"a": ["hunter2", 5, None], "hunter2": {"b": ("x hunter2",)}, 5: 6}
    found = Masker(["hunter2"]).message("header", given)
    assert found == {"a": [MASK, 5, None], MASK: {"b": [f"x {MASK}"]}, 5: 6}


def test_the_formats_own_words_stay_whatever_the_secrets_are() -> None:
    masker = Masker(["pass", "start", "boot", "Job"])
    record = {"result": "pass", "case": "boot", "extra": {"result": "pass"}}
    assert masker.message("results", record) == {"result": "pass", "case": MASK, "extra": {"result": MASK}}
    mark = {"what": "start", "name": "boot-image-retry", "error_msg": "boot failed"}
    assert masker.message("action", mark) == {**mark, "error_msg": f"{MASK} failed"}
    tree = [{"name": "boot-image-retry", "label": "boot", "pipeline": [{"name": "boot", "label": "x"}]}]
    masked = [{"name": "boot-image-retry", "label": MASK, "pipeline": [{"name": "boot", "label": "x"}]}]
    assert masker.message("pipeline", tree) == masked
    assert masker.message("end", {"error_type": "Job"}) == {"error_type": "Job"}


def test_a_secret_cut_by_a_pause_in_the_middle_of_a_line_loses_its_end() -> None:
    masker = Masker(["hunter2hunter2"])
    assert masker.pieces(CHANNEL, ["password: hunter2h"]) == ["password: hunter2h"]
    assert masker.pieces(CHANNEL, ["unter2 ok", "next"]) == [f"{MASK} ok", "next"]


def test_it_may_be_cut_more_than_once() -> None:
    masker = Masker(["0123456789"])
    assert masker.pieces(CHANNEL, ["a 012"]) == ["a 012"]
    assert masker.pieces(CHANNEL, ["345"]) == ["345"]
    assert masker.pieces(CHANNEL, ["6789 b"]) == [f"{MASK} b"]


def test_other_consoles_are_not_mixed_in() -> None:
    masker = Masker(["hunter2hunter2"])
    masker.pieces(CHANNEL, ["hunter2h"])
    assert masker.pieces(("feedback", "b"), ["unter2"]) == ["unter2"]


def test_what_spans_whole_lines_may_pass() -> None:
    masker = Masker(["hunter2hunter2"])
    assert masker.pieces(CHANNEL, ["x", "hunter2h", "unter2"]) == ["x", "hunter2h", "unter2"]


def test_short_secrets_do_not_eat_the_beginning_of_lines() -> None:
    masker = Masker(["sa"])
    assert masker.pieces(CHANNEL, ["this"]) == ["this"]
    assert masker.pieces(CHANNEL, ["apple"]) == ["apple"]


def test_more_secrets_can_be_told_later() -> None:
    masker = Masker(["one-one"])
    masker.hide(["two-two"])
    assert masker.text("one-one two-two") == f"{MASK} {MASK}"
