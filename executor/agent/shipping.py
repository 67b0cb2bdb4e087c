# SPDX-License-Identifier: Apache-2.0
"""Brings a job's journal and files to the master, from wherever the master says it is.

The journal is read from its file only, so the runner never waits, and a dead agent leaves no gap: each
acknowledgement names the next offset (design §2).
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import stat
import threading
import time
from collections.abc import Callable
from typing import Protocol, TypeVar

from executor.agent.record import AgentRecord
from executor.container.beneath import open_beneath, plain_files
from executor.container.jobdir import JobDirectory
from executor.container.journalfile import read_journal
from executor.errors import InfrastructureError, LavaExecError
from executor.model.deadline import Deadline
from executor.wire import messages
from executor.wire.channel import RequestRefused

log = logging.getLogger(__name__)
R = TypeVar("R", bound=messages.Body)

CALL_SECONDS = 30.0
LOOK_SECONDS = 1.0  # between two looks at the journal when the doorbell does not ring
PAUSES = (0.1, 0.5, 1.0, 2.0, 5.0)  # after refusals and broken connections
MAX_FILES = 1000
FILE_BYTES = 64 << 20  # of a file that the job's limits do not speak about
SETTLED_SECONDS = 2.0  # a file that did not change for so long is sent while the job still runs
REFUSALS = 5  # of the journal, after which the master does not get the rest
_BESIDE = ("spec.json", "artefacts.json")
_INPUTS = ("device.yaml", "worker.yaml")


class Caller(Protocol):
    """The part of wire.link.Link that is used here."""

    def call(self, body: messages.Body, expect: type[R], deadline: Deadline) -> R:
        """See Link.call."""


class NotWanted(Exception):  # noqa: N818  # the master's decision, not an error
    """The master does not know the job (any more)."""


class Stopped(Exception):  # noqa: N818  # no error
    """The agent ends; the rest is done by the next one."""


class Shipper:
    """One job's way to the master. `stop` ends all waiting; another thread may call `ring`."""

    def __init__(
        self,
        link: Caller,
        directory: JobDirectory,
        record: AgentRecord,
        save: Callable[[], None],
        attachment_bytes: int = 25 << 20,
    ) -> None:
        self._link = link
        self._directory = directory
        self._record = record
        self._save = save
        self._rung = threading.Event()
        self._stopped = False
        self._attachment_bytes = attachment_bytes
        self._final = -1  # bytes of the journal, once it is complete
        self._skipped: set[str] = set()

    def ring(self) -> None:
        """The journal has grown."""
        self._rung.set()

    def complete(self, size: int) -> None:
        """The journal will not grow any more."""
        self._final = size
        self._rung.set()

    def stop(self) -> None:
        """`ship` and `upload` raise Stopped soon."""
        self._stopped = True
        self._rung.set()

    def ship(self) -> None:
        """Send the journal until all of it is acknowledged, and files in between.

        Raises NotWanted, Stopped.
        """
        record, failures, refusals = self._record, 0, 0
        while True:
            final = self._final
            block = read_journal(self._directory.journal, record.acknowledged, messages.MAX_BLOCK)
            if not block:
                if 0 <= final <= record.acknowledged:
                    return
                if not self._pause(LOOK_SECONDS) and final < 0:
                    self.upload(SETTLED_SECONDS)
                continue
            ask = messages.JournalBlock(record.id, record.acknowledged, block)
            try:
                ack = self._call(ask, messages.JournalAck)
            except LavaExecError as error:
                failures += 1
                refusals += isinstance(error, RequestRefused) and error.code in ("malformed", "too-large")
                if refusals >= REFUSALS:
                    self._directory.note(f"the master does not take the journal: {error.message}")
                    self._await_end()
                    return
                self._failed("the journal", error, failures)
                continue
            failures = refusals = 0
            size = self._size()
            if ack.next > size:
                log.error("job %s: the master has %d bytes of a journal of %d", record.id, ack.next, size)
                raise NotWanted
            record.acknowledged = ack.next

    def upload(self, settled: float = 0.0) -> None:
        """Send the files that are kept with the job and that the master does not have as they are now.

        `settled`: only those that have not changed for so many seconds; a broken connection then ends it, it
        will be called again. Raises NotWanted, Stopped.
        """
        before = time.time() - settled
        for path, root, relative, seen in self._files():
            state = f"{seen.st_size}:{seen.st_mtime_ns}"
            if self._record.uploaded.get(path) == state or (settled and seen.st_mtime > before):
                continue
            failures = 0
            while not self._send(path, root, relative):
                if settled:
                    return
                failures += 1
                self._pause(PAUSES[min(failures, len(PAUSES)) - 1])
            self._record.uploaded[path] = state
            self._save()

    def report(self, finished: messages.Finished) -> None:
        """Tell the end; ships again what the master lacks. Raises NotWanted, Stopped."""
        failures = 0
        while True:
            try:
                self._call(finished, messages.Done)
                return
            except RequestRefused as error:
                failures += 1
                if error.code == "mismatch":
                    self._record.acknowledged = 0
                    self.ship()
                self._failed("the end", error, failures)
            except LavaExecError as error:
                failures += 1
                self._failed("the end", error, failures)

    # -- within

    def _call(self, body: messages.Body, expect: type[R]) -> R:
        if self._stopped:
            raise Stopped
        try:
            return self._link.call(body, expect, Deadline.after(CALL_SECONDS))
        except RequestRefused as error:
            if error.code == "unknown-job":
                raise NotWanted from None
            raise

    def _failed(self, what: str, error: LavaExecError, failures: int) -> None:
        if failures == 1 or isinstance(error, RequestRefused):
            log.warning("job %s: %s waits for the master: %s", self._record.id, what, error.message)
        self._pause(PAUSES[min(failures, len(PAUSES)) - 1])

    def _await_end(self) -> None:
        while self._final < 0:
            self._pause(LOOK_SECONDS)

    def _pause(self, seconds: float) -> bool:
        """True when something has happened before the time was over. Raises Stopped."""
        rung = self._rung.wait(seconds)
        self._rung.clear()
        if self._stopped:
            raise Stopped
        return rung

    def _size(self) -> int:
        try:
            return self._directory.journal.lstat().st_size
        except OSError:
            return 0

    def _files(self) -> list[tuple[str, str, str, os.stat_result]]:
        """(path at the master, directory here, path in it, state) of what is kept."""
        directory = self._directory
        found = []
        for root, names in (("", _BESIDE), ("job", _INPUTS)):
            for name in names:
                with contextlib.suppress(OSError):
                    found.append((name, root, name, (directory.path / root / name).lstat()))
        for relative, seen in plain_files(directory.out):
            top = relative.split("/", 1)[0]
            if top.startswith(("journal.ndjson", "console-")) or not stat.S_ISREG(seen.st_mode):
                continue
            most = self._attachment_bytes if top == "attachments" else FILE_BYTES
            if seen.st_size > most or len(found) >= MAX_FILES:
                if relative not in self._skipped:
                    self._skipped.add(relative)
                    directory.note(f"{relative} is too large, or one too many, and stays on this host")
                continue
            found.append((relative, "out", relative, seen))
        return found

    def _send(self, path: str, root: str, relative: str) -> bool:
        """One file; False when it is to be tried again."""
        try:
            with open_beneath(self._directory.path / root, relative) as file:
                size = os.fstat(file.fileno()).st_size
                digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
                offset = 0
                while True:
                    data = os.pread(file.fileno(), messages.MAX_BLOCK, offset)
                    ask = messages.FileChunk(self._record.id, path, offset, data, size, digest)
                    ack = self._call(ask, messages.FileAck)
                    if ack.complete:
                        return True
                    if ack.next == offset + len(data) == size:
                        return True
                    if ack.next == offset and not data:
                        raise InfrastructureError(f"{path} has changed while it was sent")
                    offset = ack.next
        except OSError as error:
            self._directory.note(f"{path} is not kept at the master: {error.strerror}")
            return True
        except RequestRefused as error:
            self._directory.note(f"{path} is not kept at the master: {error.message}")
            return True
        except InfrastructureError as error:
            log.warning("job %s: %s waits for the master: %s", self._record.id, path, error.message)
            return False
