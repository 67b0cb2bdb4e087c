# SPDX-License-Identifier: Apache-2.0
"""The raw bytes of a console on disk, for replay and for questions that the journal's clean lines cannot
answer.
"""

from __future__ import annotations

import os
from pathlib import Path

from executor.errors import InfrastructureError

DEFAULT_LIMIT = 1 << 30  # bytes


class Recording:
    """Appends to `path` (mode 0600: secrets are not masked in it). Stops at `limit` bytes or when the
    disk is full.

    Raises InfrastructureError when the file cannot be opened.
    """

    def __init__(self, path: Path, limit: int = DEFAULT_LIMIT) -> None:
        self.stopped = ""  # why nothing is recorded any more
        self._limit = limit
        try:
            self._fd = os.open(
                path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
            )
        except OSError as error:
            raise InfrastructureError(
                f"cannot record the console in {path}: {error.strerror}",
                "the job's output directory must be writable and not full",
            ) from error
        self._size = os.fstat(self._fd).st_size

    def write(self, data: bytes) -> bool:
        """Append. True when this call was the one that stopped the recording."""
        if self.stopped:
            return False
        room = self._limit - self._size
        try:
            view = memoryview(data)[:room]
            while view:
                written = os.write(self._fd, view)
                self._size += written
                view = view[written:]
        except OSError as error:
            self.stopped = error.strerror or str(error)
        if not self.stopped and len(data) > room:
            self.stopped = f"the limit of {self._limit} bytes is reached"
        return bool(self.stopped)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            self.stopped = self.stopped or "closed"
