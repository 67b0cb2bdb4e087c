# SPDX-License-Identifier: Apache-2.0
"""How actions write to the journal, without knowing where it lies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from executor.model import journal


class Journal(Protocol):
    """The writing end of a job's journal. Safe to use from several threads; never blocks on a reader."""

    current: tuple[str, str]  # (action name, level) that console lines are booked under

    def record(self, level: str, msg: Any, namespace: str = "") -> int:
        """Append one record and return its `seq`."""

    def lines(self, level: str, texts: Sequence[str], namespace: str = "") -> int:
        """Append one record a text, in one go, and return the `seq` of the first."""


def clock(seconds: float) -> str:
    """Seconds as HH:MM:SS, the shape of the field's log lines."""
    whole = int(seconds)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}"


class Log:
    """Messages of one action."""

    __slots__ = ("_journal",)

    def __init__(self, journal_: Journal) -> None:
        self._journal = journal_

    def debug(self, text: str) -> int:
        return self._journal.record(journal.DEBUG, text)

    def info(self, text: str) -> int:
        return self._journal.record(journal.INFO, text)

    def warning(self, text: str) -> int:
        return self._journal.record(journal.WARNING, text)

    def error(self, text: str) -> int:
        return self._journal.record(journal.ERROR, text)

    def event(self, text: str) -> int:
        return self._journal.record(journal.EVENT, text)

    def output(self, text: str) -> int:
        """One line of a program that runs on the dispatcher (spec: results-and-logs §1)."""
        return self._journal.record(journal.DEBUG, f">> {text}")

    def progress(self, what: str, done: int, total: int, stage: str = "download") -> int:
        """Bytes done and in all (0 = unknown) of a download or of work on an image."""
        return self._journal.record(
            journal.PROGRESS, {"what": what, "stage": stage, "done": done, "total": total}
        )

    def result(self, **fields: Any) -> int:
        """A `results` record (spec: results-and-logs §2); fields that are None are left out."""
        return self._journal.record(journal.RESULTS, {k: v for k, v in fields.items() if v is not None})
