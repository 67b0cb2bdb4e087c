# SPDX-License-Identifier: Apache-2.0
"""The page of the timeouts: how they are written, and which one holds."""

from __future__ import annotations

from collections.abc import Iterator

from executor.cli.reference.tables import cell, fields, notes_of, struct_table
from executor.model.parameters import Timeout
from executor.model.timeouts import DEFAULT_SECONDS, JobTimeouts

_HEAD = f"""\
# Timeouts

A timeout is a map of units, which are summed, or text such as `90`, `90s`, `2m`, `1h`, `1d`. A sum of zero
means {DEFAULT_SECONDS} s.
"""
_RULES = f"""\
## Which limit an action has

The last of these that says something:

1. the action's own built-in limit ([actions.md](actions.md)), else {DEFAULT_SECONDS} s
2. `timeouts.action` of the job; in test blocks `timeouts.test` where there is one
3. `timeouts.actions.NAME` of the device file
4. `timeout` of the block, for its top action and all below it
5. for what is below an action that is tried again: that action's limit, divided by its attempts
6. `timeouts.actions.NAME` of the job
7. `timeouts.NAME` of the block

and never longer than what is left of the action around it and of `timeouts.job`. When the job's limit
passes, the running action is interrupted; finalize has time of its own.

One operation on a console has, in the same way: {DEFAULT_SECONDS} s, `timeouts.connection` of the job,
`timeouts.connections.NAME` of the device file, of the job, `connection_timeout` of the block.

A name that is in no action of the plan is warned about, with the names that are. So is a block's timeout
longer than the job's, and a sum of all blocks' timeouts longer than the job's.
"""


def page() -> str:
    """The whole page."""
    return "\n".join(_page())


def _page() -> Iterator[str]:
    yield _HEAD
    yield from struct_table(Timeout, {})
    yield "## `timeouts` of a job\n"
    yield "Each value is a timeout as above; `actions` and `connections` are maps of them."
    yield "Names of actions may also stand flat below `timeouts`.\n"
    yield "| key | limit |\n|---|---|"
    for field in fields(JobTimeouts):
        yield f"| `{field.encode_name}` | {cell('; '.join(notes_of(field)))} |"
    yield ""
    yield _RULES
