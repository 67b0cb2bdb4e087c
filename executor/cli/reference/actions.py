# SPDX-License-Identifier: Apache-2.0
"""The page of the actions: the names by which jobs and device files set limits."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Iterator
from types import ModuleType

from executor.cli.reference.tables import cell, code
from executor.errors import InfrastructureError, LavaExecError, TestError
from executor.model.timeouts import ACTION_ALIASES, DEFAULT_SECONDS
from executor.pipeline.action import Action

HEAD = "| action | what it does | limit | a timeout is for |\n|---|---|---|---|"
_INTRO = f"""\
# Actions

`lava-exec validate` shows which actions a job has, with their levels and limits. Jobs name them below
`timeouts.actions` and `timeouts.connections`; `_` and `-` are equal. *limit*: the built-in one, which job,
block or device file can change ([timeouts.md](timeouts.md)); where none stands it is {DEFAULT_SECONDS} s.
*retry*: takes `failure_retry` and `repeat` of its block.
"""


def page() -> str:
    """The whole page."""
    return "\n".join(_page())


def _page() -> Iterator[str]:
    yield _INTRO
    yield HEAD
    yield from rows(every())
    yield "\n## Old names\n"
    yield "| written | means |\n|---|---|"
    yield from (f"| {code(old)} | {code(new)} |" for old, new in sorted(ACTION_ALIASES.items()))


def every() -> list[type[Action]]:
    """All actions of this program."""
    package = importlib.import_module("executor.actions")  # by name, as the registry does it
    for module in pkgutil.walk_packages(package.__path__, "executor.actions."):
        importlib.import_module(module.name)
    return [kind for kind in _below(Action) if kind.__module__.startswith("executor.actions.")]


def of_module(module: ModuleType) -> list[type[Action]]:
    """The actions that a module defines."""
    return [
        kind
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Action) and kind.__module__ == module.__name__
    ]


def rows(kinds: Iterable[type[Action]]) -> Iterator[str]:
    """One row a name; classes that share a name share the row."""
    named: dict[str, list[type[Action]]] = {}
    for kind in kinds:
        if kind.name:
            named.setdefault(kind.name, []).append(kind)
    for name, group in sorted(named.items()):
        what = "; or: ".join(sorted({kind.description or kind.summary for kind in group}))
        limit = " or ".join(sorted({f"{kind.default_timeout} s" for kind in group if kind.default_timeout}))
        retry = " (retry)" if any(kind.retry for kind in group) else ""
        who = " or ".join(sorted({_who(kind.timeout_error) for kind in group}))
        yield f"| `{name}`{retry} | {cell(what)} | {limit} | {who} |"


def _who(error: type[LavaExecError]) -> str:
    if issubclass(error, TestError):
        return "the test writer (Test)"
    return f"{error.who} ({error.error_type})" if issubclass(error, InfrastructureError) else error.who


def _below(kind: type[Action]) -> Iterator[type[Action]]:
    for below in kind.__subclasses__():
        yield below
        yield from _below(below)
