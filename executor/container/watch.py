# SPDX-License-Identifier: Apache-2.0
"""Watching over a container that runs: its end, the steps of a cancel, the limits of a job."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable

from executor.container.ending import Ending
from executor.container.engine import Engine, NoSuchContainer
from executor.container.ladder import NEVER, Ladder
from executor.errors import InfrastructureError, LavaExecError
from executor.model.deadline import Deadline

LIMIT_SECONDS = 2.0  # between two looks at disk and time
DISK_SLACK = 256 << 20  # bytes over the limit at which the host's side ends a job; the runner comes first
WAIT_SECONDS = 3600.0  # of one request to the engine

Note = Callable[[str], None]


class Detached(Exception):  # noqa: N818  # no error: somebody asked for it
    """The container runs on without us."""


class Watch:
    """`run` blocks until the end; `cancel` and `detach` come from other threads.

    `used` tells how many bytes the job takes; `disk` is its limit (0: none), `until` a moment in seconds
    since the epoch (0: none). `patience`: seconds that an engine may be silent.
    """

    def __init__(
        self,
        engine: Engine,
        container: str,
        *,
        ladder: Ladder,
        used: Callable[[], int],
        disk: int,
        until: float,
        patience: float,
        note: Note,
    ) -> None:
        self._engine = engine
        self._container = container
        self._ladder = ladder
        self._used = used
        self._disk = disk
        self._until = until
        self._patience = patience
        self._note = note
        self._events: queue.SimpleQueue[tuple[str, str, int | None]] = queue.SimpleQueue()
        self._canceled = ""
        self._detached = False

    def cancel(self, reason: str) -> None:
        """Begin with the steps."""
        self._events.put(("cancel", reason, None))

    def detach(self) -> None:
        """`run` raises Detached."""
        self._detached = True
        self._events.put(("detach", "", None))

    def run(self) -> Ending:
        """How the container ended. Raises Detached."""
        threading.Thread(target=self._wait, name="wait", daemon=True).start()
        ending = Ending()
        look_at = time.monotonic() + LIMIT_SECONDS
        while True:
            now = time.monotonic()
            if (rung := self._ladder.due(now)) is not None:
                self._signal(rung.signal, rung.name)
                continue
            if now >= look_at:
                look_at = now + LIMIT_SECONDS
                if not self._ladder.killed and self._over_limit(ending):
                    self._ladder.kill(now)
                continue
            try:
                what, text, code = self._events.get(timeout=min(look_at, self._ladder.next) - now)
            except queue.Empty:
                continue
            if what == "detach":
                raise Detached
            if what == "cancel":
                self._canceled = self._canceled or text
                self._ladder.begin(time.monotonic())
            else:
                ending.exit_code, ending.engine_lost = code, text
                ending.vanished = code is None and not text
                ending.canceled, ending.killed = self._canceled, self._ladder.killed
                return ending

    def _wait(self) -> None:
        """Thread: the engine's word that the container has ended."""
        silent_since = NEVER
        while not self._detached:
            try:
                code = self._engine.wait(self._container, Deadline.after(WAIT_SECONDS))
            except NoSuchContainer:
                self._events.put(("ended", "", None))
                return
            except LavaExecError as error:
                if silent_since == NEVER:
                    self._note(f"the engine does not answer: {error.message}")
                silent_since = min(silent_since, time.monotonic())
                if time.monotonic() - silent_since >= self._patience:
                    self._events.put(("lost", error.message, None))
                    return
                time.sleep(min(1.0, self._patience / 10))
                continue
            silent_since = NEVER
            if code is not None:
                self._events.put(("ended", "", code))
                return

    def _over_limit(self, ending: Ending) -> bool:
        used = self._used() if self._disk else 0
        if self._disk and used > self._disk + DISK_SLACK:
            ending.disk = used
            self._note(f"the job takes {used} bytes of disk, {self._disk} are allowed")
        ending.overdue = bool(self._until) and time.time() > self._until
        return bool(ending.disk) or ending.overdue

    def _signal(self, signal: str, step: str) -> None:
        self._note(f"ending the job, {step}: {signal} ({self._canceled or 'a limit was passed'})")
        try:
            self._engine.kill(self._container, signal, Deadline.after(10))
        except InfrastructureError as error:  # the next step tries again
            self._note(f"{signal} could not be sent: {error.message}")
