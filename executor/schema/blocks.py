# SPDX-License-Identifier: Apache-2.0
"""The actions of a job as a list of single blocks, repeat blocks expanded (spec: job-format §1, §7)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from executor.model.problem import Path, Problem
from executor.schema.words import nearest, shown

SECTIONS = ("deploy", "boot", "test", "command")
IGNORED = ("commands", "submit")
MAX_BLOCKS = 2000  # after expansion
_KNOWN = (*SECTIONS, "repeat")


@dataclass(frozen=True)
class Item:
    """One block. Copies of a repeat block share their `parameters`."""

    section: str
    parameters: dict[str, Any]
    path: Path
    iteration: int | None = None


def read_blocks(actions: list[Any], path: Path = ("actions",)) -> tuple[list[Item], list[Problem]]:
    """The blocks in order of execution, and what is wrong with the list."""
    reader = _Reader()
    reader.list(actions, path)
    return reader.items, reader.problems


class _Reader:
    def __init__(self) -> None:
        self.items: list[Item] = []
        self.problems: list[Problem] = []

    def add(self, message: str, path: Path, expected: str = "", near: str = "", hint: str = "") -> None:
        self.problems.append(Problem(message, path=path, expected=expected, near=near, hint=hint))

    def list(self, actions: list[Any], path: Path, inside: str = "") -> None:
        for number, item in enumerate(actions):
            here: Path = (*path, number)
            if not isinstance(item, dict):
                self.add(f"an action is {shown(item)}", here, "a map with one key, such as deploy")
            elif len(item) != 1:
                self._several(item, here)
            else:
                [(section, parameters)] = item.items()
                self._action(section, parameters, (*here, section), inside)

    def _several(self, item: dict[Any, Any], path: Path) -> None:
        """Most often the keys of a block stand where the block's name stands."""
        blocks = [k for k in item if k in _KNOWN]
        if not item:
            self.add("an action is empty", path, "a map with one key, such as deploy")
        elif len(blocks) > 1:
            self.add(
                f"{', '.join(blocks)} stand in one action",
                path,
                "a map with one key",
                hint="begin each with '- '",
            )
        else:
            hint = f"indent what belongs to {blocks[0]} deeper than {blocks[0]} itself" if blocks else ""
            names = ", ".join(str(k) for k in list(item)[:8])
            self.add(
                f"an action has {len(item)} keys: {names}",
                path,
                "a map with one key, such as deploy",
                hint=hint,
            )

    def _action(self, section: Any, parameters: Any, path: Path, inside: str) -> None:
        if section in IGNORED:
            self.problems.append(Problem(f"{section} is ignored", path=path, severity="warning"))
        elif section == "actions" and isinstance(parameters, list) and not inside:
            self.list(parameters, path, inside)
        elif section not in _KNOWN:
            known = ", ".join(_KNOWN)
            self.add(f"unknown action {section!r}", path, f"one of {known}", nearest(section, _KNOWN))
        elif inside and section not in ("boot", "test"):
            self.add(f"{section} inside a repeat block", path, "boot and test only")
        elif not isinstance(parameters, dict):
            hint = (
                f"indent what belongs to {section} deeper than {section} itself" if parameters is None else ""
            )
            self.add(f"{section} is {shown(parameters)}", path, "a map", hint=hint)
        elif section == "repeat":
            self._repeat(parameters, path)
        elif len(self.items) >= MAX_BLOCKS:
            if len(self.items) == MAX_BLOCKS and not any("more than" in p.message for p in self.problems):
                self.add(f"more than {MAX_BLOCKS} blocks", path)
        else:
            self.items.append(Item(section, parameters, path))

    def _repeat(self, parameters: dict[Any, Any], path: Path) -> None:
        for key in parameters:
            if key not in ("count", "actions"):
                near = nearest(key, ("count", "actions"))
                self.add(f"unknown key {key!r}", (*path, key), "count and actions", near)
        count = parameters.get("count")
        good = isinstance(count, int) and not isinstance(count, bool) and count >= 1
        if "count" not in parameters:
            self.add("count is missing", path, "count: how often, at least 1")
        elif not good:
            self.add(f"count is {shown(count)}", (*path, "count"), "a whole number of at least 1")
        actions = parameters.get("actions")
        if not isinstance(actions, list):
            self.add(f"actions is {shown(actions)}", path, "actions: a list of boot and test")
            return
        inner = _Reader()
        inner.list(actions, (*path, "actions"), inside="repeat")
        self.problems += inner.problems
        if not good or not isinstance(count, int):
            count = 1
        if len(self.items) + count * len(inner.items) > MAX_BLOCKS:
            self.add(f"more than {MAX_BLOCKS} blocks, with all copies", (*path, "count"))
            count = 1
        for iteration in range(count):
            self.items += [Item(i.section, i.parameters, i.path, iteration) for i in inner.items]
