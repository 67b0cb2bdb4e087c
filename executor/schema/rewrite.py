# SPDX-License-Identifier: Apache-2.0
"""The small steps by which old forms become today's, with a record of each and of what moved where."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from executor.model.problem import Path, Problem, dotted
from executor.model.timeouts import UNITS, read_timeout


@dataclass(frozen=True)
class Rewrite:
    """One old form that was read as today's."""

    path: Path
    old: str
    new: str

    def __str__(self) -> str:
        return f"{dotted(self.path)}: {self.old} → {self.new}"


@dataclass
class RawBlock:
    """A block while it is normalised."""

    section: str
    parameters: dict[str, Any]
    path: Path

    @property
    def namespace(self) -> object:
        return self.parameters.get("namespace") or "common"


@dataclass
class Rewriter:
    """Collects rewrites, faults, and from where in the document moved values come."""

    rewrites: list[Rewrite] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    moved: dict[Path, Path] = field(default_factory=dict)

    def log(self, path: Path, old: str, new: str) -> None:
        """Record a rewrite."""
        self.rewrites.append(Rewrite(path, old, new))

    def move(self, path: Path, old: str, new: str) -> None:
        """Record that a key of the map at `path` has another name now."""
        self.moved[(*path, new)] = (*path, old)
        self.log(path, old, new)

    def rename(self, p: dict[str, Any], old: str, new: str, path: Path) -> None:
        """Give a key its name of today, unless that is there as well."""
        if old in p and new not in p:
            p[new] = p.pop(old)
            self.move(path, old, new)

    def url(self, p: dict[str, Any], key: Any, path: Path) -> None:
        """A bare URL becomes a resource."""
        if isinstance(p.get(key), str):
            self.log((*path, key), "a bare URL", "{url: …}")
            p[key] = {"url": p[key]}

    def fold(self, p: dict[str, Any], key: str, target: str, new: str, path: Path) -> None:
        """A key beside a resource goes into it, unless the resource says it already."""
        inner = p.get(target)
        if isinstance(p.get(key), str) and isinstance(inner, dict) and new not in inner:
            inner[new] = p.pop(key)
            self.moved[(*path, target, new)] = (*path, key)
            self.log(path, key, f"{target}.{new}")

    def timeout(self, p: dict[str, Any], key: str, path: Path) -> None:
        """Text or a number becomes a map of units."""
        value = p.get(key)
        if isinstance(value, (str, int)) and not read_timeout(value)[1]:
            p[key] = as_map(read_timeout(value)[0])
            self.log((*path, key), str(value), flow(p[key]))


def origin(path: Path, moved: dict[Path, Path]) -> Path:
    """The path in the document of a path in the canonical form."""
    for length in range(len(path), 0, -1):
        if path[:length] in moved:
            return moved[path[:length]] + path[length:]
    return path


def as_map(seconds: int) -> dict[str, int]:
    """Seconds in the largest unit that expresses them exactly."""
    for unit, factor in UNITS.items():
        if seconds % factor == 0:
            return {unit: seconds // factor}
    return {"seconds": seconds}


def flow(data: dict[str, Any]) -> str:
    """A map as YAML would write it in one line."""
    return "{" + ", ".join(f"{k}: {v}" for k, v in data.items()) + "}"
