# SPDX-License-Identifier: Apache-2.0
"""Test definitions: what they may say, and that every fault is named with its place."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from executor.errors import JobError, TestError
from executor.testshell.definition import GitRepository, parse_definition, repositories

HEAD = "metadata: {format: Lava-Test Test Definition 1.0, name: disk}\n"
RUN = "run: {steps: [true]}\n".replace("true", "'true'")


def test_everything_that_a_definition_can_say() -> None:
    text = """
metadata:
  format: Lava-Test-Shell Test Definition 1.0
  name: disk-check
  description: small disk test
  version: 3
  maintainer: [me@example.org]
params: {MNT: /mnt, KEEP: 1}
parameters: {MNT: /data}
install:
  keys: [ABCD]
  sources: ['deb http://h/ x main']
  deps: [e2fsprogs]
  deps-debian: [util-linux]
  git-repos: [{url: 'https://example.org/tools.git', branch: main}]
  steps: [make, null]
run:
  steps:
  - lava-test-case a --shell true
  -
  - "echo: done"
parse:
  pattern: '(?P<test_case_id>\\S+): (?P<result>\\S+)'
  fixupdict: {OK: pass}
expected: [a]
something-else: {of: somebody}
"""
    found = parse_definition(text, "disk.yaml")
    assert (found.name, found.description, found.version) == ("disk-check", "small disk test", "3")
    assert found.parameters == {"MNT": "/data", "KEEP": 1}
    assert found.dependencies("debian") == ["e2fsprogs", "util-linux"]
    assert found.dependencies("oe") == ["e2fsprogs"]
    assert (found.keys, found.sources) == (["ABCD"], ["deb http://h/ x main"])
    assert (found.install_steps, found.has_install) == (["make"], True)
    assert found.run_steps == ["lava-test-case a --shell true", "echo: done"]
    assert found.fixup == {"OK": "pass"}
    assert found.expected == ["a"]
    assert found.text == text


def test_keys_without_a_value_mean_nothing() -> None:
    found = parse_definition(HEAD + RUN + "install:\n  deps:\nparams:\nexpected:\n", "d.yaml")
    assert found.dependencies("") == []
    assert found.has_install is False


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[]", "the document is a list"),
        ("a: [", "not valid YAML"),
        (HEAD, "run is missing"),
        (RUN, "metadata is missing"),
        (HEAD.replace("1.0", "2.0") + RUN, "format cannot be"),
        (HEAD + "run: {steps: [{echo: x}]}", "run.steps[0]: item 1 of steps is a map"),
        (HEAD + "run: {steps: echo}", "run.steps"),
        (HEAD + RUN + "install: {deps: vim}", "install.deps: deps is the text 'vim'"),
        (HEAD + RUN + "install: {deps-oe: vim}", "install.deps-oe is not a list of packages"),
        (HEAD + RUN + "parse: {pattern: '('}", "parse.pattern: pattern is no regular expression"),
        (HEAD + RUN + "parse: {pattern: 'x'}", "no group test_case_id"),
        ("x" * (1 << 20) + "x", "larger than 1 MiB"),
    ],
)
def test_faults_are_named_with_their_file_and_key(text: str, told: str) -> None:
    with pytest.raises(JobError) as caught:
        parse_definition(text, "disk.yaml")
    assert told in caught.value.message
    assert caught.value.message.startswith("disk.yaml")


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(JobError) as caught:
        parse_definition("metadata: {format: x}\nrun: {steps: [{a: b}]}", "d.yaml")
    assert "name is missing" in caught.value.message
    assert "d.yaml:2:15" in caught.value.message


@pytest.mark.parametrize("key", ["params", "parameters"])
def test_parameters_that_are_no_map_are_a_test_error(key: str) -> None:
    with pytest.raises(TestError, match=f"{key} is not a map"):
        parse_definition(f"{HEAD}{RUN}{key}: [1]", "d.yaml")


def test_repositories_and_parameters_that_stand_for_values() -> None:
    entries: list[str | dict[str, object]] = [
        "https://h/tools.git",
        {"url": "URL", "branch": "BRANCH", "destination": "here"},
        {"url": "https://h/skipped.git", "skip_by_default": True},
        {"url": "https://h/a/b/"},
    ]
    found = repositories(entries, {"URL": "https://h/x.git", "BRANCH": 12}, "disk")  # type: ignore[arg-type]
    assert found == [
        GitRepository("https://h/tools.git", "tools"),
        GitRepository("https://h/x.git", "here", "12"),
        GitRepository("https://h/a/b/", "b"),
    ]


@pytest.mark.parametrize("destination", ["../x", "/x", "..", ".git", "a/b", "-x"])
def test_a_destination_is_a_direct_child(destination: str) -> None:
    with pytest.raises(JobError, match="not a plain name"):
        repositories([{"url": "https://h/x.git", "destination": destination}], {}, "disk")
    with pytest.raises(JobError, match="no url"):
        repositories([{"branch": "x"}], {}, "disk")


@pytest.mark.parametrize(
    ("format_", "step", "parse", "expected"),
    [
        ("Lava-Test-Shell Test Definition 1.0", "./run", {}, {"a-1": "PASS"}),
        ("Lava-Test-Shell Test Definition 1.0", "lava-test-case x --result pass", {}, {}),
        ("Lava-Test-Shell Test Definition 1.0", "./run", {"parse": {"fixupdict": {"OK": "pass"}}}, {}),
        ("Lava-Test Test Definition 1.0", "./run", {}, {}),
    ],
)
def test_definitions_of_the_first_years_have_a_pattern(
    format_: str, step: str, parse: dict[str, Any], expected: dict[str, str]
) -> None:
    data = {"metadata": {"format": format_, "name": "x"}, "run": {"steps": [step]}, **parse}
    pattern = parse_definition(yaml.safe_dump(data), "x").pattern
    found = re.finditer(pattern, "a-1 : PASS\n") if pattern else ()
    assert {m["test_case_id"]: m["result"] for m in found} == expected
