# SPDX-License-Identifier: Apache-2.0
"""One entry of `definitions` in a test block: what the job says of it (spec: job-format §7)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from executor.errors import TestError
from executor.model.problem import Problem

if TYPE_CHECKING:
    from executor.model.job import Block
    from executor.model.problem import Path


@dataclass(frozen=True)
class Definition:
    """One entry of `definitions`."""

    index: int  # number in the overlay
    given: dict[str, Any]
    block: Block
    number: int = 0  # within its block
    suite: int = 0  # number that its suite is called by

    @property
    def origin(self) -> str:
        return str(self.given.get("from", ""))

    @property
    def name(self) -> str:
        """The job's name for it; for an inline definition without one, its metadata's."""
        name, repository = self.given.get("name"), self.given.get("repository")
        if not name and isinstance(repository, dict):
            metadata = repository.get("metadata")
            name = metadata.get("name") if isinstance(metadata, dict) else ""
        return str(name or "")

    @property
    def path(self) -> str:
        """The YAML file inside the repository. A repository that is that file itself needs none."""
        given = str(self.given.get("path") or "")
        if given:
            return given
        if self.origin == "inline":
            return f"inline/{self.name}.yaml"
        file = PurePosixPath(self.repository_text)
        return file.name if self.origin == "file" and file.suffix in (".yaml", ".yml") else ""

    @property
    def repository_text(self) -> str:
        repository = self.given.get("repository")
        return repository if isinstance(repository, str) else ""

    @property
    def branch(self) -> str:
        return str(self.given.get("branch") or "")

    @property
    def revision(self) -> str:
        return str(self.given.get("revision") or "")

    @property
    def parameters(self) -> dict[str, Any]:
        """`parameters`, then `params`: the later assignment wins (spec: test-shell §3)."""
        merged: dict[str, Any] = {}
        for key in ("parameters", "params"):
            value = self.given.get(key) or {}
            if not isinstance(value, dict):
                raise TestError(f"{self.name}: {key} is not a map")
            merged |= value
        return merged

    @property
    def skip_install(self) -> list[str]:
        return [str(word) for word in self.given.get("skip_install") or []]

    @property
    def lava_signal(self) -> str:
        return str(self.given.get("lava-signal") or "stdout")

    @property
    def expected(self) -> list[str]:
        return [str(word) for word in self.given.get("expected") or []]

    @property
    def may_clone(self) -> bool:
        """Can its `install` name repositories? Only what stands in the job is known before it is fetched."""
        repository = self.given.get("repository")
        if "all" in self.skip_install:
            return False
        if not isinstance(repository, dict):
            return True
        install = repository.get("install") or {}
        return bool(install.get("git-repos") or install.get("bzr-repos"))

    @property
    def place(self) -> Path:
        """Where it stands in the job, for messages."""
        return (*self.block.path, "definitions", self.number)

    def problems(self) -> Iterator[Problem]:
        """What the job's parser lets pass and cannot be run all the same."""
        if self.name == "lava":
            text = "a test definition cannot be called 'lava': that suite is the executor's own"
            yield Problem(text, error_type="Test", path=(*self.place, "name"))
        if not self.path:
            hint = "`path` names the YAML file inside the repository"
            yield Problem(f"{self.name}: path is missing", path=self.place, hint=hint)
        elif self.path.startswith("/") or ".." in self.path.split("/"):
            text = f"{self.name}: path {self.path!r} leads out of the repository"
            yield Problem(text, path=(*self.place, "path"))
