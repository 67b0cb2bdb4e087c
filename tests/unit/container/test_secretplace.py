# SPDX-License-Identifier: Apache-2.0
"""Secrets leave the definition, and everything else in it stays where it was."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from executor.container.secretplace import MASK, load, masked, memory_directory, split_secrets, store
from executor.errors import InfrastructureError, JobError


def test_lines_keep_their_numbers() -> None:
    text = "job_name: x\nsecrets:\n  TOKEN: s3cret  # of the lab\n  KEY: |\n    line one\n    line two\n"
    text += "actions: []\n"
    clean, values = split_secrets(text)
    assert values == {"TOKEN": "s3cret", "KEY": "line one\nline two\n"}
    assert "s3cret" not in clean
    assert "line one" not in clean
    assert clean.splitlines().index("actions: []") == text.splitlines().index("actions: []")
    assert yaml.safe_load(clean) == {"job_name": "x", "secrets": {"TOKEN": MASK, "KEY": MASK}, "actions": []}


@pytest.mark.parametrize("text", ["", "a: 1\n", "secrets:\n", "secrets: {}\n", "[1, 2]\n", "secrets: word\n"])
def test_nothing_to_split(text: str) -> None:
    assert split_secrets(text) == (text, {})


@pytest.mark.parametrize(
    "text",
    [
        "secrets: {A: one, B: 2}\nother: yes\n",
        "base: &b {A: one}\nsecrets:\n  <<: *b\n  B: two\n",
        "x: &v one\nsecrets: {A: *v}\nagain: *v\n",
        'secrets: {"A": "one: two", B: [1, 2]}\n',
        "secrets:\n  A: >-\n    one\n    two",
    ],
)
def test_odd_forms(text: str) -> None:
    before = yaml.safe_load(text)
    clean, values = split_secrets(text)
    after = yaml.safe_load(clean)
    assert set(after["secrets"].values()) == {MASK}
    assert {k: v for k, v in after.items() if k != "secrets"} == {
        k: v for k, v in before.items() if k != "secrets"
    }
    assert values == {name: str(value) for name, value in before["secrets"].items()}


def test_no_yaml() -> None:
    with pytest.raises(JobError, match="not YAML"):
        split_secrets("a: [1\n")


@given(
    st.dictionaries(st.text(min_size=1, max_size=8), st.text(max_size=20), min_size=1, max_size=4), st.text()
)
def test_any_secrets_come_out_and_nothing_else_changes(values: dict[str, str], other: str) -> None:
    document = {"before": other, "secrets": values, "after": [other]}
    clean, found = split_secrets(yaml.safe_dump(document, sort_keys=False))
    assert found == values
    assert yaml.safe_load(clean) == {**document, "secrets": dict.fromkeys(values, MASK)}


def test_stored_in_memory_and_private() -> None:
    path = store({"TOKEN": "s3cret"}, os.geteuid())
    try:
        assert load(path) == {"TOKEN": "s3cret"}
        assert path.stat().st_mode & 0o777 == 0o400
        assert path.parent.stat().st_mode & 0o022 == 0
    finally:
        path.unlink()
    assert load(path) == {}


def test_no_memory_no_secrets(tmp_path: Path) -> None:
    with pytest.raises(InfrastructureError, match="memory-backed"):
        memory_directory([tmp_path / "on-disk"])


def test_directory_of_somebody_else_is_not_used() -> None:
    theirs = Path(f"/dev/shm/lava-exec-of-others-{os.getpid()}")
    theirs.mkdir(mode=0o700)
    try:
        theirs.chmod(0o777)
        with pytest.raises(InfrastructureError):
            memory_directory([theirs])
    finally:
        theirs.rmdir()


def test_masked_longest_first() -> None:
    assert masked("abc abcd", {"A": "abc", "B": "abcd", "C": ""}) == f"{MASK} {MASK}"
