# SPDX-License-Identifier: Apache-2.0
"""The page of a job: its top level, and the keys that blocks have in common."""

from __future__ import annotations

from collections.abc import Iterator

from executor.cli.reference.tables import Kind, anchor, code, fields, nested, notes_of, section, struct_table
from executor.model.parameters import BlockParameters, BootParameters, DeployParameters, Resource
from executor.schema.document import CONTEXT_KEYS, JobDocument, MultinodeDocument, Xnbd

_TOP = (JobDocument, BlockParameters, DeployParameters, BootParameters, MultinodeDocument, Xnbd, Resource)
_HEAD = """\
# Jobs

A job is a YAML map. Unknown keys are refused with the nearest known one; `--no-strict` warns instead. Forms
of earlier days are read as well and shown in the plan in today's form. What depends on several keys is
checked by `lava-exec validate`, which tells every problem at once.
"""
_BLOCKS = """\
## Blocks

Each entry of `actions` is a map with one key: `deploy`, `boot`, `test`, `command` or `repeat`. These keys
can stand in every block; those of each method are in [deploy/](deploy/), [boot/](boot/), [test/](test/) and
[command/](command/).

A `repeat` block has `count` and `actions`, a list of `boot` and `test` blocks that are run that many times.
"""


def common() -> dict[Kind, str]:
    """The structs whose table is on this page → the link to it, from this folder."""
    found: dict[Kind, None] = {}
    for kind in _TOP:
        found |= dict.fromkeys(nested(fields(kind)))
    found |= dict.fromkeys((MultinodeDocument, Xnbd, Resource))
    return {kind: f"#{anchor(kind)}" for kind in found}


def page() -> str:
    """The whole page."""
    return "\n".join(_page())


def _page() -> Iterator[str]:
    known = common()
    yield _HEAD
    yield "## Top level\n"
    ignored = _ignored()
    yield from struct_table(JobDocument, known, ignored)
    yield f"Found in jobs of a group and ignored: {', '.join(map(code, ignored))}.\n"
    yield "Context keys that are known: " + ", ".join(map(code, sorted(CONTEXT_KEYS))) + ".\n"
    yield _BLOCKS
    yield from struct_table(BlockParameters, known)
    base = [field.encode_name for field in fields(BlockParameters)]
    yield "### Every deploy block\n"
    yield from struct_table(DeployParameters, known, base)
    yield "### Every boot block\n"
    yield from struct_table(BootParameters, known, base)
    yield "## Values with keys of their own\n"
    for kind in known:
        yield from section(kind, known)


def _ignored() -> list[str]:
    """Keys that are read and mean nothing, by what their authors say of them."""
    return [f.encode_name for f in fields(JobDocument) if any("ignored" in note for note in notes_of(f))]
