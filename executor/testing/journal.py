# SPDX-License-Identifier: Apache-2.0
"""A journal in memory, for tests of actions and methods."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from executor.model import journal
from executor.model.journal import Record


class MemoryJournal:
    """Keeps every record; the clock stands still."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.current: tuple[str, str] = ("", "")

    def record(self, level: str, msg: Any, namespace: str = "") -> int:
        if isinstance(msg, msgspec.Struct):
            msg = msgspec.to_builtins(msg)
        seq = len(self.records)
        action, number = self.current
        self.records.append(
            Record(seq, "2030-01-01T00:00:00.000000+00:00", level, msg, namespace, action, number)
        )
        return seq

    def lines(self, level: str, texts: Sequence[str], namespace: str = "") -> int:
        first = len(self.records)
        for text in texts:
            self.record(level, text, namespace)
        return first

    def messages(self, *levels: str) -> list[Any]:
        """What was written at these levels, in order."""
        return [r.msg for r in self.records if r.lvl in levels]

    def results(self) -> list[dict[str, Any]]:
        """All `results` records."""
        return self.messages(journal.RESULTS)

    def marks(self) -> list[str]:
        """`start 1.1 name`, `end 1.1 name pass` … in order: how a test sees what the engine did."""
        out = []
        for mark in self.messages(journal.ACTION):
            attempt = f" #{mark['attempt']}" if mark.get("attempt", 1) > 1 else ""
            result = f" {mark['result']}" if mark.get("result") else ""
            out.append(f"{mark['what']} {mark['level']} {mark['name']}{attempt}{result}")
        return out
