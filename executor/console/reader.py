# SPDX-License-Identifier: Apache-2.0
"""`Console`: one reading thread for a console's whole life, and all that actions may ask of it.

The thread is started before power is applied. For each chunk it keeps the raw bytes, writes the lines
into the journal, and feeds watcher, listener and expectation, so nothing is lost between two calls of an
action and no second buffer grows. Actions never read: they send, and wait on a condition with a Deadline.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Protocol

from executor.console import command as dialogue
from executor.console.expect import (
    KEEP,
    Match,
    Patterns,
    PromptTimeout,
    Window,
    compile_patterns,
    pattern_names,
)
from executor.console.faults import Fault, KernelFault, describe
from executor.console.ports import READ_SIZE, Port
from executor.console.recording import DEFAULT_LIMIT, Recording
from executor.console.sink import Sink
from executor.console.text import Cleaner, Lines, unify
from executor.console.watcher import Mode, Watcher
from executor.errors import Bug, ConnectionClosed, LavaExecError
from executor.model import journal
from executor.model.deadline import Clock, Deadline

MIN_WINDOW = 8192  # characters
SHOW_AFTER = 0.2  # seconds of silence after which an unfinished line is shown in the journal
QUIET = 0.05  # seconds of silence that `drain` asks for
WRITE_LIMIT = 30.0  # seconds in which the other side must take what is sent
_LONGEST_WAIT = 3600.0  # seconds; conditions know no infinity
_JOIN = 10.0  # seconds in which the reading thread must have ended after its port

MASKED = "[MASKED]"


class Listener(Protocol):
    """Something that reads along, such as the parser of test signals."""

    def feed(self, text: str) -> bool:
        """Take the next piece of clean text, line ends as they came; True when nothing more is wanted.

        Called in the reading thread, so it must not wait; it may `send`, and ask `Console.seq_at`. An
        error that it raises is raised in the action that waits in `listen`.
        """


class _Expectation:
    def __init__(self, patterns: Patterns, keep: int) -> None:
        self.names = pattern_names(patterns)
        self.compiled = compile_patterns(patterns)
        self.keep = keep
        self.match: Match | None = None


class Console:
    """A console of a device.

    `sink` is the journal. `search_window` is in characters (2 × spawn_maxread, at least 8 KiB); `newline`
    ends what `send_line` sends; `character_delay` (seconds) goes between characters. All three may be
    changed at any time, and so may `foreground`: a console of another namespace than the one at work is
    logged as `feedback` with its namespace. `on_fault` hears of each fault of the kernel in the reading
    thread, fatal ones included; waiting actions get the fatal one raised by themselves (KernelFault),
    every time, until `expect_reset`.
    """

    def __init__(
        self,
        port: Port,
        sink: Sink,
        *,
        name: str = "console",
        namespace: str = "",
        recording: Path | None = None,
        recording_limit: int = DEFAULT_LIMIT,
        search_window: int = MIN_WINDOW,
        on_fault: Callable[[Fault], None] | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        self.name = name
        self.namespace = namespace
        self.newline = "\n"
        self.character_delay = 0.0
        self.foreground = True
        self.clock = clock
        self._port = port
        self._sink = sink
        self._on_fault = on_fault
        self._recording = Recording(recording, recording_limit) if recording is not None else None
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._thread: threading.Thread | None = None
        self._cleaner = Cleaner()
        self._lines = Lines()
        self._window = Window(max(MIN_WINDOW, search_window))
        self._watcher = Watcher(self._warn)
        self._expectation: _Expectation | None = None
        self._listener: Listener | None = None
        self._listened = False
        self._listener_error: BaseException | None = None
        self._failure: LavaExecError | None = None
        self._closed: ConnectionClosed | None = None  # the stream has ended
        self._closing = False  # we ended it
        self._last_data = clock()
        self._seq = -1  # of the last record written
        self._before = ""  # unfinished line before the chunk at hand
        self._first = 0  # seq of the first line that the chunk at hand completed or continued
        self._fed = ""  # what the listener is being fed

    # -- life --------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to read; before the device gets power."""
        self._thread = threading.Thread(target=self._read_all, name=f"console-{self.name}", daemon=True)
        self._thread.start()

    def close(self, deadline: Deadline) -> None:
        """End the other side and the reading thread, keep what still came. May be called twice; raises
        nothing.
        """
        with self._lock:
            self._closing = True
        self._port.close(deadline)
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(_JOIN)
            if thread.is_alive():
                self._sink.record(journal.WARNING, f"the reader of {self.name} did not end in time")
                return
        self._end()
        self._port.release()

    @property
    def closed(self) -> bool:
        """Has the stream ended?"""
        return self._closed is not None

    @property
    def alive(self) -> bool:
        """Is the other side still there?"""
        return self._closed is None and self._port.alive

    # -- sending -----------------------------------------------------------------------------------------

    def send_line(self, text: str, *, masked: bool = False) -> None:
        """Send `text` and a newline; see `send`."""
        self.send(text + self.newline, masked=masked)

    def send_control(self, letter: str) -> None:
        """Send a control character: "c" for Ctrl-C."""
        self.send(chr(ord(letter.upper()) & 0x1F))

    def send(self, text: str, *, masked: bool = False) -> None:
        """Send `text` as it is and log it as `input` (`masked`: only that something was sent).

        Raises ConnectionClosed, KernelFault, TimeoutError when the other side takes nothing; Bug after
        `close`.
        """
        with self._lock:
            self._raise_failure()
            if self._closing:
                raise Bug(f"something was sent to {self.name} after it was closed")
            if self._closed is not None:
                raise self._closed
            self._show()
            shown = [MASKED] if masked else _printable(text)
            self._seq = self._sink.lines(*self._channel(journal.INPUT, shown))
        deadline = Deadline.after(WRITE_LIMIT, self.clock)
        if self.character_delay <= 0:
            self._port.write(text.encode(), deadline)
            return
        for character in text:
            self._port.write(character.encode(), Deadline.after(WRITE_LIMIT, self.clock))
            self._sleep(self.character_delay)

    # -- waiting -----------------------------------------------------------------------------------------

    def expect(self, patterns: Patterns, deadline: Deadline, *, keep: int = KEEP) -> Match:
        """Wait for the first of `patterns` in what was not consumed yet; consume up to the end of the match.

        `keep`: characters of text before the match that are wanted. Raises PromptTimeout, ConnectionClosed,
        KernelFault; JobError for a pattern that is no regular expression.
        """
        expectation = _Expectation(patterns, keep)
        seconds = deadline.remaining
        with self._lock:
            self._expectation = expectation
            try:
                self._raise_failure()
                self._search("")
                if not self._wait_for(lambda: expectation.match is not None, deadline):
                    raise PromptTimeout(expectation.names, seconds, self._window.peek())
            finally:
                self._expectation = None
        assert expectation.match is not None  # noqa: S101 - for the type checker
        return expectation.match

    def expect_forced(
        self, patterns: Patterns, deadline: Deadline, *, limit: float | None = None, poke: str = "#"
    ) -> Match:
        """As `expect`, but ask for a prompt when none comes (spec: action-pipeline §3, forced prompts).

        Half of `limit` (seconds, by default what the deadline leaves) for the prompt to come by itself,
        then up to six times `poke` and a newline and a tenth of the limit; never beyond the deadline.
        """
        return dialogue.expect_forced(self, patterns, deadline, limit=limit, poke=poke)

    def command(
        self,
        line: str,
        prompt: Patterns,
        deadline: Deadline,
        *,
        limit: float = dialogue.COMMAND_LIMIT,
        keep: int = KEEP,
    ) -> dialogue.Outcome:
        """Run a shell line on the device: its output and exit code (spec: action-pipeline §3, checked
        commands).

        Raises JobError when the exit code does not come within `limit` seconds; PromptTimeout when the
        prompt does not.
        """
        return dialogue.run_command(self, line, prompt, deadline, limit=limit, keep=keep)

    def start_listening(self, listener: Listener) -> None:
        """Let `listener` read along from here on, beginning with what was not consumed yet."""
        with self._lock:
            self._listener, self._listened, self._listener_error = listener, False, None
            text = self._window.take()
            if text:
                self._mark_chunk("", self._seq + 1)
                self._feed_listener(text)

    def listen(self, listener: Listener, deadline: Deadline) -> bool:
        """Wait until `listener` is done: True; False at the deadline, when it goes on reading along until
        `listen` is called again or `stop_listening`. Raises ConnectionClosed, KernelFault, and what the
        listener raises.
        """
        with self._lock:
            if self._listener is not listener and not (self._listened and self._listener is None):
                self.start_listening(listener)
            return self._wait_for(self._listener_done, deadline)

    def stop_listening(self) -> None:
        """Nobody reads along any more."""
        with self._lock:
            self._listener, self._listened, self._listener_error = None, False, None

    def wait_quiet(self, seconds: float, deadline: Deadline) -> bool:
        """Wait until nothing has arrived for `seconds`: True; False at the deadline. A closed console is
        quiet.
        """
        with self._lock:
            while self._closed is None:
                missing = self._last_data + seconds - self.clock()
                if missing <= 0:
                    break
                if deadline.expired:
                    return False
                self._wait(min(missing, deadline.remaining, _LONGEST_WAIT))
            return True

    def drain(self, deadline: Deadline | None = None) -> str:
        """Consume and return what nobody waited for (its end, when it is long); with a deadline, once it
        is quiet.
        """
        if deadline is not None:
            self.wait_quiet(QUIET, deadline)
        with self._lock:
            self._show()
            return self._window.take()

    # -- the watch on the kernel -------------------------------------------------------------------------

    def watch(
        self, mode: Mode, *, start: str = "", failure_message: str = "", fatal: Collection[str] = ()
    ) -> None:
        """Set the rules for kernel faults (spec: action-pipeline §6).

        With `start` (a regex) they hold from the line after one that matches; what has arrived but was
        not consumed is looked at too. `failure_message`: a regex that ends the job. `fatal`: kinds
        (faults.Kind) that end it as well. Raises JobError for what is no regular expression.
        """
        begin = compile_patterns(start)[0] if start else None
        failure = compile_patterns(failure_message)[0] if failure_message else None
        with self._lock:
            self._watcher.set(mode, start=begin, failure=failure, fatal=fatal)
            waiting = unify(self._window.peek(KEEP))
            lines = waiting.split("\n")[:-1] if begin is not None else []
            if lines:
                self._watcher.feed(lines, waiting, max(0, self._seq + 1 - len(lines)), self.clock())
                self._check_watcher()

    def expect_reset(self) -> None:
        """The device is about to be reset on purpose: forget a fatal fault and let the bootloader
        introduce itself.
        """
        with self._lock:
            self._watcher.expect_reset()
            if isinstance(self._failure, KernelFault):
                self._failure = None

    @property
    def faults(self) -> list[Fault]:
        """The faults of the kernel so far, the first hundred of them."""
        return self._watcher.faults

    def check(self) -> None:
        """Raise the fatal fault, if there is one; for actions that wait elsewhere."""
        with self._lock:
            self._raise_failure()

    # -- journal -----------------------------------------------------------------------------------------

    def log(self, level: str, text: str) -> int:
        """Write a message about this console into the journal; its `seq`."""
        return self._sink.record(level, text)

    def seq_at(self, offset: int) -> int:
        """Journal record of the line that holds character `offset` of the text which a listener is being fed.

        For a line that has not ended: the number that it will get at the earliest.
        """
        return self._first + unify(self._before + self._fed[:offset]).count("\n")

    # -- the reading thread ------------------------------------------------------------------------------

    def _read_all(self) -> None:
        try:
            while self._step(None):
                pass
        except LavaExecError as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001 - raised again in the thread that waits
            self._fail(Bug(f"{type(error).__name__} while reading {self.name}: {error}"))
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
        if self._lines.hidden:
            times.append(self._last_data + SHOW_AFTER)
        watcher = self._watcher.due()
        if watcher is not None:
            times.append(watcher)
        return max(0.0, min(times) - now) if times else None

    def _tick(self) -> None:
        with self._lock:
            now = self.clock()
            if now >= self._last_data + SHOW_AFTER:
                self._show()
            self._watcher.tick(now)
            self._check_watcher()

    def _chunk(self, data: bytes) -> None:
        self._last_data = now = self.clock()
        if self._recording is not None and self._recording.write(data):
            self._sink.record(
                journal.WARNING, f"the recording of {self.name} stopped: {self._recording.stopped}"
            )
        text = self._cleaner.feed(data)
        if not text:
            return
        before = self._lines.partial
        whole, rest = self._lines.add(text)
        self._book(before, whole, rest, now)
        self._hand_on(text)

    def _book(self, before: str, whole: list[str], rest: list[str], now: float) -> None:
        """Journal and watcher: `whole` lines, of which `rest` was not shown yet."""
        if not whole:
            self._mark_chunk(before, self._seq + 1)
            return
        first = self._sink.lines(*self._channel(journal.TARGET, rest)) if rest else self._seq
        self._seq = first + len(rest) - 1 if rest else self._seq
        first -= len(whole) - len(rest)  # the first line was shown to its end already
        self._mark_chunk(before, first)
        if self._watcher.mode is not Mode.OFF:
            self._watcher.feed(whole, self._lines.ended, first, now)
            self._check_watcher()

    def _hand_on(self, text: str) -> None:
        self._window.add(text)
        if self._listener is not None:
            self._feed_listener(text)
        if self._expectation is not None:
            self._search(text)

    def _mark_chunk(self, before: str, first: int) -> None:
        self._before, self._first = before, first

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
            self._window.clear()
            self._window.add(self._lines.partial)  # the prompt that follows may be here already
            self._changed.notify_all()

    def _search(self, text: str) -> None:
        expectation = self._expectation
        if expectation is None or expectation.match is not None:
            return
        found = self._window.search(expectation.compiled, expectation.keep)
        if found is None:
            return
        index, match, before, after = found
        seq = (
            self._first + unify(self._before + text[: max(0, len(text) - after)]).count("\n")
            if text
            else self._seq
        )
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

    # -- helpers, called with the lock held --------------------------------------------------------------

    def _wait_for(self, done: Callable[[], bool], deadline: Deadline) -> bool:
        while True:
            self._raise_failure()
            if done():
                return True
            if self._closed is not None:
                raise self._closed
            if deadline.expired:
                self._settle()
                return False
            self._wait(min(deadline.remaining, _LONGEST_WAIT))

    def _listener_done(self) -> bool:
        if self._listener_error is not None:
            error, self._listener_error = self._listener_error, None
            raise error
        return self._listened

    def _settle(self) -> None:
        """Nobody will wait any longer: a panic whose trace has not ended is the cause then."""
        if self._watcher.panicking is not None:
            self._watcher.end()
            self._check_watcher()
            self._raise_failure()

    def _wait(self, seconds: float) -> None:
        self._changed.wait(seconds)

    def _sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

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

    def _show(self) -> None:
        """Put the unfinished line into the journal."""
        text = self._lines.show()
        if text:
            self._seq = self._sink.lines(*self._channel(journal.TARGET, [text]))

    def _channel(self, level: str, texts: list[str]) -> tuple[str, list[str], str]:
        if self.foreground:
            return level, texts, ""
        return (journal.FEEDBACK if level == journal.TARGET else level), texts, self.namespace

    def _fail(self, error: LavaExecError) -> None:
        with self._lock:
            self._failure = self._failure or error
            self._changed.notify_all()

    def _end(self) -> None:
        """The stream has ended: nothing that came is left behind, and whoever waits is told why."""
        with self._lock:
            if self._closed is not None:
                return
            text = self._cleaner.flush()
            now = self.clock()
            try:
                if text:
                    self._book(self._lines.partial, *self._lines.add(text), now)
                self._book("", *self._lines.end(), now)
                if text:
                    self._hand_on(text)
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


def _printable(text: str) -> list[str]:
    """What was sent, a record a line; control characters as ^X."""
    lines = text.replace("\r\n", "\n").removesuffix("\n").split("\n")
    return ["".join(c if c >= " " or c == "\t" else f"^{chr(ord(c) ^ 0x40)}" for c in line) for line in lines]
