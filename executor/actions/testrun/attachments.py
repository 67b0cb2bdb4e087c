# SPDX-License-Identifier: Apache-2.0
"""Files that tests attached, read from the device over its console and stored with the job (spec: test-shell
§5).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from executor.errors import JobError
from executor.testshell.attachments import CONSOLE_BYTES, Attachment, AttachmentReader

if TYPE_CHECKING:
    from executor.pipeline.run import Run

_LIMIT = 300.0  # seconds
_ATTEMPTS = 3


def fetch_attachments(run: Run, root: str, stage: str) -> None:
    """Store what was attached below /out/attachments; what does not arrive whole is named in the log.

    `root` is where the overlay lies on the device, `stage` the block's directory below it.
    """
    reader = AttachmentReader()
    command = f"{root}/bin/lava-attachments {root}/{stage} {CONSOLE_BYTES}"
    keep = 3 * CONSOLE_BYTES + 65536
    try:
        for _ in range(_ATTEMPTS):
            again = reader.missing() if reader.listed else ""
            if reader.listed and not again:
                break
            line = f"{command} {again}".rstrip()
            done = run.console.command(line, run.connection.prompts, run.deadline, limit=_LIMIT, keep=keep)
            reader.take(done.output)
    except (JobError, TimeoutError) as error:
        run.log.warning(f"attached files could not be read: {error}")
    for attachment in reader.files():
        _store(run, attachment)


def _store(run: Run, attachment: Attachment) -> None:
    parts = [part for part in (attachment.definition, attachment.case, attachment.name) if part]
    name = "/".join(parts)
    if attachment.skipped:
        run.log.warning(
            f"attached file {name}: {attachment.size} bytes are too many for the console, not stored"
        )
    elif attachment.data is None:
        run.log.warning(f"attached file {name} arrived damaged, not stored")
    else:
        target = run.context.out.joinpath("attachments", *parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(attachment.data)
        run.log.info(f"attached file {name}: {attachment.size} bytes, {attachment.mime or 'of unknown type'}")
