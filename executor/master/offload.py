# SPDX-License-Identifier: Apache-2.0
"""One helper thread for work that would stop the reactor: forcing files onto the disk, planning a job."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from typing import TypeVar

log = logging.getLogger(__name__)
T = TypeVar("T")

_Task = Callable[[], Callable[[], None]]


class Full(Exception):
    """Too much is waiting already."""


class Offload:
    """Runs tasks one after another in its thread; what follows from each runs in the owner's thread.

    `wake` is called from the helper thread whenever `collect` has something to do.
    """

    def __init__(self, name: str, limit: int, wake: Callable[[], None]) -> None:
        self._tasks: queue.Queue[_Task | None] = queue.Queue(limit)
        self._done: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._wake = wake
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(
        self, task: Callable[[], T], then: Callable[[T], None], failed: Callable[[Exception], None]
    ) -> None:
        """Run `task` there, then `then` or `failed` here. Raises Full."""

        def work() -> Callable[[], None]:
            try:
                result = task()
            except Exception as error:  # whatever it is, the owner must hear of it
                problem = error
                return lambda: failed(problem)
            return lambda: then(result)

        try:
            self._tasks.put_nowait(work)
        except queue.Full:
            raise Full from None

    def collect(self) -> list[Callable[[], None]]:
        """What is to be called now, in the owner's thread."""
        out = []
        while True:
            try:
                out.append(self._done.get_nowait())
            except queue.Empty:
                return out

    def close(self, seconds: float = 3.0) -> None:
        """Finish what is queued, as far as the time allows."""
        try:
            self._tasks.put(None, timeout=seconds)
        except queue.Full:
            return
        self._thread.join(timeout=seconds)

    def _run(self) -> None:
        while (task := self._tasks.get()) is not None:
            self._done.put(task())
            self._wake()
