# SPDX-License-Identifier: Apache-2.0
"""Two small dialogues with a shell on a noisy console: asking for a prompt, and a command with its exit
code.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from executor.console.expect import Match, Patterns, PromptTimeout, pattern_names
from executor.errors import JobError
from executor.model import journal
from executor.model.deadline import Deadline

if TYPE_CHECKING:
    from executor.console.reader import Console

COMMAND_LIMIT = 15.0  # seconds until the exit code must be there (spec: action-pipeline §3)
POKES = 6

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Outcome:
    """`output` has its lines ended by a newline each, and begins with its end when it was longer than was
    to be kept.
    """

    output: str
    rc: int
    seq: int  # journal record of the marker


def expect_forced(
    console: Console, patterns: Patterns, deadline: Deadline, *, limit: float | None, poke: str
) -> Match:
    """See Console.expect_forced."""
    limit = deadline.remaining if limit is None else limit
    try:
        return console.expect(patterns, deadline.within(limit / 2))
    except PromptTimeout as timeout:
        last = timeout
    for _ in range(POKES):
        if deadline.expired:
            break
        console.log(
            journal.WARNING,
            f"no prompt within {last.seconds:.0f} seconds: sending {poke!r} and a newline to get one. "
            "Was the prompt corrupted by kernel messages, or is the pattern wrong?",
        )
        console.send_line(poke)
        try:
            return console.expect(patterns, deadline.within(limit / 10))
        except PromptTimeout as timeout:
            last = timeout
    raise PromptTimeout(pattern_names(patterns), limit, last.last_text) from None


def run_command(
    console: Console, line: str, prompt: Patterns, deadline: Deadline, *, limit: float, keep: int
) -> Outcome:
    """See Console.command.

    The markers come out of printf, so the echo of what is typed does not look like them; each is used
    once, so one that comes too late is not taken for another's.
    """
    mark = f"lava-exec-{next(_numbers)}"
    began, ended = f"<begin:{mark}>", re.compile(rf"<end:{mark}:(\d+)>")
    console.drain()
    console.send_line(f"printf '<%s:{mark}>\\n' begin; {line}; printf '<%s:{mark}:%d>\\n' end $?")
    until = deadline.within(limit)
    try:
        console.expect(re.compile(re.escape(began) + r"\r*\n"), until)
        found = console.expect(ended, until, keep=keep)
    except PromptTimeout as timeout:
        raise JobError(
            f"no exit code of {line!r} within {timeout.seconds:.0f} seconds",
            "did the command wait for input, or the console lose characters?",
        ) from timeout
    console.expect(prompt, deadline)
    output = re.sub(r"\r+\n", "\n", found.before)
    console.log(journal.DEBUG, f"{line!r} returned {found.groups[0]}")
    return Outcome(output, int(found.groups[0] or 0), found.seq)
