# SPDX-License-Identifier: Apache-2.0
"""Reads what lava-signals prints: the signals that the device kept, each with its own checksum."""

from __future__ import annotations

import re

import msgspec

from executor.testshell.signals import BEGIN, TOKEN, TRAILER, Trailer, trailer

MARK = "=LAVA= "
_END = re.compile(r"=LAVA= end ([0-9a-z-]+ \d+ \d+ \d+) = \1\s*$", re.MULTILINE)
END = r"=LAVA= end [^\r\n]{1,200} = [^\r\n]{1,200}[\r\n]"  # what to wait for on the console


class Kept(msgspec.Struct):
    """The kept signals that arrived whole. `last`: the highest number taken, -1 when that is not known;
    `found` and `left_out`: how many lines the device printed, and how many it did not because of the limit.
    """

    signals: list[tuple[str, Trailer]]
    last: int = -1
    found: int = 0
    left_out: int = 0


def parse_kept(text: str, run: str) -> Kept:
    """All intact lines of `text` that belong to `run`."""
    signals: dict[tuple[int, str], tuple[str, Trailer]] = {}
    for piece in text.split(MARK)[1:]:
        line = BEGIN + piece.split("\n", 1)[0]
        token = TOKEN.match(line)
        found = TRAILER.match(line, token.end()) if token is not None else None
        if token is None or found is None:
            continue
        one = trailer(found)
        if one.run == run and one.fits(token.group()):
            signals[one.seq, one.unnumbered] = (token.group(), one)
    kept = Kept([signals[key] for key in sorted(signals)])
    for end in _END.finditer(text):
        words = end[1].split()
        if words[0] == run:
            kept.last, kept.found, kept.left_out = int(words[1]), int(words[2]), int(words[3])
    return kept
