# SPDX-License-Identifier: Apache-2.0
"""One fetch while it is under way: its bounds and checksums, its progress, the bytes on their way."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from typing import BinaryIO

from executor.container.cancel import Cancellation
from executor.container.client import display
from executor.container.remote import Program
from executor.container.web import Download
from executor.errors import InfrastructureError, JobError
from executor.model.deadline import Deadline
from executor.model.doorbell import Fetch

AnyDownload = Download | Program
Report = Callable[[str, int, int], None]  # stage, done, total in bytes
SUMS = ("md5", "sha256", "sha512")
_REPORT_EVERY = 0.25  # seconds


class Work:
    """One fetch under way."""

    def __init__(
        self, fetch: Fetch, deadline: Deadline, cancellation: Cancellation, reporter: Reporter, method: str
    ) -> None:
        self.fetch = fetch
        self.deadline = deadline
        self.cancellation = cancellation
        self.reporter = reporter
        self.method = method
        self.wanted = {"md5": fetch.md5sum, "sha256": fetch.sha256sum, "sha512": fetch.sha512sum}
        self.sums = [name for name in SUMS if self.wanted[name] or name == "sha256"]

    def tick(self, stage: str, done: int, total: int) -> None:
        self.cancellation.check()
        self.reporter(stage, done, total)

    def check_size(self, size: int) -> None:
        most = self.fetch.max_bytes
        if most and size > most:
            raise JobError(
                f"{display(self.fetch.url)} has {size} bytes, more than the {most} that a job may download",
                "An admin sets the limit with `download_bytes`.",
            )

    def compare(self, sums: dict[str, str]) -> None:
        for name, wanted in self.wanted.items():
            if wanted and sums[name] != wanted.strip().lower():
                where = display(self.fetch.url)
                raise JobError(
                    f"the {name} checksum of {where} is {sums[name]}, the job says {wanted}",
                    "Either the file has changed, then correct the job, or it is damaged.",
                )


class Tee:
    """A download that is stored and hashed while something else reads it."""

    def __init__(self, work: Work, download: AnyDownload, file: BinaryIO) -> None:
        self.total = download.total
        self.taken = 0
        self._work = work
        self._download = download
        self._file = file
        self._hashes = {name: hashlib.new(name, usedforsecurity=False) for name in work.sums}

    def read(self, size: int, /) -> bytes:
        chunk = self._download.read(size)
        if chunk:
            for value in self._hashes.values():
                value.update(chunk)
            try:
                self._file.write(chunk)
            except OSError as error:
                raise InfrastructureError(f"the cache cannot be written: {error.strerror}") from None
            self.taken += len(chunk)
            self._work.check_size(self.taken)
            self._work.tick("download", self.taken, self.total)
        return chunk

    def drain(self) -> None:
        """Read what nobody wanted, up to the end."""
        while self.read(1 << 18):
            pass
        try:
            self._file.flush()
        except OSError as error:
            raise InfrastructureError(f"the cache cannot be written: {error.strerror}") from None

    def sums(self) -> dict[str, str]:
        return {name: value.hexdigest() for name, value in self._hashes.items()}


class Reporter:
    """Tells now and then, and always the end of a stage."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._last = 0.0

    def __call__(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._last >= _REPORT_EVERY or (total and done >= total):
            self._last = now
            self._report(stage, done, total)
