# SPDX-License-Identifier: Apache-2.0
"""A job's journal while it grows: pulled block by block from the master, or read from a file here.

Whoever reads slowly costs the master nothing, since the reader asks for each block (ADR 0004).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from executor.errors import InfrastructureError
from executor.model.deadline import Deadline
from executor.model.journal import Record
from executor.report.reader import JournalReader
from executor.report.summarize import SummaryBuilder
from executor.report.summary import Summary
from executor.report.terminal import LiveLog, LogView

if TYPE_CHECKING:
    from executor.cli.app import App
    from executor.wire.channel import Channel

PARKED = 30.0  # seconds the master may hold a request while nothing happens
ANSWER = 30.0  # seconds beyond that until the master counts as silent
BLOCK = 1 << 20


def live_log(app: App, *, timestamps: bool = True, levels: frozenset[str] | None = None) -> LiveLog:
    """The log for people on stdout, looking as the options say."""
    return LiveLog(sys.stdout, LogView(app.out, timestamps=timestamps, debug=not app.quiet, levels=levels))


def blocks(
    channel: Channel,
    job: str,
    *,
    wait: bool,
    last_lines: int = 0,
    on_state: Callable[[str], None] | None = None,
) -> Iterator[bytes]:
    """The journal's blocks from its beginning; with `wait`, until the job has ended.

    `on_state` hears each state of the job once. The answers are checked to be in order, without a gap.
    """
    from executor.wire.messages import LogBlock, LogRead

    offset, state, first = 0, "", True
    while True:
        ask = LogRead(job, offset, BLOCK, PARKED if wait else 0.0, last_lines if first else 0)
        block = channel.call(ask, LogBlock, Deadline.after(PARKED + ANSWER))
        if on_state is not None and block.state and block.state != state:
            state = block.state
            on_state(state)
        if not (first and last_lines) and block.offset != offset:
            raise InfrastructureError(f"the master sent offset {block.offset} where {offset} was asked for")
        first = False
        if block.data:
            yield block.data
        offset = block.next
        if block.ended or (not wait and offset >= block.size):
            return


def file_blocks(path: Path, *, wait: bool, ended: Callable[[], bool] = lambda: True) -> Iterator[bytes]:
    """The same for a journal on this machine; with `wait`, until its end record or `ended` says so."""
    with path.open("rb") as file:
        while True:
            over = not wait or ended()
            data = file.read(BLOCK)
            if data:
                yield data
            elif over:
                return
            else:
                time.sleep(0.05)


def read_summary(
    source: Iterator[bytes],
    *,
    live: LiveLog | None = None,
    excerpts: bool = False,
    partial: bool = False,
    also: Callable[[list[Record]], None] | None = None,
) -> Summary:
    """Take in a whole journal, showing it on the way. `partial`: it does not begin at its beginning.

    `also` is given the same records.
    """
    reader = JournalReader(partial=partial)
    builder = SummaryBuilder(excerpts=excerpts)
    try:
        for data in source:
            batch = reader.feed(data)
            if live is not None:
                live.feed(batch)
            builder.add(batch)
            if also is not None:
                also(batch)
        reader.close()
    finally:
        if live is not None:
            live.close()
    return builder.done(reader)
