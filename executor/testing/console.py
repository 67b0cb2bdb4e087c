# SPDX-License-Identifier: Apache-2.0
"""A board that plays a script, for tests of whatever talks to a console: no processes, no threads, no
waiting.

    clock = FakeClock() board = ScriptedPort(clock, [Say("Linux version 6.1\r\nbox login: ", after=4),
    Hear("root\n"), Say("/ # ")]) console = ScriptedConsole(board, MemorySink()) console.expect("login: ",
    Deadline.after(10, clock))

Time passes only while somebody waits, and exactly as long as the script says. `ScriptedConsole` is the
real console with its reading thread replaced by "read when somebody waits"; everything else is the code
that runs in a job.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from executor.console.reader import Console
from executor.errors import ConnectionClosed
from executor.model import journal
from executor.model.deadline import Deadline


class FakeClock:
    """A clock that only moves when told; give it to Deadline."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


class MemorySink:
    """A journal in a list: `records` holds (level, message, namespace); the index is the `seq`."""

    def __init__(self) -> None:
        self.records: list[tuple[str, Any, str]] = []

    def lines(self, level: str, texts: Sequence[str], namespace: str = "") -> int:
        first = len(self.records)
        self.records += [(level, text, namespace) for text in texts]
        return first

    def record(self, level: str, msg: Any, namespace: str = "") -> int:
        self.records.append((level, msg, namespace))
        return len(self.records) - 1

    def texts(self, level: str = journal.TARGET) -> list[str]:
        """The messages of one level, in order."""
        return [msg for lvl, msg, _ in self.records if lvl == level]


@dataclass(frozen=True)
class Say:
    """The board prints `text`, `after` seconds after the step before; cut into pieces of `chunk` bytes if
    not 0.
    """

    text: str | bytes
    after: float = 0.0
    chunk: int = 0


@dataclass(frozen=True)
class Hear:
    """The board waits until `text` was typed (a substring, or a compiled regex); what came before it is
    dropped. `echo`: False for a password.
    """

    text: str | re.Pattern[str]
    echo: bool = True


@dataclass(frozen=True)
class Shell:
    """From here on the board is a shell, until the script's end.

    `answers`: regex of a typed line → what it prints (text, or a function of the match); other lines
    print nothing. The prompt follows each answer.
    """

    prompt: str = "/ # "
    answers: Mapping[str, str | Callable[[re.Match[str]], str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Hang:
    """The connection ends, `after` seconds after the step before."""

    reason: str = "the board exited with code 0"
    after: float = 0.0


Step = Say | Hear | Shell | Hang


class ScriptedPort:
    """Plays the steps in order. `typed` is all that was sent to the board; `echo` types it back as a
    terminal does.
    """

    name = "board"

    def __init__(self, clock: FakeClock, script: Iterable[Step], *, echo: bool = True) -> None:
        self.clock = clock
        self.typed = ""
        self._steps = deque(script)
        self._echo = echo
        self._ready = clock.now  # when the next step may begin
        self._output: deque[bytes] = deque()
        self._heard = ""  # typed, but not taken by a step
        self._shell: Shell | None = None
        self._ended = ""

    # -- Port --------------------------------------------------------------------------------------------

    @property
    def alive(self) -> bool:
        return not self._ended

    def read(self, limit: int, wait: float | None) -> bytes | None:
        if not self._play():
            self._pass_time(wait)
            self._play()
        if self._output:
            data = self._output.popleft()
            if len(data) > limit:
                self._output.appendleft(data[limit:])
            return data[:limit]
        return b"" if self._ended else None

    def write(self, data: bytes, deadline: Deadline) -> None:
        if self._ended:
            raise ConnectionClosed(f"{self.name} is gone")
        text = data.decode()
        self.typed += text
        self._heard += text
        step = self._steps[0] if self._steps else None
        if self._echo and not (isinstance(step, Hear) and not step.echo):
            self._output.append(text.replace("\n", "\r\n").encode())

    def close(self, deadline: Deadline) -> None:
        self._ended = self._ended or "it was closed"

    def release(self) -> None:
        """Nothing to give back."""

    def describe_end(self) -> str:
        return self._ended

    # -- for tests ---------------------------------------------------------------------------------------

    @property
    def finished(self) -> bool:
        """Was every step played?"""
        return not self._steps and not self._output

    # -- the script --------------------------------------------------------------------------------------

    def _play(self) -> bool:
        """Play what is due now; True when there is output or the end was reached."""
        while not self._output and not self._ended:
            if self._shell is not None:
                return self._answer(self._shell)
            if not self._steps or not self._begin(self._steps[0]):
                return False
        return True

    def _begin(self, step: Step) -> bool:
        if isinstance(step, Hear):
            if not self._take(step.text):
                return False
        elif isinstance(step, Shell):
            self._shell = step
        else:
            if self.clock.now < self._ready + step.after:
                return False
            if isinstance(step, Hang):
                self._ended = step.reason
            else:
                self._say(step.text, step.chunk)
        self._steps.popleft()
        self._ready = self.clock.now
        return True

    def _say(self, text: str | bytes, chunk: int = 0) -> None:
        data = text.encode() if isinstance(text, str) else text
        size = chunk or len(data) or 1
        self._output.extend(data[i : i + size] for i in range(0, len(data), size))

    def _take(self, wanted: str | re.Pattern[str]) -> bool:
        found = re.search(re.escape(wanted) if isinstance(wanted, str) else wanted, self._heard)
        if found is None:
            return False
        self._heard = self._heard[found.end() :]
        return True

    def _answer(self, shell: Shell) -> bool:
        while "\n" in self._heard:
            line, _, self._heard = self._heard.partition("\n")
            for pattern, answer in shell.answers.items():
                if found := re.search(pattern, line):
                    self._say((answer if isinstance(answer, str) else answer(found)).replace("\n", "\r\n"))
                    break
            self._say(shell.prompt)
        return bool(self._output)

    def _pass_time(self, wait: float | None) -> None:
        due = None
        if self._steps and isinstance(self._steps[0], Say | Hang):
            due = self._ready + self._steps[0].after - self.clock.now
        times = [t for t in (due, wait) if t is not None]
        if not times:
            raise AssertionError(
                f"the board is silent for ever and nobody limits the wait; typed so far: {self.typed!r}"
            )
        self.clock.advance(max(0.0, min(times)))


class ScriptedConsole(Console):
    """A Console that reads in the thread that waits; `start` is not needed."""

    def __init__(self, port: ScriptedPort, sink: MemorySink | None = None, **options: Any) -> None:
        self.sink = sink if sink is not None else MemorySink()
        self.board = port
        super().__init__(port, self.sink, clock=port.clock, **options)

    def start(self) -> None:
        """There is no thread to start."""

    def settle(self, seconds: float = 5.0) -> None:
        """Let `seconds` pass on the board, reading what it says."""
        until = self.board.clock.now + seconds
        while not self.closed and self.board.clock.now < until:
            self._read(until - self.board.clock.now)

    def _wait(self, seconds: float) -> None:
        self._read(seconds)

    def _sleep(self, seconds: float) -> None:
        self.board.clock.advance(seconds)

    def _read(self, seconds: float) -> None:
        if not self._step(seconds):
            self._end()


__all__ = ["FakeClock", "Hang", "Hear", "MemorySink", "Say", "ScriptedConsole", "ScriptedPort", "Shell"]
