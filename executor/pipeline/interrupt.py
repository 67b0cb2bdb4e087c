# SPDX-License-Identifier: Apache-2.0
"""What may break into a running action: a cancel from outside, or a fault that another thread has seen.

Actions run in the main thread, so a signal handler that raises reaches them wherever they wait. While the engine
cleans up it is shielded: a first signal is only noted, a second one aborts (spec: action-pipeline §4, JobCanceled).
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from executor.errors import JobCanceled, LavaExecError

CANCEL = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
WAKE = signal.SIGUSR1


class Aborted(BaseException):
    """A second cancel: leave at once, even out of the cleanup."""


class Interrupts:
    """Owns the process's signal handlers between `install` and `restore`; main thread only."""

    def __init__(self) -> None:
        self._pending: LavaExecError | None = None
        self._shielded = 0
        self._cancels = 0
        self._old: dict[int, object] = {}
        self._lock = threading.Lock()

    def install(self) -> None:
        for number in (*CANCEL, WAKE):
            self._old[number] = signal.signal(number, self._handle)

    def restore(self) -> None:
        for number, old in self._old.items():
            signal.signal(number, old)  # type: ignore[arg-type]
        self._old.clear()

    def throw(self, error: LavaExecError) -> None:
        """Raise `error` in the action that runs now; from any thread. The first one wins."""
        with self._lock:
            if self._pending is not None:
                return
            self._pending = error
        if self._old:
            os.kill(os.getpid(), WAKE)

    def check(self) -> None:
        """Raise what is pending."""
        with self._lock:
            error, self._pending = self._pending, None
        if error is not None:
            raise error

    @contextmanager
    def shield(self) -> Iterator[None]:
        """Nothing breaks in here but a second cancel."""
        self._shielded += 1
        try:
            yield
        finally:
            self._shielded -= 1

    @property
    def canceled(self) -> bool:
        return self._cancels > 0

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if number != WAKE:
            self._cancels += 1
            if self._cancels > 1:
                raise Aborted
            if not self._shielded:
                raise JobCanceled("the job was canceled")
            return
        if not self._shielded:
            self.check()
