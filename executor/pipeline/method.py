# SPDX-License-Identifier: Apache-2.0
"""A method turns a block of the job into a top action: one class a way to deploy, boot or test.

Adding a method is one module below executor/actions/<section>/ with a class marked by `@method`, or a package
of its own that names such a module in the entry point group `lava_exec.methods`. A class that is not marked
is never used, and the same section and name twice is an error.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, TypeGuard, TypeVar

from executor.errors import Bug

if TYPE_CHECKING:
    import msgspec

    from executor.pipeline.action import Action
    from executor.pipeline.planner import Request

GROUP = "lava_exec.methods"  # of entry points
SECTIONS = ("deploy", "boot", "test", "command")


class Method:
    """The base of all methods.

    `name` is how refusals call it; `Parameters` is the typed form of the block, from which schema and
    reference page come. When several accept, the highest `priority` wins, then the order of names (spec:
    action-pipeline §1).
    """

    section: ClassVar[str]
    name: ClassVar[str]
    summary: ClassVar[str] = ""
    priority: ClassVar[int] = 1
    Parameters: ClassVar[type[msgspec.Struct]]

    @classmethod
    def accepts(cls, request: Request) -> str:
        """Empty for yes, else the reason for no; from device and block only."""
        raise NotImplementedError

    @classmethod
    def action(cls, request: Request) -> Action:
        """The top action for an accepted block."""
        raise NotImplementedError


M = TypeVar("M", bound=type[Method])


def method(section: str) -> Callable[[M], M]:
    """Mark a class as the method of `section`; see the module's docstring."""
    if section not in SECTIONS:
        raise Bug(f"no such section: {section}")

    def mark(cls: M) -> M:
        cls.section = section
        cls.__lava_method__ = True  # type: ignore[attr-defined]
        return cls

    return mark


def _is_method(value: Any) -> TypeGuard[type[Method]]:
    """Marked itself; a class that derives from a marked one is not a method by that."""
    return isinstance(value, type) and issubclass(value, Method) and "__lava_method__" in value.__dict__


class Registry:
    """All methods, by section. Immutable once built."""

    def __init__(self, modules: list[ModuleType], finalize: Callable[[], Action]) -> None:
        self.finalize = finalize  # makes the action that ends every plan
        found: dict[tuple[str, str], type[Method]] = {}
        for module in modules:
            for value in vars(module).values():
                if not _is_method(value) or value.__module__ != module.__name__:
                    continue
                key = (value.section, value.name)
                if key in found:
                    raise Bug(f"two methods for {key}: {found[key].__module__} and {module.__name__}")
                found[key] = value
        self._methods = dict(sorted(found.items()))

    def of(self, section: str) -> list[type[Method]]:
        """Methods of a section, in order of name."""
        return [m for (s, _), m in self._methods.items() if s == section]


@cache
def builtin_registry() -> Registry:
    """Everything below executor/actions/ and in the entry points."""
    modules = []
    for section in SECTIONS:
        package = importlib.import_module(f"executor.actions.{section}")
        modules.append(package)
        modules.extend(
            importlib.import_module(f"{package.__name__}.{info.name}")
            for info in pkgutil.iter_modules(package.__path__)
        )
    modules.extend(_from_elsewhere())
    finalize = importlib.import_module("executor.actions.finalize")
    return Registry(modules, finalize.Finalize)


def _from_elsewhere() -> list[ModuleType]:
    """Modules that installed packages name. Hardly any package does, and to import `importlib.metadata` takes
    an eighth of a runner's start, so the files that it would read are looked at first.
    """
    for folder in sys.path:
        for path in Path(folder).glob("*-info/entry_points.txt"):
            if GROUP in path.read_text(encoding="utf-8", errors="replace"):
                from importlib.metadata import entry_points

                return [point.load() for point in entry_points(group=GROUP)]
    return []
