# SPDX-License-Identifier: Apache-2.0
"""A "Lava-Test Test Definition 1.0" as typed data (spec: test-shell §1)."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import yaml

from executor.errors import JobError, TestError

FORMATS = ("Lava-Test Test Definition 1.0", "Lava-Test-Shell Test Definition 1.0")
MAX_BYTES = 1 << 20


class GitRepository(msgspec.Struct, frozen=True):
    """One entry of `install: git-repos`. `destination` is a direct child of the definition's directory."""

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
    install: dict[str, Any] = {}
    run_steps: list[str] = []
    pattern: str = ""
    fixup: dict[str, str] = {}
    expected: list[str] = []

    def dependencies(self, distro: str) -> list[str]:
        """Packages for `distro`: `deps` and `deps-<distro>`."""
        return [*_texts(self.install.get("deps")), *_texts(self.install.get(f"deps-{distro}"))]

    def steps(self, section: str) -> list[str]:
        """Steps of `install` or `run`, empty ones left out."""
        return self.run_steps if section == "run" else _texts(self.install.get("steps"))


def parse_definition(text: str, where: str) -> TestDefinition:
    """Read a definition. Raises JobError for what is no definition, TestError for bad parameters; both name the place."""
    if len(text) > MAX_BYTES:
        raise JobError(f"{where}: larger than {MAX_BYTES >> 20} MiB, that is no test definition")
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise JobError(f"{where}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise JobError(f"{where}: not a test definition: a map with metadata and run is wanted")
    metadata = _map(data, "metadata", where)
    if metadata.get("format") not in FORMATS:
        raise JobError(
            f"{where}: metadata.format is {metadata.get('format')!r}", f"write `format: {FORMATS[0]}`"
        )
    if not metadata.get("name"):
        raise JobError(f"{where}: metadata.name is missing")
    parse = _map(data, "parse", where)
    parameters = {**_parameters(data, "params", where), **_parameters(data, "parameters", where)}
    return TestDefinition(
        name=str(metadata["name"]),
        description=str(metadata.get("description") or ""),
        version=str(metadata.get("version") or ""),
        parameters=parameters,
        install=_map(data, "install", where),
        run_steps=_texts(_map(data, "run", where).get("steps")),
        pattern=_pattern(parse.get("pattern"), where),
        fixup={str(k): str(v) for k, v in _map(parse, "fixupdict", where).items()},
        expected=[str(e) for e in data.get("expected") or []],
    )


def git_repositories(definition: TestDefinition, parameters: dict[str, Any]) -> list[GitRepository]:
    """`install: git-repos`; values that name a parameter are replaced by it. Raises JobError for a bad destination."""
    found = []
    for entry in definition.install.get("git-repos") or []:
        given = {"url": entry} if isinstance(entry, str) else dict(entry)
        if given.get("skip_by_default"):
            continue
        url, branch, wanted = (
            _substituted(given.get(k), parameters) for k in ("url", "branch", "destination")
        )
        if not url:
            raise JobError(f"{definition.name}: git-repos entry without url")
        destination = wanted or url.rstrip("/").rsplit("/", 1)[-1].removesuffix(".git")
        if "/" in destination or destination in ("", ".", ".."):
            raise JobError(
                f"{definition.name}: git-repos destination {destination!r} is not a plain name",
                "it must be a direct child of the test's directory",
            )
        found.append(GitRepository(url, destination, branch))
    return found


def _substituted(value: object, parameters: dict[str, Any]) -> str:
    text = str(value or "")
    return str(parameters[text]) if text in parameters else text


def _pattern(value: object, where: str) -> str:
    if not value:
        return ""
    try:
        groups = re.compile(str(value), re.MULTILINE).groupindex
    except re.error as error:
        raise JobError(f"{where}: parse.pattern is no regular expression: {error}") from error
    if "test_case_id" not in groups:
        raise JobError(f"{where}: parse.pattern has no group test_case_id")
    return str(value)


def _map(data: dict[str, Any], key: str, where: str) -> dict[str, Any]:
    value = data.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise JobError(f"{where}: {key} is not a map")
    return value


def _parameters(data: dict[str, Any], key: str, where: str) -> dict[str, Any]:
    value = data.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise TestError(f"{where}: {key} is not a map")
    return value


def _texts(value: object) -> list[str]:
    if value is None:
        return []
    if isinstance(value, str):
        return [value]
    return [str(v) for v in value if v is not None] if isinstance(value, list) else []
