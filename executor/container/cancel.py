# SPDX-License-Identifier: Apache-2.0
"""A wish to stop that reaches work which is blocked in a socket."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

from executor.errors import JobCanceled


class Cancellation:
    """Set once, by anybody. Work hooks in what breaks its blocking call off."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._hooks: list[Callable[[], None]] = []

    def cancel(self) -> None:
        """Ask for the end; returns at once."""
        self._event.set()
        with self._lock:
            hooks = list(self._hooks)
        for hook in hooks:
            with contextlib.suppress(Exception):
                hook()

    @property
    def canceled(self) -> bool:
        return self._event.is_set()

    def check(self) -> None:
        """Raises JobCanceled after `cancel`."""
        if self._event.is_set():
            raise JobCanceled("the job has ended meanwhile")

    def wait(self, seconds: float) -> None:
        """Sleep, but not longer than until `cancel`; then raises JobCanceled."""
        self._event.wait(max(0.0, seconds))
        self.check()

    @contextlib.contextmanager
    def hook(self, stop: Callable[[], None]) -> Iterator[None]:
        """`stop` is called by `cancel` while the context is open; it may be called from any thread."""
        with self._lock:
            self._hooks.append(stop)
        try:
            self.check()
            yield
        finally:
            with self._lock:
                self._hooks.remove(stop)
