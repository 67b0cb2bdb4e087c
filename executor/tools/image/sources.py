# SPDX-License-Identifier: Apache-2.0
"""Where compressed bytes come from, a file or a download under way, and how they reach a decompressor."""

from __future__ import annotations

import io
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from executor.errors import InfrastructureError, JobError
from executor.model.deadline import Deadline
from executor.tools.image.magic import HEAD, describe
from executor.tools.image.methods import Method
from executor.tools.proc import ending, has_ended, overdue, started

_PIECE = 1 << 18


class Source(Protocol):
    """Compressed bytes that are not a file (yet). Owns the deadline of its own reads."""

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes, b"" at the end."""


class Input(io.RawIOBase):
    """Either kind of source, its first bytes looked at already. `handle`: its descriptor if it is a file."""

    def __init__(self, source: Path | Source, name: str, using: Method) -> None:
        self.handle = -1
        self._source: Source | None = None
        self._taken = 0
        if isinstance(source, Path):
            try:
                self.handle = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
            except OSError as problem:
                raise InfrastructureError(f"{source} cannot be read: {problem.strerror}") from problem
            head = os.pread(self.handle, HEAD, 0)
        else:
            self._source = source
            head = _head(source)
        self._head = b"" if self._source is None else head
        if not head.startswith(using.magics):
            self.close()
            raise JobError(
                f"{name} is not {using.name} data ({describe(head)})", "correct `compression` in the job"
            )

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        size = size if size > 0 else _PIECE
        if self._head:
            part, self._head = self._head[:size], self._head[size:]
        elif self._source is not None:
            part = self._source.read(size)
        else:
            return os.read(self.handle, size)
        self._taken += len(part)
        return part

    @property
    def taken(self) -> int:
        """Bytes taken so far, by us or by a child that reads through our open file."""
        return os.lseek(self.handle, 0, os.SEEK_CUR) if self.handle >= 0 else self._taken

    def close(self) -> None:
        if self.handle >= 0:
            os.close(self.handle)
            self.handle = -1
        super().close()


class Decompressor:
    """A running decompressor; made by `running`."""

    def __init__(
        self, process: subprocess.Popen[bytes], deadline: Deadline, said: int, name: str, how: str
    ) -> None:
        self.process = process
        self._deadline = deadline
        self._said = said  # a file that holds its stderr
        self._name = name
        self._how = how
        self.feeder: _Feeder | None = None

    def ended(self, seconds: float) -> bool:
        """Whether it has ended within `seconds`."""
        return has_ended(self.process, seconds)

    def finish(self) -> None:
        """Wait for its end. Raises JobError when it did not like the data."""
        if not has_ended(self.process, self._deadline.remaining):
            raise overdue("decompressing did not end", self._deadline)
        code = self.process.wait()
        if self.feeder is not None:
            self.feeder.check()
        if code < 0:
            raise InfrastructureError(f"the decompressor of {self._name} {ending(code)}")
        said = os.pread(self._said, 4096, 0).decode("utf-8", "replace").strip()
        if code and "trailing" not in said:  # garbage behind good data is ignored, as gzip itself does
            last = said.splitlines()[-1] if said else ending(code)
            if "No space left" in last:
                raise InfrastructureError(f"the disk is full: {last}")
            raise JobError(f"{self._name} is damaged {self._how} data: {last}")


@contextmanager
def running(
    argv: tuple[str, ...], input_: Input, stdout: int, *, deadline: Deadline, name: str, how: str
) -> Iterator[Decompressor]:
    """A decompressor that reads `input_` and writes to `stdout` (a descriptor, or subprocess.PIPE)."""
    errors = os.memfd_create("stderr", os.MFD_CLOEXEC)
    try:
        direct = input_.handle >= 0
        stdin = input_.handle if direct else subprocess.PIPE
        with os.fdopen(errors, "wb", closefd=False) as stderr:
            process = started(argv, stdin=stdin, stdout=stdout, stderr=stderr)
            with process as child:
                tool = Decompressor(child, deadline, errors, name, how)
                if not direct:
                    tool.feeder = _Feeder(input_, child)
                yield tool
    finally:
        os.close(errors)


class _Feeder:
    """Carries a download into the decompressor's stdin; ends with the source or with the pipe."""

    def __init__(self, source: Input, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None  # noqa: S101  # PIPE was asked for
        self._source = source
        self._pipe = process.stdin
        self._problem: BaseException | None = None
        self._thread = threading.Thread(target=self._carry, name="decompress-feed", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise what the source raised."""
        self._thread.join()
        if self._problem is not None:
            raise self._problem

    def _carry(self) -> None:
        try:
            while chunk := self._source.read(_PIECE):
                self._pipe.write(chunk)
        except (BrokenPipeError, ValueError):
            pass  # the decompressor ended first; its code says why
        except BaseException as problem:  # raised again by check() in the thread that waits
            self._problem = problem
        finally:
            with suppress(OSError, ValueError):
                self._pipe.close()


def _head(source: Source) -> bytes:
    head = b""
    while len(head) < HEAD and (part := source.read(HEAD - len(head))):
        head += part
    return head
