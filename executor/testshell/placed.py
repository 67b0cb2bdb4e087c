# SPDX-License-Identifier: Apache-2.0
"""A test definition with its place in the job, and all that goes into an overlay: plain data."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec

from executor.errors import JobError
from executor.testshell.definition import GitRepository, TestDefinition, repositories
from executor.testshell.runs import StreamDefinition

_NAME = re.compile(r"[-\w.]+\Z", re.ASCII)


class PlacedDefinition(msgspec.Struct, kw_only=True):
    """A definition in its job. `index` counts over all test blocks of the namespace (spec: test-shell §2)."""

    index: int
    name: str
    uuid: str
    definition: TestDefinition
    source_dir: Path | None = None  # the repository's content, with or without .git
    files: dict[str, bytes] = {}  # further files, by their path in the definition's directory
    parameters: dict[str, Any] = {}  # of the job
    skip_install: list[str] = []
    lava_signal: str = "stdout"  # or kmsg
    repository: str = ""
    revision: str = ""
    commit_id: str = ""
    path: str = ""
    from_: str = ""
    expected: list[str] = []  # of the job; the definition's own hold where it names none

    @property
    def run_id(self) -> str:
        """`<index>_<name>`, the suite's name. Raises JobError for a name that cannot be one."""
        if not _NAME.match(self.name):
            raise JobError(
                f"test definition name {self.name!r}: only letters, digits, '-', '_' and '.' are allowed",
                "give the definition a `name` in the job",
            )
        return f"{self.index}_{self.name}"

    @property
    def all_parameters(self) -> dict[str, Any]:
        """The definition's, then the job's: the later assignment wins (spec: test-shell §3)."""
        return {**self.definition.parameters, **self.parameters}

    @property
    def expected_cases(self) -> list[str]:
        return self.expected or self.definition.expected

    def git_repositories(self) -> list[GitRepository]:
        """What is to be cloned into the definition's directory. Raises JobError."""
        if "git-repos" in self.skip_install or "all" in self.skip_install:
            return []
        return repositories(self.definition.git_repos, self.all_parameters, self.name)

    def bzr_repositories(self) -> list[GitRepository]:
        """As `git_repositories`, for bzr."""
        if "all" in self.skip_install:
            return []
        return repositories(self.definition.bzr_repos, self.all_parameters, self.name, "bzr-repos")

    def for_stream(self) -> StreamDefinition:
        """What the reader of the console needs to know."""
        given = self.definition
        return StreamDefinition(self.index, self.run_id, self.uuid, given.pattern, given.fixup)


class Stage(msgspec.Struct):
    """One test block."""

    index: int
    definitions: list[PlacedDefinition]


class OverlayInput(msgspec.Struct, kw_only=True):
    """All that goes in. `results_dir` is the root on the device, such as /lava-42."""

    job_id: str
    results_dir: str
    sh: str = "/bin/sh"
    distro: str = ""
    environment: list[tuple[str, str]] = []  # later ones win
    secrets: dict[str, str] = {}
    stages: list[Stage] = []
    character_delay: float = 0  # ms
    target: dict[str, str] = {}  # target-ip, target-mac, probe-ip, probe-channel
    storage: list[tuple[str, str]] = []  # method, value
    authorized_keys: bytes = b""  # for root's ssh
    extra_helpers: dict[str, str] = {}  # name in bin/ -> text, such as the helpers of multinode jobs


class Overlay(msgspec.Struct):
    """What was written. `files`: members of the archive; `size`: bytes of `path`."""

    path: Path
    secrets_path: Path | None
    files: int
    size: int
