# SPDX-License-Identifier: Apache-2.0
"""The writing end of /out/journal.ndjson: the one place where a record gets its number, its time and its masks.

Appends are whole lines in one write, so a reader never sees half a record unless the process died in the middle.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from executor.model.journal import MAX_MESSAGE, Record

MASK = "[MASKED]"


class JournalWriter:
    """Owns the file. Thread-safe; never blocks on a reader.

    `limit` is the size in bytes at which console lines are no longer taken and `on_full` is called once; records of the
    program itself still are, so that the end of the job is always told.
    """

    def __init__(
        self,
        path: Path,
        *,
        secrets: Iterable[str] = (),
        limit: int = 1 << 30,
        on_grow: Callable[[int], None] | None = None,
        on_full: Callable[[], None] | None = None,
    ) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        self._size = os.fstat(self._fd).st_size
        self._lock = threading.Lock()
        self._seq = 0
        self._limit = limit
        self._full = False
        self._on_grow = on_grow
        self._on_full = on_full
        words = sorted({s for s in secrets if s}, key=len, reverse=True)
        self._mask = re.compile("|".join(re.escape(w) for w in words)) if words else None
        self._encode = msgspec.json.Encoder().encode_lines
        self.current: tuple[str, str] = ("", "")

    @property
    def next_seq(self) -> int:
        """The number that the next record will get."""
        return self._seq

    def record(self, level: str, msg: Any, namespace: str = "") -> int:
        """Append one record; a text that is too long becomes several marked ones. Returns the first `seq`."""
        if isinstance(msg, str):
            texts = _split(self._masked(msg))
            return self._append(level, texts, namespace, split=len(texts) > 1)
        if isinstance(msg, msgspec.Struct):
            msg = msgspec.to_builtins(msg)
        if self._mask is not None:
            msg = self._mask_all(msg)
        return self._append(level, [msg], namespace)

    def lines(self, level: str, texts: Sequence[str], namespace: str = "") -> int:
        """Append one record a text in one write. Returns the `seq` of the first."""
        if not texts or self._full:
            return self._seq
        if self._mask is not None:
            texts = [self._masked(t) for t in texts]
        if max(map(len, texts)) > MAX_MESSAGE:
            first = self._seq
            for text in texts:
                parts = _split(text)
                self._append(level, parts, namespace, split=len(parts) > 1)
            return first
        return self._append(level, texts, namespace)

    def close(self) -> None:
        """Make the file durable and let go of it."""
        with self._lock:
            if self._fd >= 0:
                os.fsync(self._fd)
                os.close(self._fd)
                self._fd = -1

    def _append(self, level: str, msgs: Sequence[Any], namespace: str, *, split: bool = False) -> int:
        action, number = self.current
        now = datetime.now(UTC).isoformat(timespec="microseconds")
        with self._lock:
            first = self._seq
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
            data = self._encode(records)
            if self._fd < 0:
                return first
            _write_all(self._fd, data)
            self._seq += len(records)
            self._size += len(data)
            size = self._size
        if self._on_grow is not None:
            self._on_grow(size)
        if size > self._limit and not self._full:
            self._full = True
            if self._on_full is not None:
                self._on_full()
        return first

    def _masked(self, text: str) -> str:
        return self._mask.sub(MASK, text) if self._mask is not None else text

    def _mask_all(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._masked(value)
        if isinstance(value, dict):
            return {k: self._mask_all(v) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [self._mask_all(v) for v in value]
        return value


def _split(text: str) -> list[str]:
    if len(text) <= MAX_MESSAGE:
        return [text]
    return [text[i : i + MAX_MESSAGE] for i in range(0, len(text), MAX_MESSAGE)]


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
