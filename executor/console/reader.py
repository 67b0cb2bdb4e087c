# SPDX-License-Identifier: Apache-2.0
"""`Console`: one reading thread for a console's whole life, and all that actions may ask of it.

The thread (see intake.py) is started before power is applied and ends with the console. Actions never read:
they send, and wait on a condition with a Deadline.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path

from executor.console import command as dialogue
from executor.console.expect import KEEP, Match, Patterns, PromptTimeout, compile_patterns
from executor.console.faults import Fault, KernelFault
from executor.console.intake import Expectation, Intake, Listener
from executor.console.ports import Port
from executor.console.recording import DEFAULT_LIMIT
from executor.console.sink import Sink
from executor.console.text import unify
from executor.console.watcher import Mode
from executor.errors import Bug
from executor.model import journal
from executor.model.deadline import Clock, Deadline

MIN_WINDOW = 8192  # characters
QUIET = 0.05  # seconds of silence that `drain` asks for
WRITE_LIMIT = 30.0  # seconds in which the other side must take what is sent
_LONGEST_WAIT = 3600.0  # seconds; conditions know no infinity
_JOIN = 10.0  # seconds in which the reading thread must have ended after its port

MASKED = "[MASKED]"


class Console(Intake):
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
        super().__init__(
            port,
            sink,
            name=name,
            namespace=namespace,
            recording=recording,
            recording_limit=recording_limit,
            search_window=max(MIN_WINDOW, search_window),
            on_fault=on_fault,
            clock=clock,
        )
        self.newline = "\n"
        self.character_delay = 0.0
        self._thread: threading.Thread | None = None
        self._closing = False  # we ended the stream

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

    def send(self, text: str, *, masked: bool = False, logged: bool = True) -> None:
        """Send `text` as it is and log it as `input` (`masked`: only that something was sent; not `logged`:
        the newline of what was sent before).

        Raises ConnectionClosed, KernelFault, TimeoutError when the other side takes nothing; Bug after
        `close`.
        """
        with self._lock:
            self._raise_failure()
            if self._closing:
                raise Bug(f"something was sent to {self.name} after it was closed")
            if self._closed is not None:
                raise self._closed
            if logged:
                self._show()
                shown = [MASKED] if masked else _printable(text)
                self._seq = self._sink.lines(*self._channel(journal.INPUT, shown)) + len(shown) - 1
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
        expectation = Expectation(patterns, keep)
        seconds = deadline.remaining
        with self._lock:
            self._expectation = expectation
            try:
                self._raise_failure()
                self._search()
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
                self._before, self._first = "", self._seq + 1 - unify(text).count("\n")
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
            if self._listener is not None:
                self._keep_unfinished_line()
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

    def pause(self, deadline: Deadline) -> None:
        """Let the time until `deadline` pass. Raises ConnectionClosed and KernelFault when it is of no use
        any more.
        """
        with self._lock:
            self._wait_for(lambda: False, deadline)

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
        """The device is about to be reset on purpose: what nobody consumed and a fatal fault are of the
        past, and the bootloader may introduce itself.
        """
        with self._lock:
            self._watcher.expect_reset()
            self._window.clear()
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

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure


def _printable(text: str) -> list[str]:
    """What was sent, a record a line; control characters as ^X."""
    lines = text.replace("\r\n", "\n").removesuffix("\n").split("\n")
    return ["".join(c if c >= " " or c == "\t" else f"^{chr(ord(c) ^ 0x40)}" for c in line) for line in lines]
