# SPDX-License-Identifier: Apache-2.0
"""A method turns a block of the job into a top action: one class a way to deploy, boot or test.

Adding a method is one module below executor/actions/<section>/ with a class marked by `@method`, or a package
of its own that names such a module in the entry point group `lava_exec.methods`. A class that is not marked
is never used, and the same section and name twice is an error.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import re
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
_KEYS = {"deploy": "to", "boot": "method"}  # what names the method in a block
_MODULE = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*\Z")  # of values of `to` and `method`


class Method:
    """The base of all methods.

    `name` is how refusals call it, and the value of `to` or `method` that asks for it (`values` where there
    are several); `needs_of_device` is the method that the device file must list, the same name where it is
    not said. `Parameters` is the typed form of the block, from which schema and reference page come. When
    several accept, the highest `priority` wins, then the order of names (spec: action-pipeline §1).
    """

    section: ClassVar[str]
    name: ClassVar[str]
    values: ClassVar[tuple[str, ...]] = ()
    needs_of_device: ClassVar[str] = ""
    summary: ClassVar[str] = ""
    priority: ClassVar[int] = 1
    Parameters: ClassVar[type[msgspec.Struct]]

    @classmethod
    def accepts(cls, request: Request) -> str:
        """Empty for yes, else the reason for no; from device and block only."""
        return cls.asked(request) or cls.supported(request)

    @classmethod
    def asked(cls, request: Request) -> str:
        """Why the block is not for this method."""
        key = _KEYS[cls.section]
        wanted = request.parameters.get(key)
        return "" if wanted in (cls.values or (cls.name,)) else f"{key!r} is {wanted!r}, not {cls.name!r}"

    @classmethod
    def supported(cls, request: Request) -> str:
        """Why the device cannot be used so."""
        device, needed = request.device, cls.needs_of_device or cls.name
        listed = device.deploy_methods if cls.section == "deploy" else device.boot_methods
        return "" if needed in listed else f"the device file has no {cls.section} method {needed!r}"

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
    """Methods by section, those of the given modules. `finalize` makes the action that ends every plan."""

    def __init__(self, modules: list[ModuleType], finalize: Callable[[], Action]) -> None:
        self.finalize = finalize
        self._methods: dict[tuple[str, str], type[Method]] = {}
        for module in modules:
            self._add(module)

    def of(self, section: str) -> list[type[Method]]:
        """Methods of a section, in order of name."""
        return [found for (where, _), found in sorted(self._methods.items()) if where == section]

    def called(self, section: str, name: str) -> list[type[Method]]:
        """Those to ask first for a block that names its method, or none when all must be asked."""
        del name
        return self.of(section)

    def _add(self, module: ModuleType) -> list[type[Method]]:
        found = [m for m in vars(module).values() if _is_method(m) and m.__module__ == module.__name__]
        for value in found:
            key = (value.section, value.name)
            before = self._methods.setdefault(key, value)
            if before is not value:
                raise Bug(f"two methods for {key}: {before.__module__} and {module.__name__}")
        return found


class BuiltinRegistry(Registry):
    """Everything below executor/actions/ and in the entry points, loaded as it is needed.

    To import all methods takes longer than to plan a job. A module is called after the value of `to` or
    `method` that it serves (`u-boot` is in u_boot.py), so a block that one of its methods accepts needs no
    other; all of them are loaded where none does, to tell every reason.
    """

    def __init__(self) -> None:
        finalize = importlib.import_module("executor.actions.finalize")
        super().__init__([], finalize.Finalize)
        self._complete: set[str] = set()
        self._elsewhere = _from_elsewhere()
        for module in self._elsewhere:
            self._add(module)

    def of(self, section: str) -> list[type[Method]]:
        if section not in self._complete:
            package = importlib.import_module(f"executor.actions.{section}")
            for info in pkgutil.iter_modules(package.__path__):
                self._add(importlib.import_module(f"{package.__name__}.{info.name}"))
            self._complete.add(section)
        return super().of(section)

    def called(self, section: str, name: str) -> list[type[Method]]:
        if self._elsewhere or not _MODULE.match(name):
            return self.of(section)
        module = f"executor.actions.{section}.{name.replace('-', '_')}"
        if importlib.util.find_spec(module) is None:
            return []
        return self._add(importlib.import_module(module))

    def load(self) -> None:
        """Import everything: for a program that stays and plans in several threads."""
        for section in SECTIONS:
            self.of(section)


@cache
def builtin_registry() -> BuiltinRegistry:
    """The methods of this program and of installed packages."""
    return BuiltinRegistry()


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
