# SPDX-License-Identifier: Apache-2.0
"""What may break into a running action: a cancel from outside, or an error that another thread has seen.

Actions run in the main thread, so a signal handler that raises reaches them wherever they wait. It raises
only where the engine says so: inside an action's own work (`work`), never in the middle of the engine's own
records. While the job is cleaned up only a second cancel breaks in, once; a third one breaks into finalize
(spec: action-pipeline §4, JobCanceled).
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from types import FrameType

from executor.errors import JobCanceled, LavaExecError

CANCEL = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR2)
WAKE = signal.SIGUSR1


class Aborted(BaseException):
    """A second cancel: leave at once, even out of the cleanup."""


class Guard(IntEnum):
    """What may break in at the moment."""

    NOTHING = 0  # the engine's own bookkeeping
    ABORT = 1  # cleanup and finalize: only another cancel
    ALL = 2  # an action's work


class Interrupts:
    """Owns the process's signal handlers between `install` and `restore`; main thread only."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # of `throw`; never taken by the handler, which runs in the main thread
        self._thrown: LavaExecError | None = None  # by another thread, not yet raised
        self._cancels = 0
        self._raised_cancels = 0
        self._guard = Guard.NOTHING
        self._old: dict[int, object] = {}

    def install(self) -> None:
        """Take the signals of this process."""
        for number in (*CANCEL, WAKE):
            self._old[number] = signal.signal(number, self._handle)

    def restore(self) -> None:
        """Give them back."""
        for number, old in self._old.items():
            signal.signal(number, old)  # type: ignore[arg-type]
        self._old.clear()

    def throw(self, error: LavaExecError) -> None:
        """Raise `error` in the action that runs now; from any thread. The first one wins."""
        with self._lock:
            if self._thrown is not None:
                return
            self._thrown = error
        if self._old:
            ident = threading.main_thread().ident
            assert ident is not None  # noqa: S101  # it has been started
            signal.pthread_kill(ident, WAKE)

    @property
    def canceled(self) -> bool:
        """Has somebody asked for the end?"""
        return self._cancels > 0

    @contextmanager
    def work(self) -> Iterator[None]:
        """In here everything breaks in. Raises JobCanceled at once when a cancel came before, even if
        somebody swallowed it then.
        """
        with self._open(Guard.ALL):
            if self._cancels:
                raise _canceled()
            yield

    @contextmanager
    def cleaning(self) -> Iterator[None]:
        """In here only another cancel breaks in, as Aborted."""
        with self._open(Guard.ABORT):
            yield

    @contextmanager
    def hold(self) -> Iterator[None]:
        """In here nothing breaks in, for a few steps that belong together; what came is raised at the end.

        Without effect in other threads than the main one.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        with self._open(Guard.NOTHING):
            yield
        self._deliver()

    @contextmanager
    def _open(self, guard: Guard) -> Iterator[None]:
        before = self._guard
        try:
            self._guard = guard
            self._deliver()
            yield
        finally:
            self._guard = before

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if number != WAKE:
            self._cancels += 1
        self._deliver()

    def _deliver(self) -> None:
        """Raise what came, as far as it may break in now; each cancel and each error once."""
        if self._guard >= Guard.ABORT and self._cancels > max(self._raised_cancels, 1):
            self._raised_cancels = self._cancels
            raise Aborted
        if self._guard < Guard.ALL:
            return
        if self._cancels > self._raised_cancels:
            self._raised_cancels = self._cancels
            raise _canceled()
        error, self._thrown = self._thrown, None
        if error is not None:
            raise error


def _canceled() -> JobCanceled:
    return JobCanceled("the job was canceled")
