# SPDX-License-Identifier: Apache-2.0
"""One page a method: how it is chosen, its own keys, the actions that its module brings."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator

import msgspec
from msgspec.inspect import Field

from executor.cli.reference import actions
from executor.cli.reference.jobs import common
from executor.cli.reference.tables import Kind, anchor, cell, fields, nested, prose, section, table
from executor.model.parameters import BlockParameters, BootParameters, DeployParameters
from executor.model.testblocks import TestItems
from executor.pipeline.method import SECTIONS, Method, Registry

_BASE: dict[str, Kind] = {"deploy": DeployParameters, "boot": BootParameters}
_CHOICE = {"deploy": "to", "boot": "method"}  # the key that names the method
_COMMON = {
    "deploy": "[every deploy block](../jobs.md#every-deploy-block)",
    "boot": "[every boot block](../jobs.md#every-boot-block)",
}
_EVERY = "[every block](../jobs.md#blocks)"


def pages(registry: Registry) -> dict[str, str]:
    """`deploy/tftp.md` → text, and a list for each section."""
    found = {}
    for name in SECTIONS:
        methods = registry.of(name)
        for method in methods:
            found[f"{name}/{method.name}.md"] = "\n".join(_page(method))
        found[f"{name}/README.md"] = "\n".join(_list(name, methods))
    return found


def _list(section_name: str, methods: list[type[Method]]) -> Iterator[str]:
    yield f"# {section_name.capitalize()} methods\n"
    yield "| method | what |\n|---|---|"
    yield from (f"| [{m.name}]({m.name}.md) | {cell(m.summary)} |" for m in methods)


def _page(method: type[Method]) -> Iterator[str]:
    base = _BASE.get(method.section, BlockParameters)
    inherited = [field.encode_name for field in fields(base)]
    known = {kind: f"../jobs.md{link}" for kind, link in common().items()}
    keys = _keys(method, inherited)
    own = [kind for kind in nested(keys) if kind not in known]
    known |= {kind: f"#{anchor(kind)}" for kind in own}
    yield f"# {method.section}: {method.name}\n"
    yield f"{method.summary[:1].upper()}{method.summary[1:]}. {prose(method.__doc__)}\n"
    choice = _CHOICE.get(method.section)
    if choice is not None:
        yield f"Chosen by `{choice}: {method.name}`.\n"
    yield "## Keys\n"
    also = " and ".join(filter(None, (_COMMON.get(method.section), _EVERY)))
    yield f"Besides those of {also}:\n"
    yield from table(keys, known) if keys else ["None.\n"]
    if own:
        yield "## Values with keys of their own\n"
        for kind in own:
            yield from section(kind, known)
    rows = list(actions.rows(actions.of_module(sys.modules[method.__module__])))
    if rows:
        yield "## Actions of its own\n"
        yield "Jobs set limits by these names; the others are in [actions.md](../actions.md).\n"
        yield actions.HEAD
        yield from rows


def _keys(method: type[Method], inherited: Collection[str]) -> list[Field]:
    """The method's own keys. The lists of test blocks are typed in one place for all of them."""
    lists = {field.encode_name: field for field in fields(TestItems)} if method.section == "test" else {}
    own = [field for field in fields(method.Parameters) if field.encode_name not in inherited]
    return [_typed(field, lists.get(field.encode_name)) for field in own]


def _typed(field: Field, list_of: Field | None) -> Field:
    return field if list_of is None else msgspec.structs.replace(field, type=list_of.type)
