# SPDX-License-Identifier: Apache-2.0
"""Old ways to write the timeouts of a job, told as rewrites (spec: job-format §3, §13).

`JobTimeouts.read` understands all of them; here is said what became of which, so that a problem that names
the canonical form points at what was written.
"""

from __future__ import annotations

from typing import Any

from executor.model.problem import Path
from executor.model.timeouts import action_name, read_timeout
from executor.schema.rewrite import Rewriter

GENERAL = ("job", "action", "actions", "test", "connection", "connections", "queue")
_PATH: Path = ("timeouts",)


def tell_timeouts(given: dict[Any, Any], rewriter: Rewriter) -> None:
    """Record what of a job's `timeouts` is an old form."""
    for name, value in list(given.items()):
        if not isinstance(name, str):
            continue
        if name in ("actions", "connections"):
            _named(value, (*_PATH, name), name, rewriter)
        elif name == "action" and isinstance(value, dict):
            inner = {key: limit for key, limit in value.items() if isinstance(limit, dict)}
            _named(inner, (*_PATH, name), "actions", rewriter, moved=True)
        elif name in GENERAL:
            rewriter.timeout(given, name, _PATH)
        else:
            _named({name: value}, _PATH, "actions", rewriter, moved=True)


def _named(limits: Any, path: Path, group: str, rewriter: Rewriter, *, moved: bool = False) -> None:
    for name, limit in limits.items() if isinstance(limits, dict) else ():
        if not isinstance(name, str) or read_timeout(limit)[1]:
            continue
        known = action_name(name)
        if moved or known != name:
            rewriter.moved.setdefault((*_PATH, group, known), (*path, name))
            rewriter.log((*path, name), name, f"{group}.{known}" if moved else known)
