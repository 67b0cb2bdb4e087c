# SPDX-License-Identifier: Apache-2.0
"""A journal written by hand, for tests of whatever reads journals: every number in it can be counted."""

from __future__ import annotations

from typing import Any

import msgspec

from executor.model import journal
from executor.model.journal import ActionMark, End, Header, Record


class Book:
    """Collects records; `seq` and time go on by themselves, one second a record, from 07:00:00."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def add(self, lvl: str, msg: Any, **fields: Any) -> int:
        """Append one record and return its `seq`."""
        seq = len(self.records)
        dt = f"2031-05-06T07:{seq // 60:02d}:{seq % 60:02d}.000000+00:00"
        if isinstance(msg, Header | ActionMark | End):
            msg = msgspec.to_builtins(msg)
        self.records.append(Record(seq, dt, lvl, msg, **fields))
        return seq

    def target(self, text: str) -> int:
        """A line from the device."""
        return self.add(journal.TARGET, text)

    def result(self, suite: str, case: str, result: str, **more: Any) -> int:
        """A result record (spec: results-and-logs §2)."""
        return self.add(journal.RESULTS, {"definition": suite, "case": case, "result": result, **more})

    def start(self, level: str, name: str, **more: Any) -> int:
        """The two records at the start of an action."""
        self.add(journal.DEBUG, f"start: {level} {name} (timeout 00:01:00) [common]", act=name, level=level)
        return self.add(journal.ACTION, ActionMark("start", name, level, timeout=60.0, **more))

    def finish(self, level: str, name: str, result: str = "pass", **more: Any) -> int:
        """The two records at the end of an action, 3 seconds after its start."""
        self.add(journal.DEBUG, f"end: {level} {name} (duration 00:00:03) [common]", act=name, level=level)
        return self.add(journal.ACTION, ActionMark("end", name, level, duration=3.0, result=result, **more))

    @property
    def data(self) -> bytes:
        """The journal as it lies on disk."""
        return journal.encode(self.records)
