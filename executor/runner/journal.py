# SPDX-License-Identifier: Apache-2.0
"""The writing end of /out/journal.ndjson: the one place where a record gets its number, its time and its
masks.

Appends are whole lines in one write, so a reader never sees half a record unless the process died in the
middle.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from executor.errors import InfrastructureError, JobError
from executor.model.journal import MAX_MESSAGE, Record
from executor.runner.masking import Masker


class JournalFull(JobError):
    """The device prints without end; trying again would only print more."""

    retryable = False

    def __init__(self, size: int) -> None:
        super().__init__(
            f"the device printed too much: the job's log has reached {size >> 20} MiB",
            "make the test print less, or let the admin raise `journal_bytes`",
        )


class JournalBroken(InfrastructureError):
    """What cannot be recorded is not run."""

    retryable = False

    def __init__(self, reason: str) -> None:
        super().__init__(f"the job's log cannot be written: {reason}", "is the worker's disk full?")


class JournalWriter:
    """Owns the file. Thread-safe; never blocks on a reader, and never raises for a disk that fails.

    `limit` is the size in bytes at which console lines are no longer taken and `on_full(size)` is called
    once; records of the program itself still are, so that the end of the job is always told.
    `on_broken(reason)` is called once when a write fails: that record is lost as a whole, the next one is
    tried again. `hold` gives a context in which no signal breaks in.
    """

    def __init__(
        self,
        path: Path,
        *,
        secrets: Iterable[str] = (),
        limit: int = 1 << 30,
        on_grow: Callable[[int], None] | None = None,
        on_full: Callable[[int], None] | None = None,
        on_broken: Callable[[str], None] | None = None,
        hold: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self._seq = _lines_in(path)
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        self._size = os.fstat(self._fd).st_size
        self._lock = threading.Lock()
        self._limit = limit
        self._full = False
        self._broken = ""  # why a write failed
        self._on_grow = on_grow
        self._on_full = on_full
        self._on_broken = on_broken
        self._hold = hold
        self._masker = Masker(secrets)
        self._encode = msgspec.json.Encoder(enc_hook=str).encode_lines
        self.current: tuple[str, str] = ("", "")

    @property
    def next_seq(self) -> int:
        """The number that the next record will get."""
        return self._seq

    def hide(self, secrets: Iterable[str]) -> None:
        """Mask these too from here on."""
        with self._hold(), self._lock:
            self._masker.hide(secrets)

    def record(self, level: str, msg: Any, namespace: str = "") -> int:
        """Append one record; a text that is too long becomes several marked ones. Returns the first `seq`."""
        if isinstance(msg, msgspec.Struct):
            msg = _builtins(msg)
        with self._hold():
            with self._lock:
                msg = self._masker.message(level, msg) if self._masker.active else msg
                texts = _split(msg) if isinstance(msg, str) else [msg]
                first = self._append(level, texts, namespace, split=len(texts) > 1)
            self._tell()
        return first

    def lines(self, level: str, texts: Sequence[str], namespace: str = "") -> int:
        """Append one record a text in one write. Returns the `seq` of the first."""
        if not texts or self._full:
            return self._seq
        with self._hold():
            with self._lock:
                first = self._seq
                if self._masker.active:
                    texts = self._masker.pieces((level, namespace), texts)
                if max(map(len, texts)) <= MAX_MESSAGE:
                    self._append(level, texts, namespace)
                else:
                    for parts in map(_split, texts):
                        self._append(level, parts, namespace, split=len(parts) > 1)
            self._tell()
        return first

    def close(self) -> None:
        """Make the file durable and let go of it."""
        with self._hold(), self._lock:
            if self._fd >= 0:
                os.fsync(self._fd)
                os.close(self._fd)
                self._fd = -1

    # -- with the lock held

    def _append(self, level: str, msgs: Sequence[Any], namespace: str, *, split: bool = False) -> int:
        first = self._seq
        if self._fd < 0:
            return first
        action, number = self.current
        now = datetime.now(UTC).isoformat(timespec="microseconds")
        if split:
            last = len(msgs)
            records = [
                Record(first + i, now, level, m, namespace, action, number, i + 1, i + 1 < last)
                for i, m in enumerate(msgs)
            ]
        else:
            records = [
                Record(first + i, now, level, m, namespace, action, number) for i, m in enumerate(msgs)
            ]
        try:
            data = self._encode(records)
        except (UnicodeEncodeError, TypeError, ValueError):  # half a surrogate pair, an object without a form
            data = self._encode([_plain(record) for record in records])
        try:
            _write_all(self._fd, data)
        except OSError as error:
            os.ftruncate(self._fd, self._size)  # never half a record before a whole one
            self._broken = self._broken or error.strerror or str(error)
            return first
        self._seq += len(records)
        self._size += len(data)
        self._full = self._full or self._size > self._limit
        return first

    # -- without the lock

    def _tell(self) -> None:
        """Whom it concerns; full and broken are told once."""
        if self._on_grow is not None:
            self._on_grow(self._size)
        if self._full and self._on_full is not None:
            tell, self._on_full = self._on_full, None
            tell(self._size)
        if self._broken and self._on_broken is not None:
            complain, self._on_broken = self._on_broken, None
            complain(self._broken)


def _split(text: str) -> list[str]:
    if len(text) <= MAX_MESSAGE:
        return [text]
    return [text[i : i + MAX_MESSAGE] for i in range(0, len(text), MAX_MESSAGE)]


def _builtins(struct: msgspec.Struct) -> Any:
    try:
        return msgspec.to_builtins(struct, enc_hook=str, str_keys=True)
    except TypeError:  # maps of a job may have keys that JSON cannot have
        return _plain_value(msgspec.structs.asdict(struct))


def _plain(record: Record) -> Record:
    return msgspec.structs.replace(record, msg=_plain_value(record.msg))


def _plain_value(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(_plain_value(key)): _plain_value(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain_value(inner) for inner in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return str(value).encode("utf-8", "replace").decode()


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _lines_in(path: Path) -> int:
    """Records that are there already; 0 for a new journal."""
    try:
        with path.open("rb") as file:
            return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))
    except FileNotFoundError:
        return 0
