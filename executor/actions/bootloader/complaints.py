# SPDX-License-Identifier: Apache-2.0
"""Waiting for a bootloader while its complaints are looked for: the field's `error-messages` (spec:
action-pipeline §6).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from executor.console.expect import Match, PromptTimeout
from executor.errors import ConnectionClosed, InfrastructureError
from executor.model.deadline import Deadline

if TYPE_CHECKING:
    from executor.console.reader import Console

_REST_SECONDS = 1.0  # in which the rest of the line must have come


def await_one(
    console: Console, wanted: Sequence[str], complaints: Sequence[str], deadline: Deadline, *, during: str
) -> Match:
    """The first of `wanted`. Raises InfrastructureError with the line in which one of `complaints` stands."""
    try:
        match = console.expect([*wanted, *complaints], deadline)
    except PromptTimeout as timeout:
        raise PromptTimeout(wanted, timeout.seconds, timeout.last_text) from None
    if match.index < len(wanted):
        return match
    line = _line(console, match, deadline)
    raise InfrastructureError(
        f"the bootloader gave up on {during!r}: {line}",
        f"the line is journal record {match.seq}; {match.pattern!r} is one of the device's error-messages",
    )


def _line(console: Console, match: Match, deadline: Deadline) -> str:
    """The line of the match, with what comes after it."""
    head = match.before.replace("\r", "\n").rsplit("\n", 1)[-1]
    rest = ""
    if not match.text.endswith(("\r", "\n")):
        try:
            rest = console.expect(r"[\r\n]", deadline.within(_REST_SECONDS)).before
        except (TimeoutError, ConnectionClosed):
            rest = console.drain()
    return " ".join((head + match.text + rest).split())
