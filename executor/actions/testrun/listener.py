# SPDX-License-Identifier: Apache-2.0
"""What listens on the console while a test shell runs: signals in, records out."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from executor.testshell.events import Event, Feedback
from executor.testshell.results import Bookkeeper
from executor.testshell.stream import SignalStream

if TYPE_CHECKING:
    from executor.pipeline.run import Run
    from executor.testshell.placed import PlacedDefinition


class Listener:
    """Sits in the console's reading thread; `word` tells this start of the runner from others."""

    def __init__(self, run: Run, stage: int, placed: Sequence[PlacedDefinition]) -> None:
        self.word = secrets.token_hex(2)
        self._run = run
        self.stream = SignalStream([p.for_stream() for p in placed], run=self.word, locate=run.console.seq_at)
        self.book = Bookkeeper(
            placed,
            namespace=run.action.namespace,
            emit=self._emit,
            note=run.context.journal.record,
            stage=stage,
            level=run.action.level,
        )

    @property
    def where(self) -> str:
        """` in 0_smoke`, when a definition was running."""
        return f" in {self.book.running}" if self.book.running else ""

    def feed(self, text: str) -> bool:
        self.take(self.stream.feed(text))
        return self.stream.exited

    def take(self, events: Iterable[Event]) -> None:
        for event in events:
            if isinstance(event, Feedback):
                self._feedback(event)
            else:
                self.book.take(event)

    def _feedback(self, event: Feedback) -> None:
        """All consoles are read all the time, so what the other one says is in the journal already."""
        known = [name for name, n in self._run.context.namespaces.items() if n.console is not None]
        if event.namespace in known:
            self._run.log.debug(f"feedback from {event.namespace}: its lines are in this log as they come")
        else:
            text = f"feedback from {event.namespace!r}: no such namespace with a console"
            self._run.log.error(f"{text}; there is {', '.join(known)}")

    def _emit(self, record: dict[str, Any]) -> None:
        if record["definition"] != "lava":
            cases = self._run.context.cases
            cases[record["result"]] = cases.get(record["result"], 0) + 1
        if self._run.outer > 1:
            record["attempt"] = self._run.outer
        self._run.log.result(**record)
