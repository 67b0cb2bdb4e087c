# SPDX-License-Identifier: Apache-2.0
"""Files that tests attached, read from the device over its console and stored with the job (spec: test-shell §5)."""

from __future__ import annotations

import base64
import binascii
import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from executor.errors import JobError

if TYPE_CHECKING:
    from executor.pipeline.run import Run

CONSOLE_BYTES = 1 << 20  # of all files of one block; base64 over 115200 baud takes two minutes for that
_LIMIT = 300.0  # seconds
_FILE = re.compile(
    r"<LAVA_ATTACHMENT_BEGIN (\d+) (\d+|-) (\S+) ([^>]+)>(.*?)<LAVA_ATTACHMENT_END>", re.DOTALL
)
_SKIPPED = re.compile(r"<LAVA_ATTACHMENT_SKIPPED (\d+) (\S+) ([^>]+)>")


def fetch_attachments(run: Run, stage: str) -> None:
    """Store what the block attached below /out/attachments; what does not arrive whole is named in the log."""
    command = f"{run.namespace.results_dir}/bin/lava-attachments {stage} {CONSOLE_BYTES}"
    try:
        done = run.console.command(
            command, run.namespace.prompts, run.deadline, limit=_LIMIT, keep=2 * CONSOLE_BYTES + 65536
        )
    except (JobError, TimeoutError) as error:
        run.log.warning(f"attached files could not be read: {error}")
        return
    for size, _, mime, name, text in _FILE.findall(done.output):
        _store(run, name, mime, int(size), text)
    for size, _, name in _SKIPPED.findall(done.output):
        run.log.warning(f"attached file {name} ({size} bytes) is too large for the console, not stored")


def _store(run: Run, name: str, mime: str, size: int, text: str) -> None:
    try:
        data = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if len(data) != size:
        run.log.warning(f"attached file {name} arrived damaged, not stored")
        return
    parts = [
        part for part in PurePosixPath(name).parts if part not in ("..", "/", ".", "results", "attachments")
    ]
    if not parts:
        return
    target = run.context.out.joinpath("attachments", *parts)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
    run.log.info(f"attached file {'/'.join(parts)}: {size} bytes" + (f", {mime}" if mime != "-" else ""))
