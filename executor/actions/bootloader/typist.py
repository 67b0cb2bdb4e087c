# SPDX-License-Identifier: Apache-2.0
"""Typing a line so that it arrives: bootloaders poll their serial port and lose characters.

The echo is compared before the line is ended, so a line that arrived damaged is never run. It is taken
away and typed again: at first more slowly, then each character only after the one before has come back. The
lines after it keep that pace.
"""

from __future__ import annotations

import re
from enum import Enum, IntEnum
from typing import TYPE_CHECKING

from executor.console.expect import FLAGS, PromptTimeout
from executor.errors import InfrastructureError
from executor.model import journal

if TYPE_CHECKING:
    from executor.actions.bootloader.settings import Bootloader
    from executor.console.reader import Console
    from executor.model.deadline import Deadline
    from executor.pipeline.log import Log

TRIES = 4
SLOW = 0.01  # seconds between characters, after a line lost some
ECHO_SECONDS = 1.0  # until the echo of a line, or of a character, is there
QUIET_SECONDS = 0.3  # of silence, after which it is not awaited any longer
LIMIT_SECONDS = 10.0  # for the echo of one line in all
UNSEEN = 2  # lines without a readable echo, after which none is looked for


class Echo(Enum):
    """What came back of a line."""

    WHOLE = "whole"
    DAMAGED = "damaged"  # characters are missing, or are others
    NONE = "none"  # no echo at all
    REDRAWN = "redrawn"  # more than was typed: the bootloader moves its cursor about


class Pace(IntEnum):
    """How a line is typed."""

    FULL = 0
    SLOW = 1
    BY_ECHO = 2  # a character at a time, and again where it does not come back


class Typist:
    """Types lines at one bootloader; learns how fast it may, and whether there is an echo to be read.

    Left as a context, the console gets back the pace that it had.
    """

    def __init__(self, console: Console, bootloader: Bootloader, log: Log) -> None:
        self.console, self.bootloader, self.log = console, bootloader, log
        self._pace = Pace.FULL
        self._delay = console.character_delay
        self._seen = False  # has there been an echo?
        self._unseen = 0  # lines without one

    def __enter__(self) -> Typist:
        return self

    def __exit__(self, *raised: object) -> None:
        self.console.character_delay = self._delay

    def type(self, line: str, deadline: Deadline) -> None:
        """Type `line` and end it. Raises InfrastructureError when it does not arrive whole."""
        for attempt in range(1, TRIES + 1):
            self.console.drain(
                deadline.within(QUIET_SECONDS)
            )  # the key that interrupts may bring two prompts
            echo = self._once(line, deadline)
            if echo is not Echo.DAMAGED:
                self._end(echo, deadline)
                return
            self.log.warning(f"characters were lost on the way, {attempt} of {TRIES}: {line!r}")
            self._slow_down()
            self._erase(deadline)
        raise InfrastructureError(
            f"the bootloader does not get the whole of {line!r}",
            "a delay between characters helps (character_delays.boot in the device file, in ms), "
            "or a shorter line",
        )

    def _once(self, line: str, deadline: Deadline) -> Echo:
        if not line.strip():
            self.console.send(line)
            return Echo.WHOLE
        pattern = re.compile(r"[\r\n]*".join(re.escape(character) for character in line))
        if self._pace is Pace.BY_ECHO:
            echo = judge(line, self._by_echo(line, deadline), pattern, self.bootloader.prompt)
        else:
            self.console.send(line)
            if self._unseen >= UNSEEN:
                return Echo.NONE
            echo = self._echo(line, pattern, deadline.within(LIMIT_SECONDS))
        if self._seen and echo is Echo.NONE:
            return Echo.DAMAGED
        self._seen = self._seen or echo in (Echo.WHOLE, Echo.DAMAGED)
        self._unseen += echo in (Echo.NONE, Echo.REDRAWN)
        return echo

    def _echo(self, line: str, pattern: re.Pattern[str], deadline: Deadline) -> Echo:
        try:
            self.console.expect(pattern, deadline.within(ECHO_SECONDS))
        except PromptTimeout:
            self.console.wait_quiet(QUIET_SECONDS, deadline)
            return judge(line, self.console.drain(), pattern, self.bootloader.prompt)
        return Echo.WHOLE

    def _by_echo(self, line: str, deadline: Deadline) -> str:
        """Type a character only after the one before was seen; what was shown meanwhile."""
        self.console.log(journal.INPUT, line)
        shown = ""
        for character in line:
            came = self._one(character, deadline)
            if not came:
                break  # the line is as long as the bootloader takes it, or nobody listens
            shown += came
        return shown

    def _one(self, character: str, deadline: Deadline) -> str:
        """Type a character until it comes back; "" when it does not."""
        pattern = re.compile(re.escape(character))
        for _ in range(TRIES):
            self.console.send(character, logged=False)
            try:
                found = self.console.expect(pattern, deadline.within(ECHO_SECONDS))
            except PromptTimeout:
                continue
            return found.before + found.text
        return ""

    def _slow_down(self) -> None:
        self._pace = Pace(min(self._pace + 1, Pace.BY_ECHO))
        if self._pace is Pace.SLOW:
            self.console.character_delay = max(self.console.character_delay, SLOW)

    def _erase(self, deadline: Deadline) -> None:
        """More than once: it can be lost as well."""
        for _ in range(TRIES):
            self.console.send(self.bootloader.erase, logged=False)
            self.console.wait_quiet(QUIET_SECONDS, deadline.within(LIMIT_SECONDS))

    def _end(self, echo: Echo, deadline: Deadline) -> None:
        """The newline, which can be lost too."""
        for _ in range(TRIES if echo is Echo.WHOLE else 1):
            self.console.send(self.console.newline, logged=False)
            if echo is not Echo.WHOLE:
                return
            try:
                self.console.expect(r"[\r\n]", deadline.within(2 * ECHO_SECONDS))
            except PromptTimeout:
                self.log.debug("the newline did not come back: once more")
                continue
            return


def judge(line: str, shown: str, pattern: re.Pattern[str], prompt: str) -> Echo:
    """What `shown` says of a line that was not seen at once; prompts in it do not count."""
    if pattern.search(shown):
        return Echo.WHOLE
    wanted, came = "".join(line.split()), "".join(re.sub(prompt, "", shown, flags=FLAGS).split())
    if not came:
        return Echo.NONE
    return Echo.DAMAGED if len(came) <= len(wanted) else Echo.REDRAWN
