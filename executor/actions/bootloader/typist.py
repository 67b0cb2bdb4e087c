# SPDX-License-Identifier: Apache-2.0
"""Typing a line so that it arrives: bootloaders poll their serial port and lose characters.

The echo is compared before the line is ended, so a line that arrived damaged is never run. It is taken
away and typed again, a few times.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING

from executor.console.expect import PromptTimeout
from executor.errors import InfrastructureError

if TYPE_CHECKING:
    from executor.console.reader import Console
    from executor.model.deadline import Deadline
    from executor.pipeline.log import Log

TRIES = 3
ECHO_SECONDS = 1.0  # until the echo of a line is there
QUIET_SECONDS = 0.3  # of silence, after which it is not awaited any longer
LIMIT_SECONDS = 10.0  # for the echo of one line in all
UNSEEN = 2  # lines without a readable echo, after which none is looked for


class Echo(Enum):
    """What came back of a line."""

    WHOLE = "whole"
    DAMAGED = "damaged"  # characters are missing, or are others
    NONE = "none"  # no echo at all
    REDRAWN = "redrawn"  # more than was typed: the bootloader moves its cursor about


class Typist:
    """Types lines at one bootloader; learns that there is no echo to be read."""

    def __init__(self, console: Console, erase: str, log: Log) -> None:
        self.console, self.erase, self.log = console, erase, log
        self._unseen = 0

    def type(self, line: str, deadline: Deadline) -> None:
        """Type `line` and end it. Raises InfrastructureError when it does not arrive whole."""
        for attempt in range(1, TRIES + 1):
            self.console.drain()
            self.console.send(line)
            echo = self._echo(line, deadline.within(LIMIT_SECONDS))
            if echo is Echo.WHOLE or not line.strip():
                break
            if echo is not Echo.DAMAGED:
                self._unseen += 1
                break
            self.log.warning(f"characters were lost on the way, {attempt} of {TRIES}: {line!r}")
            self.console.send(self.erase, logged=False)
            self.console.wait_quiet(QUIET_SECONDS, deadline.within(LIMIT_SECONDS))
        else:
            raise InfrastructureError(
                f"the bootloader does not get the whole of {line!r}",
                "a delay between characters helps (character_delays.boot in the device file, in ms), "
                "or a shorter line",
            )
        self.console.send(self.console.newline, logged=False)

    def _echo(self, line: str, deadline: Deadline) -> Echo:
        if not line.strip():
            return Echo.WHOLE
        if self._unseen >= UNSEEN:
            return Echo.NONE
        pattern = re.compile(r"[\r\n]*".join(re.escape(character) for character in line))
        try:
            self.console.expect(pattern, deadline.within(ECHO_SECONDS))
        except PromptTimeout:
            self.console.wait_quiet(QUIET_SECONDS, deadline)
            return judge(line, self.console.drain(), pattern)
        return Echo.WHOLE


def judge(line: str, shown: str, pattern: re.Pattern[str]) -> Echo:
    """What `shown` says of a line that was not seen at once."""
    if pattern.search(shown):
        return Echo.WHOLE
    wanted, came = "".join(line.split()), "".join(shown.split())
    if not came:
        return Echo.NONE
    return Echo.DAMAGED if len(came) <= len(wanted) else Echo.REDRAWN
