# SPDX-License-Identifier: Apache-2.0
"""A "Lava-Test Test Definition 1.0" as typed data (spec: test-shell §1)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from executor.errors import JobError, TestError
from executor.model.problem import Problem
from executor.model.testblocks import FORMATS, InlineDefinition
from executor.schema.check import check
from executor.schema.loader import load_yaml
from executor.testshell.signals import FIRST_PATTERN

MAX_BYTES = 1 << 20
FIRST_FORMAT = FORMATS[1]
_SECTIONS = ("metadata", "install", "run", "parse")
_PLAIN_NAME = re.compile(r"[\w.+@-][\w.+@ -]*\Z")


class GitRepository(msgspec.Struct, frozen=True):
    """One entry of `install: git-repos` or `bzr-repos`. `destination` is a direct child of the definition's
    directory.
    """

    url: str
    destination: str
    branch: str = ""


class TestDefinition(msgspec.Struct, kw_only=True):
    """What the YAML file says. `parameters` are `params`, then `parameters`: the later assignment wins."""

    __test__ = False
    name: str
    description: str = ""
    version: str = ""
    parameters: dict[str, Any] = {}
    keys: list[str] = []
    sources: list[str] = []
    packages: dict[str, list[str]] = {}  # distribution -> deps-<distribution>; "" -> deps
    git_repos: list[str | dict[str, Any]] = []
    bzr_repos: list[str | dict[str, Any]] = []
    install_steps: list[str] = []
    has_install: bool = False
    run_steps: list[str] = []
    pattern: str = ""
    fixup: dict[str, str] = {}
    expected: list[str] = []
    text: str = ""  # the file as it is

    def dependencies(self, distro: str) -> list[str]:
        """Packages for `distro`: `deps` and `deps-<distro>`."""
        return self.packages.get("", []) + (self.packages.get(distro, []) if distro else [])


def read_definition(file: Path, where: str) -> TestDefinition:
    """Read a definition from a file that a repository brought. Raises what `parse_definition` raises."""
    if file.stat().st_size > MAX_BYTES:
        raise _too_large(where)
    data = file.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise JobError(
            f"{where}:{line}: not UTF-8: byte {data[error.start]:#04x} cannot stand here",
            "save the file as UTF-8",
        ) from None
    return parse_definition(text, where)


def _too_large(where: str) -> JobError:
    return JobError(f"{where}: larger than {MAX_BYTES >> 20} MiB, that is no test definition")


def parse_definition(text: str, where: str) -> TestDefinition:
    """Read a definition; `where` names it in messages.

    Raises JobError for what is no definition, with all that is wrong with it; TestError for parameters that
    are no map (spec: test-shell §3).
    """
    if len(text) > MAX_BYTES:
        raise _too_large(where)
    document = load_yaml(text, where)
    data = _without_empty(document.data)
    if not document.problems and isinstance(data, dict):
        for key in ("params", "parameters"):
            if not isinstance(data.get(key, {}), dict):
                raise TestError(f"{where}: {key} is not a map of names and values")
    problems = document.problems or check(InlineDefinition, data, strict=False)
    found = [_told(document.locate(p), where) for p in problems if p.severity == "error"]
    if found:
        raise JobError(
            "; ".join(found), "a definition needs metadata with format and name, and run with steps"
        )
    install = data.get("install") or {}
    parse = data.get("parse") or {}
    pattern = str(parse.get("pattern") or "") or _first_pattern(data)
    if pattern and "test_case_id" not in re.compile(pattern).groupindex:
        raise JobError(f"{where}: parse.pattern has no group test_case_id")
    return TestDefinition(
        name=str(data["metadata"]["name"]),
        description=str(data["metadata"].get("description") or ""),
        version=str(data["metadata"].get("version") or ""),
        parameters={**data.get("params", {}), **data.get("parameters", {})},
        keys=install.get("keys", []),
        sources=install.get("sources", []),
        packages=_packages(install, where),
        git_repos=install.get("git-repos", []),
        bzr_repos=install.get("bzr-repos", []),
        install_steps=_steps(install),
        has_install=bool(install),
        run_steps=_steps(data["run"]),
        pattern=pattern,
        fixup=parse.get("fixupdict", {}),
        expected=data.get("expected", []),
        text=text,
    )


def _first_pattern(data: dict[str, Any]) -> str:
    """The pattern that a definition without `parse` had in the first years (spec: test-shell §1).

    It holds for those in the format's first name which do not report by helpers: from others a line of output
    that looks like a result would be taken for one.
    """
    reports = any("lava-test-" in step for step in _steps(data["run"]))
    return "" if data["metadata"]["format"] != FIRST_FORMAT or data.get("parse") or reports else FIRST_PATTERN


def repositories(
    entries: list[str | dict[str, Any]], parameters: Mapping[str, Any], where: str, key: str = "git-repos"
) -> list[GitRepository]:
    """What `git-repos` or `bzr-repos` name. Values that are the name of a parameter stand for its value.

    Raises JobError for an entry without URL or with a destination that is no direct child (spec: test-shell
    §3).
    """
    found = []
    for entry in entries:
        given = {"url": entry} if isinstance(entry, str) else entry
        if given.get("skip_by_default"):
            continue
        url, branch, wanted = (
            _valued(given.get(key), parameters) for key in ("url", "branch", "destination")
        )
        if not url:
            raise JobError(f"{where}: an entry of {key} has no url")
        destination = wanted or re.split("[/:]", url.rstrip("/"))[-1].removesuffix(".git")
        if destination in (".", "..", ".git") or not _PLAIN_NAME.match(destination) or destination[0] == "-":
            raise JobError(
                f"{where}: {key} destination {destination!r} is not a plain name",
                "it must be a direct child of the test's directory",
            )
        found.append(GitRepository(url, destination, branch))
    return found


def _valued(value: object, parameters: Mapping[str, Any]) -> str:
    text = "" if value is None else str(value)
    return str(parameters[text]) if text in parameters else text


def _told(problem: Problem, where: str) -> str:
    place = problem.where if problem.file else f"{where}: {problem.where}"
    wanted = f" (wanted: {problem.expected})" if problem.expected else ""
    return f"{place}: {problem.message}{wanted}" if place else problem.message + wanted


def _without_empty(data: Any) -> Any:
    """Keys and list items without a value mean nothing (`deps:` with all its lines commented out)."""
    if not isinstance(data, dict):
        return data
    filled = {key: value for key, value in data.items() if value is not None}
    for section in _SECTIONS:
        if isinstance(filled.get(section), dict):
            inner = filled[section].items()
            filled[section] = {key: value for key, value in inner if value is not None}
    return filled


def _steps(section: dict[str, Any]) -> list[str]:
    return [step for step in section.get("steps", []) if step is not None]


def _packages(install: dict[str, Any], where: str) -> dict[str, list[str]]:
    found = {}
    for key, value in install.items():
        if key != "deps" and not str(key).startswith("deps-"):
            continue
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise JobError(f"{where}: install.{key} is not a list of packages")
        found[str(key)[5:]] = value
    return found
