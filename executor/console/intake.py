# SPDX-License-Identifier: Apache-2.0
"""The reading half of a console: what becomes of each chunk, in the one thread that reads.

Raw bytes to the recording, lines to the journal, then watcher, listener and expectation, all before the next
read; so nothing is lost between two calls of an action, and no second buffer grows. Whoever is slow, the
journal or a listener, holds up the device and loses nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from executor.console.expect import Match, Patterns, Window, compile_patterns, pattern_names
from executor.console.faults import Fault, KernelFault, describe
from executor.console.ports import READ_SIZE, Port
from executor.console.recording import Recording
from executor.console.sink import Sink
from executor.console.text import Cleaner, Lines, unify
from executor.console.watcher import Mode, Watcher
from executor.errors import Bug, ConnectionClosed, LavaExecError
from executor.model import journal
from executor.model.deadline import Clock

SHOW_AFTER = 0.2  # seconds of silence after which an unfinished line is shown in the journal


class Listener(Protocol):
    """Something that reads along, such as the parser of test signals."""

    def feed(self, text: str) -> bool:
        """Take the next piece of clean text, line ends as they came; True when nothing more is wanted.

        Called in the reading thread, so it must not wait; it may `send`, and ask `Console.seq_at`. An
        error that it raises is raised in the action that waits in `listen`.
        """


class Expectation:
    """One call of `expect`: what it waits for, and what was found."""

    def __init__(self, patterns: Patterns, keep: int) -> None:
        self.names = pattern_names(patterns)
        self.compiled = compile_patterns(patterns)
        self.keep = keep
        self.match: Match | None = None


class Intake:
    """Reads the port and keeps what is known of the stream. All state is guarded by one lock; `_changed` is
    notified when something happened that an action may wait for.
    """

    def __init__(
        self,
        port: Port,
        sink: Sink,
        *,
        name: str,
        namespace: str,
        recording: Path | None,
        recording_limit: int,
        search_window: int,
        on_fault: Callable[[Fault], None] | None,
        clock: Clock,
    ) -> None:
        self.name = name
        self.namespace = namespace
        self.foreground = True
        self.clock = clock
        self._port = port
        self._sink = sink
        self._on_fault = on_fault
        self._recording = Recording(recording, recording_limit) if recording is not None else None
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._cleaner = Cleaner()
        self._lines = Lines()
        self._window = Window(search_window)
        self._watcher = Watcher(self._warn)
        self._expectation: Expectation | None = None
        self._listener: Listener | None = None
        self._listened = False  # the listener wants nothing more
        self._listener_error: Exception | None = None
        self._failure: LavaExecError | None = None  # raised in every action that waits
        self._closed: ConnectionClosed | None = None  # the stream has ended
        self._last_data = clock()
        self._seq = -1  # of the last record written
        self._before = ""  # unfinished line before the text at hand
        self._first = 0  # seq of the line in which the text at hand begins
        self._fed = ""  # what the listener is being fed

    # -- the thread --------------------------------------------------------------------------------------

    def _read_all(self) -> None:
        try:
            while self._step(None):
                pass
        except LavaExecError as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001 - raised again in the thread that waits
            self._fail(Bug(f"{type(error).__name__} while reading {self.name}: {error}"))
        else:
            self._end()

    def _step(self, longest: float | None) -> bool:
        """Read once and act on it, waiting `longest` seconds at most. False at the end of the stream."""
        due = self._due()
        if longest is not None:
            due = longest if due is None else min(due, longest)
        data = self._port.read(READ_SIZE, due)
        if data is None:
            self._tick()
            return True
        if not data:
            return False
        with self._lock:
            self._chunk(data)
        return True

    def _due(self) -> float | None:
        """Seconds until something must be done even if nothing arrives."""
        now = self.clock()
        times = []
        if self._lines.hidden or self._cleaner.holding:
            times.append(self._last_data + SHOW_AFTER)
        watcher = self._watcher.due()
        if watcher is not None:
            times.append(watcher)
        return max(0.0, min(times) - now) if times else None

    def _tick(self) -> None:
        with self._lock:
            now = self.clock()
            if now >= self._last_data + SHOW_AFTER:
                self._take(self._cleaner.give_up(), now)
                self._show()
            self._watcher.tick(now)
            self._check_watcher()

    def _end(self) -> None:
        """The stream has ended: nothing that came is left behind, and whoever waits is told why."""
        with self._lock:
            if self._closed is not None:
                return
            now = self.clock()
            try:
                self._take(self._cleaner.flush(), now)
                self._book("", *self._lines.end(), now)
                self._watcher.end()
                self._check_watcher()
            except LavaExecError as error:
                self._failure = self._failure or error
            last = self._window.peek().strip().rsplit("\n", 1)[-1].strip()
            self._closed = ConnectionClosed(
                f"{self.name}: {self._port.describe_end()}"
                + (f"; its last line was {last[-200:]!r}" if last else ""),
                "the log shows what the device said before that",
            )
            if self._recording is not None:
                self._recording.close()
            self._changed.notify_all()

    # -- one chunk ---------------------------------------------------------------------------------------

    def _chunk(self, data: bytes) -> None:
        self._last_data = now = self.clock()
        if self._recording is not None and self._recording.write(data):
            text = f"the recording of {self.name} stopped: {self._recording.stopped}"
            self._sink.record(journal.WARNING, text)
        self._take(self._cleaner.feed(data), now)

    def _take(self, text: str, now: float) -> None:
        """Journal, watcher, listener, expectation."""
        if not text:
            return
        before = self._lines.partial
        self._book(before, *self._lines.add(text), now)
        self._window.add(text)
        if self._listener is not None:
            self._feed_listener(text)
        if self._expectation is not None:
            self._search()
        else:
            self._window.trim()

    def _book(self, before: str, whole: list[str], rest: list[str], now: float) -> None:
        """Journal and watcher: `whole` lines, of which `rest` was not shown yet."""
        self._before, self._first = before, self._seq + 1
        if not whole:
            return
        if rest:
            self._first = self._sink.lines(*self._channel(journal.TARGET, rest))
            self._seq = self._first + len(rest) - 1
        self._first -= len(whole) - len(rest)  # the first line was shown to its end already
        if self._watcher.mode is not Mode.OFF:
            self._watcher.feed(whole, self._lines.ended, self._first, now)
            self._check_watcher()

    def _show(self) -> None:
        """Put the unfinished line into the journal."""
        text = self._lines.show()
        if text:
            self._seq = self._sink.lines(*self._channel(journal.TARGET, [text]))

    def _channel(self, level: str, texts: list[str]) -> tuple[str, list[str], str]:
        """Level, texts and namespace for the journal (spec: results-and-logs §1, `feedback`)."""
        if self.foreground:
            return level, texts, ""
        return (journal.FEEDBACK if level == journal.TARGET else level), texts, self.namespace

    # -- who waits for it --------------------------------------------------------------------------------

    def _feed_listener(self, text: str) -> None:
        listener = self._listener
        if listener is None:
            return
        self._fed = text
        try:
            done = listener.feed(text)
        except Exception as error:  # noqa: BLE001 - raised again in the action that listens
            self._listener_error = error
            done = True
        self._fed = ""
        if done:
            self._listener, self._listened = None, True
            self._keep_unfinished_line()
            self._changed.notify_all()

    def _keep_unfinished_line(self) -> None:
        """All was consumed but the line that has not ended: the prompt that follows may be there already."""
        self._window.clear()
        self._window.add(self._lines.partial)

    def _search(self) -> None:
        """Does the expectation match what was not consumed yet?"""
        expectation = self._expectation
        if expectation is None or expectation.match is not None:
            return
        found = self._window.search(expectation.compiled, expectation.keep)
        if found is None:
            return
        index, match, before, after = found
        shown = bool(self._lines.partial) and not self._lines.hidden
        seq = self._seq + (0 if shown else 1) - unify(after).count("\n")
        expectation.match = Match(
            index=index,
            pattern=expectation.names[index],
            text=match.group(),
            before=before,
            groups=match.groups(),
            named={k: v for k, v in match.groupdict().items() if v is not None},
            seq=seq,
        )
        panic = self._watcher.panicking
        if panic is not None and seq > panic.seq:
            self._watcher.went_on()
        self._changed.notify_all()

    # -- faults ------------------------------------------------------------------------------------------

    def _check_watcher(self) -> None:
        fatal = self._watcher.fatal
        if fatal is not None and self._failure is None:
            self._failure = KernelFault(fatal)
            if self._on_fault is not None:
                self._on_fault(fatal)
            self._changed.notify_all()

    def _warn(self, fault: Fault) -> None:
        self._sink.record(journal.WARNING, describe(fault))
        if self._on_fault is not None:
            self._on_fault(fault)

    def _fail(self, error: LavaExecError) -> None:
        """The reading thread cannot go on; the device is held up until the console is closed."""
        with self._lock:
            self._failure = self._failure or error
            self._changed.notify_all()

    # -- what tests replace ------------------------------------------------------------------------------

    def _wait(self, seconds: float) -> None:
        """Until something changed, `seconds` at most; with the lock held."""
        self._changed.wait(seconds)

    def _sleep(self, seconds: float) -> None:
        time.sleep(seconds)
